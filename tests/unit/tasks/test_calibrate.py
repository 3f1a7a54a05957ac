"""Whoever says 90 % and covers 70 % is not believed again: calibration in frames, end to end."""

import copy
import json

import numpy as np
import polars as pl
import pytest
import torch

import tsfm
from tsfm.errors import CheckpointError, ConfigError, DataError
from tsfm.models.model import Provenance, TimeSeriesModel
from tsfm.models.timer import Timer, TimerConfig
from tsfm.tasks.calibrate import CalibratedForecaster
from tsfm.tasks.calibration.calibration import Calibration
from tsfm.tasks.forecast import Forecaster
from tsfm.tasks.forecasting.quantiles import DECILES


def tiny(levels: tuple[float, ...]) -> Forecaster:
    config = TimerConfig(
        patch_length=4, d_model=8, n_heads=2, n_layers=1, d_ff=16, quantile_levels=levels
    )
    backbone = Timer(config)
    backbone.reset_parameters(torch.Generator().manual_seed(0))
    return Forecaster(TimeSeriesModel("timer", backbone, 32, Provenance()), device="cpu")


@pytest.fixture(scope="module")
def model() -> Forecaster:
    """It has learned nothing, so its intervals are wrong."""
    return tiny(DECILES)


@pytest.fixture(scope="module")
def frame() -> pl.DataFrame:
    """Six series of noise, of very different sizes."""
    generator = np.random.default_rng(0)
    parts = [
        pl.DataFrame(
            {
                "item_id": f"{n}",
                "timestamp": np.arange(150),
                "target": 10.0**n * (generator.normal(size=150) + 3),
            }
        )
        for n in range(6)
    ]
    return pl.concat(parts)


def until(frame: pl.DataFrame, step: int) -> pl.DataFrame:
    return frame.filter(pl.col("timestamp") < step)


@pytest.fixture(scope="module")
def calibrated(model, frame) -> CalibratedForecaster:
    return tsfm.calibrate(until(frame, 110), prediction_length=4, n_windows=15, model=model)


def test_a_calibrated_forecast_has_the_columns_and_the_median_of_a_forecast(
    calibrated, model, frame
):
    found, plain = calibrated.predict(frame), model.predict(frame, prediction_length=4)
    assert found.columns == plain.columns
    same = ["item_id", "timestamp", "target_name", "predictions", "0.5"]
    assert found.select(same).equals(plain.select(same))
    assert not found["0.1"].equals(plain["0.1"])
    shorter = calibrated.predict(frame, prediction_length=2, quantile_levels=[0.9, 0.1])
    assert shorter.columns[4:] == ["0.9", "0.1"]
    assert shorter.height == 12


def test_the_first_steps_are_the_same_however_many_are_asked_for(calibrated, frame):
    """A margin is in units of the width over all steps; the first ones may be far narrower."""
    whole = calibrated.predict(frame)
    for steps in (1, 3):
        found = calibrated.predict(frame, prediction_length=steps)
        near = whole.group_by("item_id", maintain_order=True).head(steps).select(whole.columns)
        assert found.equals(near)


def test_pandas_in_is_pandas_out(calibrated, frame):
    found = calibrated.predict(frame.to_pandas())
    assert type(found).__module__.startswith("pandas")
    np.testing.assert_array_equal(found["0.1"], calibrated.predict(frame)["0.1"])


def test_coverage_on_later_windows_is_what_was_claimed(calibrated, frame):
    report = calibrated.coverage(frame, n_windows=10)
    assert set(report["windows"]) == {"new"}
    whole = report.filter(pl.col("step") == 0, pl.col("nominal") == 0.8).row(0, named=True)
    assert whole["n_truths"] == 6 * 10 * 4
    assert abs(whole["coverage_before"] - 0.8) > 0.1
    assert abs(whole["coverage_after"] - 0.8) < 0.08
    assert whole["width_after"] > 0
    assert set(report["step"]) == {0, 1, 2, 3, 4}


def test_windows_of_the_calibration_are_called_seen(calibrated, frame):
    report = calibrated.coverage(until(frame, 118), n_windows=4)
    counts = report.filter(step=0, nominal=0.8).select("windows", "n_truths").rows()
    assert counts == [("new", 2 * 24), ("seen", 2 * 24)]


def test_what_comes_after_the_calibration_changes_nothing(calibrated, model, frame):
    """Margins know the frame that they were given; the truth of a forecast is not read."""
    past = tsfm.cross_validation(frame, prediction_length=4, n_windows=15, model=model)
    known = past.filter(pl.col("timestamp") < 110)
    changed = past.with_columns(
        pl.when(pl.col("timestamp") < 110).then("target").otherwise(pl.col("target") * -1000)
    )
    again = changed.filter(pl.col("timestamp") < 110)
    before, after = (Calibration.fit(one) for one in (known, again))
    np.testing.assert_array_equal(before.margins, after.margins)
    moved = before.apply(past).drop("target")
    assert after.apply(changed).drop("target").equals(moved)
    assert after.apply(changed.drop("target")).equals(moved)


def test_the_margins_of_calibrate_are_those_of_its_cross_validation(calibrated, model, frame):
    past = tsfm.cross_validation(until(frame, 110), prediction_length=4, n_windows=15, model=model)
    np.testing.assert_array_equal(Calibration.fit(past).margins, calibrated.calibration.margins)
    assert calibrated.calibration.until == 109


def test_forecasts_of_anybody_are_calibrated_whatever_the_order_of_rows():
    """Day-ahead guesses of another program, in a frame with other names."""
    generator = np.random.default_rng(0)
    days = pl.date_range(pl.date(2024, 1, 1), pl.date(2024, 4, 9), "1d", eager=True)
    truth = generator.normal(size=100)
    past = pl.DataFrame(
        {"sku": "a", "day": days, "cutoff": days.dt.offset_by("-1d"), "sold": truth}
    ).with_columns(**{"0.05": pl.lit(-0.1), "0.95": pl.lit(0.1)})
    names = {"id_column": "sku", "timestamp_column": "day"}
    calibration = Calibration.fit(past, target="sold", **names)
    inside = np.sort(np.abs(truth))[90]  # the 91st of 100: 0.9 * 101, rounded up
    shuffled = past.sample(fraction=1, shuffle=True, seed=0)
    found = calibration.apply(shuffled, **names)
    assert found.select("day", "sold").equals(shuffled.select("day", "sold"))
    np.testing.assert_allclose(found["0.95"], inside)
    np.testing.assert_allclose(found["0.05"], -inside)
    as_text = past.with_columns(pl.col("day").cast(pl.String))
    assert Calibration.fit(as_text, target="sold", **names).until == calibration.until


def test_shocks_that_hit_all_items_make_blocks_wider():
    generator = np.random.default_rng(0)
    shock = np.repeat(generator.normal(size=12) * 5, 30)
    rows = {"item_id": np.tile(np.arange(30), 12), "cutoff": np.repeat(np.arange(12), 30)}
    past = pl.DataFrame({**rows, "timestamp": rows["cutoff"] + 1, "target": shock}).with_columns(
        **{"0.05": pl.lit(-1.0), "0.95": pl.lit(1.0)}
    )
    split, block = (Calibration.fit(past, method=one) for one in ("split", "block"))
    assert block.margins.item() > split.margins.item()
    # Twelve observations: an interval of 90 % reaches the largest of them.
    assert block.margins.item() == pytest.approx((np.abs(shock).max() - 1) / 2)


def test_a_point_model_gets_intervals_in_units_of_the_series_changes(frame):
    point = tiny(())
    calibrated = tsfm.calibrate(
        until(frame, 110), prediction_length=4, n_windows=15, model=point, progress=False
    )
    found = calibrated.predict(frame)
    assert found.columns[4:] == [str(level) for level in DECILES]
    width = (found["0.9"] - found["0.1"]).to_numpy().reshape(6, 4)
    ratio = width[:, 0] / width[0, 0]
    np.testing.assert_allclose(np.log10(ratio), np.arange(6), atol=0.2)
    report = calibrated.coverage(frame, n_windows=10)
    whole = report.filter(pl.col("step") == 0, pl.col("nominal") == 0.8).row(0, named=True)
    assert whole["coverage_before"] == 0
    assert abs(whole["coverage_after"] - 0.8) < 0.08


def test_a_folder_keeps_the_calibration(calibrated, frame, tmp_path):
    folder = calibrated.save_pretrained(tmp_path / "calibrated")
    assert not list(folder.glob("*.pkl"))
    loaded = CalibratedForecaster.from_pretrained(folder, device="cpu")
    assert loaded.predict(frame).equals(calibrated.predict(frame))
    assert loaded.calibration.until == calibrated.calibration.until


def test_a_calibration_of_other_weights_is_refused(calibrated, tmp_path):
    folder = calibrated.save_pretrained(tmp_path / "calibrated")
    other = copy.deepcopy(calibrated.forecaster)
    next(other.model.parameters()).data.add_(0.1)
    other.save_pretrained(folder)
    with pytest.raises(CheckpointError, match=r"calibration.json must be of the weights beside"):
        CalibratedForecaster.from_pretrained(folder)
    calibrated.forecaster.save_pretrained(folder)
    assert CalibratedForecaster.from_pretrained(folder).calibration.method == "split"


def test_intervals_as_they_are_of_a_calibrated_folder_are_said(calibrated, frame, tmp_path):
    folder = calibrated.save_pretrained(tmp_path / "calibrated")
    with pytest.warns(UserWarning, match=r"as it is, and .*calibrated has a calibration too; tsfm"):
        alone = tsfm.forecast(frame, model=folder, prediction_length=4)
    with pytest.warns(UserWarning, match="has a calibration too"):
        tsfm.Forecaster.from_pretrained(folder)
    assert not alone["0.9"].equals(calibrated.predict(frame)["0.9"])


@pytest.mark.parametrize("content", ["{", "[]", '{"margins": [[1]]}', '{"quantile_levels": 3}'])
def test_a_broken_calibration_is_refused(content, tmp_path):
    (tmp_path / "calibration.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"a calibration must be a readable calibration.json"):
        CalibratedForecaster.from_pretrained(tmp_path)


def test_a_calibration_is_json_that_anybody_reads(calibrated, tmp_path):
    content = json.loads(calibrated.calibration.save(tmp_path / "one.json").read_text())
    assert np.shape(content["margins"]) == (4, 4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prediction_length": 5}, "prediction_length must be at most the 4 steps .* got 5"),
        ({"quantile_levels": [0.05]}, r"must be among the calibrated \[0.1, .* got \[0.05\]"),
        ({"level": 90}, r"options must be among .* got \['level'\]; leave them out"),
    ],
)
def test_what_was_not_calibrated_is_refused(calibrated, frame, options, message):
    with pytest.raises(ConfigError, match=message):
        calibrated.predict(frame, **options)


def test_a_method_that_nobody_knows_is_refused_before_anything_is_read():
    with pytest.raises(ConfigError, match=r"method must be one of .* got 'jackknife'"):
        tsfm.calibrate(None, prediction_length=2, method="jackknife")


def test_wrong_frames_of_forecasts_are_refused(model, frame):
    past = tsfm.cross_validation(until(frame, 60), prediction_length=3, n_windows=2, model=model)
    with pytest.raises(DataError, match=r"must have the columns \['cutoff'\], got"):
        Calibration.fit(past.drop("cutoff"))
    with pytest.raises(DataError, match=r"must have columns named by levels such as '0.05', got"):
        Calibration.fit(past.select("item_id", "timestamp", "cutoff", "target"))
    with pytest.raises(DataError, match=r"same number of rows, got 2 of \('5', .*\) and 3; drop"):
        Calibration.fit(past.head(past.height - 1))
    with pytest.raises(DataError, match="a frame of forecasts must have rows, got none"):
        Calibration.fit(past.head(0))
    with pytest.raises(ConfigError, match=r"method must be one of .* got 'jackknife'"):
        Calibration.fit(past, method="jackknife")
    twice = pl.concat([past, past.with_columns(pl.col("0.1") - 1)])
    with pytest.raises(DataError, match=r"must have one row per \['item_id', .* \(72 such rows\)"):
        Calibration.fit(twice)
    with pytest.raises(DataError, match="column 'target': a forecast must be numbers, got String"):
        Calibration.fit(past.with_columns(target=pl.lit("much")))
    calibration = Calibration.fit(past)
    longer = tsfm.cross_validation(until(frame, 60), prediction_length=4, n_windows=1, model=model)
    with pytest.raises(DataError, match=r"windows must have at most the 3 steps .* got 4; calib"):
        calibration.apply(longer)


@pytest.mark.usefixtures("as_users_call")
def test_levels_of_a_calibration_are_checked_numbers():
    step = np.arange(40)
    past = pl.DataFrame({"item_id": 0, "cutoff": step, "timestamp": step + 1, "target": step})
    past = past.with_columns(pl.Series("0.25", step - 3.0), pl.Series("0.75", step + 1.0))
    fitted = Calibration.fit(past, quantile_levels=["0.75", "0.25"])
    assert fitted.quantile_levels == (0.25, 0.75)
    with pytest.raises(ConfigError, match=r"quantile_levels must be different numbers .* got 0\.5"):
        Calibration.fit(past, quantile_levels=0.5)
