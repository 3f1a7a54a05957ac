"""Scores from past cutoffs decide what people trust: no forecast may see what came after."""

from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

import tsfm
from tsfm.errors import ConfigError, DataError
from tsfm.tasks.forecast import Forecaster

HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def model() -> Forecaster:
    return Forecaster.from_pretrained("tsfm-small", device="cpu")


def test_windows_end_at_the_end_and_lie_one_horizon_apart(model, tiny_frame):
    found = tsfm.cross_validation(tiny_frame, prediction_length=4, n_windows=3, model=model)
    assert found.columns[:4] == ["item_id", "timestamp", "target_name", "predictions"]
    assert found.columns[-2:] == ["cutoff", "target"]
    for item, last in (("a", datetime(2024, 1, 2, 23)), ("b", datetime(2024, 1, 2, 11))):
        part = found.filter(item_id=item)
        cutoffs = part["cutoff"].unique(maintain_order=True).to_list()
        assert cutoffs == [last - 12 * HOUR, last - 8 * HOUR, last - 4 * HOUR]
        assert part["timestamp"].to_list() == [last - n * HOUR for n in range(11, -1, -1)]
    joined = found.join(tiny_frame, on=["item_id", "timestamp"], suffix="_true")
    assert joined.height == found.height
    assert joined["target"].equals(joined["target_true"], check_names=False)


def test_cutoffs_lie_step_size_apart(model, tiny_frame):
    found = tsfm.cross_validation(
        tiny_frame, prediction_length=6, n_windows=3, step_size=1, model=model
    )
    cutoffs = found.filter(item_id="a")["cutoff"].unique().sort()
    assert cutoffs.diff().drop_nulls().to_list() == [HOUR, HOUR]
    assert found["timestamp"].max() == tiny_frame["timestamp"].max()


def test_every_window_is_the_forecast_of_the_frame_cut_there(model, tiny_frame):
    """Both items, cut at their own cutoffs, by a user who never had the rest."""
    found = tsfm.cross_validation(
        tiny_frame, prediction_length=5, n_windows=2, step_size=3, model=model
    )
    for window in (0, 1):
        place, length = pl.int_range(pl.len()).over("item_id"), pl.len().over("item_id")
        cut = tiny_frame.filter(place < length - 5 - 3 * window)
        expected = model.predict(cut, prediction_length=5)
        cutoffs = cut.group_by("item_id").agg(cutoff=pl.col("timestamp").max())
        part = found.join(cutoffs, on=["item_id", "cutoff"], how="semi")
        assert part.drop("cutoff", "target").equals(expected)


def test_nothing_after_a_cutoff_moves_its_forecast(model, tiny_frame):
    arguments = {"prediction_length": 4, "n_windows": 3, "step_size": 2, "model": model}
    before = tsfm.cross_validation(tiny_frame, **arguments)
    for cutoff in before.filter(item_id="a")["cutoff"].unique():
        # 'b' ends half a day earlier, so its rows after the same stamp of 'a' do not exist.
        changed = tiny_frame.with_columns(
            pl.when(pl.col("item_id").eq("a") & (pl.col("timestamp") > cutoff))
            .then(pl.col("target") * -1000)
            .otherwise(pl.col("target"))
        )
        after = tsfm.cross_validation(changed, **arguments)
        until = (pl.col("item_id") == "b") | (pl.col("cutoff") <= cutoff)
        assert after.filter(until).drop("target").equals(before.filter(until).drop("target"))
        later = before.filter(~until)
        assert not later.height or not after.filter(~until).equals(later)


def test_targets_stand_beside_their_own_truth(model, tiny_frame):
    frame = tiny_frame.with_columns(load=pl.col("target") * 7)
    found = tsfm.cross_validation(
        frame, prediction_length=3, n_windows=2, target=["target", "load"], model=model
    )
    truth = found.filter(target_name="target")["target"]
    np.testing.assert_array_equal(found.filter(target_name="load")["target"], truth * 7)


def test_a_missing_truth_is_missing(model, tiny_frame):
    last = tiny_frame["timestamp"].max()
    gappy = tiny_frame.with_columns(
        pl.when(pl.col("timestamp") != last - HOUR).then(pl.col("target"))
    )
    found = tsfm.cross_validation(gappy, prediction_length=2, n_windows=1, model=model)
    assert found.filter(item_id="a")["target"].is_null().to_list() == [True, False]
    assert found["predictions"].is_finite().all()


def test_pandas_in_is_pandas_out(model, tiny_frame):
    found = tsfm.cross_validation(
        tiny_frame.to_pandas(), prediction_length=2, n_windows=1, model=model
    )
    expected = tsfm.cross_validation(tiny_frame, prediction_length=2, n_windows=1, model=model)
    assert type(found).__module__.startswith("pandas")
    assert list(found.columns) == expected.columns
    np.testing.assert_array_equal(found["predictions"], expected["predictions"])


def test_one_bar_counts_all_windows(model, tiny_frame, capsys):
    tsfm.cross_validation(tiny_frame, prediction_length=2, n_windows=3, model=model, progress=True)
    out, err = capsys.readouterr()
    assert "6/6" in err
    assert out == ""
    tsfm.cross_validation(tiny_frame, prediction_length=2, n_windows=3, model=model)
    assert capsys.readouterr() == ("", "")


def test_a_model_can_be_named(model, tiny_frame):
    named = tsfm.cross_validation(tiny_frame, prediction_length=2, n_windows=1, device="cpu")
    assert named.equals(
        tsfm.cross_validation(tiny_frame, prediction_length=2, n_windows=1, model=model)
    )


def test_an_item_that_is_too_short_is_named(model, tiny_frame):
    with pytest.raises(DataError, match="item 'b' must have more than 36 steps, got 36"):
        tsfm.cross_validation(tiny_frame, prediction_length=12, n_windows=3, model=model)


def test_an_item_without_values_before_a_cutoff_is_named(model, tiny_frame):
    last = tiny_frame.filter(item_id="b")["timestamp"].max()
    empty = (pl.col("item_id") == "b") & (pl.col("timestamp") < last - 5 * HOUR)
    frame = tiny_frame.with_columns(pl.when(~empty).then(pl.col("target")))
    tsfm.cross_validation(frame, prediction_length=4, n_windows=1, model=model)
    with pytest.raises(DataError, match="cutoff 8 steps before the end: item 'b', column 'target'"):
        tsfm.cross_validation(frame, prediction_length=4, n_windows=2, model=model)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_windows": 0}, "n_windows must be a whole number of at least 1, got 0"),
        ({"step_size": 0}, "step_size must be a whole number of at least 1, got 0"),
        ({"step_size": -2}, "step_size must be a whole number of at least 1, got -2"),
        ({"prediction_length": 0}, "prediction_length must be .* got 0"),
    ],
)
def test_wrong_arguments_are_refused(model, tiny_frame, arguments, message):
    with pytest.raises(ConfigError, match=message):
        tsfm.cross_validation(tiny_frame, **{"prediction_length": 2, "model": model, **arguments})


def test_a_key_that_has_the_name_of_an_answer_is_refused(model, tiny_frame):
    with pytest.raises(DataError, match="column 'cutoff' must not be the id or the timestamp"):
        tsfm.cross_validation(
            tiny_frame.rename({"timestamp": "cutoff"}),
            prediction_length=2,
            timestamp_column="cutoff",
            model=model,
        )
