"""A recipe of `tsfm evaluate` that cannot be run is refused before any data are read."""

from pathlib import Path

import pytest

from tsfm.config import load_recipe
from tsfm.errors import ConfigError
from tsfm.jobs import evaluate
from tsfm.tracking import ListTracker


@pytest.mark.parametrize(
    ("name", "override", "message"),
    [
        ("zero_shot", "evaluate.resamples=0", "evaluate.resamples: input should be greater than"),
        ("zero_shot", "evaluate.context_length=0", "evaluate.context_length: input should be"),
        ("gift_eval", "evaluate.sets.a.horizon=0", "evaluate.sets.a.horizon: input should be"),
        ("gift_eval", "evaluate.sets.a.n_windows=-1", "evaluate.sets.a.n_windows: input should"),
        ("ltsf", "evaluate.datasets=[]", "evaluate.datasets: .* at least 1 item"),
        ("coverage", "evaluate.datasets=[]", "evaluate.datasets: .* at least 1 item"),
        ("detection", "evaluate.datasets=[]", "evaluate.datasets: .* at least 1 item"),
        ("detection", "evaluate.false_alarm_rate=2", "false_alarm_rate: .* less than 1, got 2"),
        ("classification", "evaluate.lengths=[0]", "evaluate.lengths.0: input should be greater"),
        ("imputation", "evaluate.datasets=[]", "datasets must name a card, or like a file"),
        ("imputation", "evaluate.hidden_shares=[1.5]", "hidden_shares.0: .* equal to 1, got 1.5"),
        ("imputation", "evaluate.window_lengths=[0]", "window_lengths.0: input should be greater"),
        ("imputation", "evaluate.mask_seeds=[]", "evaluate.mask_seeds: .* at least 1 item"),
    ],
)
def test_options_that_leave_nothing_to_score_are_refused(
    name: str, override: str, message: str, tmp_path: Path
):
    with pytest.raises(ConfigError, match=message):
        evaluate.run(load_recipe(name, [override]), output=tmp_path, tracker=ListTracker())


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "evaluate.protocol=zero-shot",
            r"evaluate.protocol: must be one of \[.*'ltsf', 'zero_shot'",
        ),
        ("evaluate.modles=[]", "evaluate.modles: there is no such key"),
        ("training.steps=3", "training: the section must be one of"),
    ],
)
def test_a_wrong_recipe_is_refused(override: str, message: str, tmp_path: Path):
    with pytest.raises(ConfigError, match=message):
        evaluate.run(load_recipe("zero_shot", [override]), output=tmp_path, tracker=ListTracker())
