"""The spread over seeds is an error only where no two of them are the same run."""

import pytest

from tsfm.config import load_recipe
from tsfm.errors import ConfigError
from tsfm.jobs import backtest, evaluate

TWICE = r"seeds must differ, got \[0, 1, 0\] with \[0\] more than once; the same seed gives"


def test_the_seeds_of_a_backtest_must_differ() -> None:
    recipe = load_recipe("sspt_nasdaq_corrected", ["run.seeds=[0,1,0]"])
    with pytest.raises(ConfigError, match=rf"sspt_nasdaq_corrected\.toml: run\.seeds: {TWICE}"):
        backtest.sections(recipe)


def test_the_seeds_of_masks_must_differ() -> None:
    recipe = load_recipe("imputation", ["evaluate.mask_seeds=[0,1,0]"])
    with pytest.raises(ConfigError, match=rf"imputation\.toml: evaluate\.mask_seeds: {TWICE}"):
        evaluate.run(recipe)


def test_seeds_that_differ_are_taken_in_their_order() -> None:
    recipe = load_recipe("sspt_nasdaq_corrected", ["run.seeds=[3,1]"])
    assert backtest.sections(recipe)["run"].seeds == (3, 1)
