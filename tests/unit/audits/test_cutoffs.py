"""An audit is repeatable: what it draws cutoffs with must be numbers."""

import polars as pl
import pytest

from tsfm.audits.cutoffs import choose_cutoffs
from tsfm.errors import ConfigError


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_cutoffs": "x"}, "n_cutoffs must be a whole number of at least 1, got 'x'; pass one"),
        ({"n_cutoffs": 1.5}, "n_cutoffs must be a whole number of at least 1, got 1.5; pass one"),
        ({"n_cutoffs": True}, "n_cutoffs must be a whole number of at least 1, got True; pass one"),
        ({"seed": -1}, "seed must be a whole number of at least 0, got -1; pass one"),
        ({"seed": None}, "seed must be a whole number of at least 0, got None; pass one"),
    ],
)
def test_numbers_that_draw_no_cutoffs_are_refused(options: dict, message: str) -> None:
    right = {"n_cutoffs": 2, "seed": 0}
    stamps = pl.Series(range(9))
    assert len(choose_cutoffs(stamps, **right)) == 2
    with pytest.raises(ConfigError, match=message):
        choose_cutoffs(stamps, **{**right, **options})
