"""The first call that everybody makes: any frame must work, come back alike, or be refused well."""

import io
import sys
import warnings
from datetime import date, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import tsfm
from tsfm.errors import ConfigError, DataError
from tsfm.series.validation import ColumnNamesWarning
from tsfm.tasks.forecast import Forecaster
from tsfm.tasks.forecasting.quantiles import DECILES

COLUMNS = ["item_id", "timestamp", "target_name", "predictions"]
NAN = float("nan")


@pytest.fixture(scope="module")
def model() -> Forecaster:
    return Forecaster.from_pretrained("tsfm-small", device="cpu")


# What comes back


def test_a_row_per_item_target_and_step_with_a_column_per_level(model, tiny_frame):
    frame = tiny_frame.with_columns(other=pl.col("target") * 2)
    found = model.predict(
        frame, prediction_length=3, target=["target", "other"], quantile_levels=[0.9, 0.05]
    )
    assert found.columns == [*COLUMNS, "0.9", "0.05"]
    expected = pl.datetime_range(
        datetime(2024, 1, 3), datetime(2024, 1, 3, 2), "1h", time_unit="us", eager=True
    )
    for name in ("target", "other"):
        part = found.filter(item_id="a", target_name=name)
        assert part["timestamp"].to_list() == expected.to_list()
    second = found.filter(item_id="b", target_name="other")
    assert second["timestamp"][0] == datetime(2024, 1, 2, 12)
    assert found.height == 2 * 2 * 3
    assert found.null_count().sum_horizontal()[0] == 0


def test_targets_are_forecast_each_by_itself(model, tiny_frame):
    frame = tiny_frame.with_columns(other=pl.col("target").sqrt())
    both = model.predict(frame, prediction_length=5, target=["target", "other"])
    for name in ("target", "other"):
        alone = model.predict(frame, prediction_length=5, target=name)
        assert both.filter(target_name=name).equals(alone)


def test_predictions_are_the_median(model, tiny_frame):
    found = model.predict(tiny_frame, prediction_length=7)
    assert found.columns == [*COLUMNS, *map(str, DECILES)]
    assert found["predictions"].equals(found["0.5"])
    assert found["predictions"].equals(
        model.predict(tiny_frame, prediction_length=7, quantile_levels=[0.2])["predictions"]
    )


@pytest.mark.parametrize("kind", [pd.DataFrame, pl.DataFrame, pl.LazyFrame, pa.Table])
def test_the_kind_of_frame_that_came_in_comes_out(model, tiny_frame, kind):
    given = {
        pd.DataFrame: tiny_frame.to_pandas,
        pl.DataFrame: tiny_frame.clone,
        pl.LazyFrame: tiny_frame.lazy,
        pa.Table: tiny_frame.to_arrow,
    }[kind]()
    found = model.predict(given, prediction_length=4)
    assert type(found) is kind
    read = {
        pd.DataFrame: pl.from_pandas,
        pl.DataFrame: pl.DataFrame.clone,
        pl.LazyFrame: pl.LazyFrame.collect,
        pa.Table: pl.from_arrow,
    }[kind](found)
    expected = model.predict(tiny_frame, prediction_length=4)
    assert read.columns == expected.columns
    np.testing.assert_array_equal(read.drop("timestamp"), expected.drop("timestamp"))
    assert read["timestamp"].to_list() == expected["timestamp"].to_list()


def test_names_of_nixtla_are_used_and_come_back(model, tiny_frame):
    renamed = tiny_frame.rename({"item_id": "unique_id", "timestamp": "ds", "target": "y"})
    with pytest.warns(ColumnNamesWarning, match="using the columns"):
        found = model.predict(renamed, prediction_length=2)
    assert found.columns[:4] == ["unique_id", "ds", "target_name", "predictions"]
    assert set(found["target_name"]) == {"y"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        named = model.predict(
            renamed, prediction_length=2, id_column="unique_id", timestamp_column="ds", target="y"
        )
    assert named.equals(found)


def test_integer_steps_go_on_with_their_step(model):
    frame = pl.DataFrame({"timestamp": [10, 20, 30, 50], "target": [1, 2, 3, 5]})
    found = model.predict(frame, prediction_length=2)
    assert found["timestamp"].to_list() == [60, 70]
    assert found["item_id"].to_list() == ["0", "0"]


def test_a_calendar_makes_future_stamps_sessions(model):
    days = pl.Series("timestamp", [date(2024, 6, d) for d in (24, 25, 26, 27, 28)])
    frame = pl.DataFrame({"timestamp": days, "target": [1.0, 2.0, 3.0, 2.0, 1.0]})
    found = model.predict(frame, prediction_length=4, calendar="XNYS")
    # The exchange is closed on the Fourth of July and on weekends.
    assert found["timestamp"].to_list() == [date(2024, 7, d) for d in (1, 2, 3, 5)]


def test_ids_keep_their_type(model):
    frame = pl.DataFrame(
        {"item_id": [2, 1] * 8, "timestamp": np.repeat(range(8), 2), "target": 1.0}
    )
    found = model.predict(frame, prediction_length=1)
    assert found["item_id"].to_list() == [1, 2]
    assert found["item_id"].dtype == pl.Int64


# Folders


def test_a_forecaster_survives_its_folder(model, tmp_path: Path, tiny_frame):
    again = Forecaster.from_pretrained(model.save_pretrained(tmp_path / "copy"), device="cpu")
    assert again.predict(tiny_frame, prediction_length=3).equals(
        model.predict(tiny_frame, prediction_length=3)
    )


def test_a_folder_that_was_written_again_is_read_again(make_forecaster, tmp_path: Path, tiny_frame):
    before, after = (make_forecaster(quantile_levels=(0.5,), context_length=n) for n in (64, 4))
    found = []
    for model in (before, after):
        folder = model.save_pretrained(tmp_path / "mine")
        found.append(
            tsfm.forecast(tiny_frame, prediction_length=2, model=folder, quantile_levels=[0.5])
        )
        assert found[-1].equals(
            model.predict(tiny_frame, prediction_length=2, quantile_levels=[0.5])
        )
    assert not found[0].equals(found[1])


# Progress


def test_a_bar_is_shown_where_it_is_asked_for(model, tiny_frame, capsys):
    model.predict(tiny_frame, prediction_length=1, progress=True)
    out, err = capsys.readouterr()
    assert "forecasting" in err
    assert "2/2" in err
    assert out == ""


@pytest.mark.parametrize("progress", [None, False])
def test_away_from_a_terminal_there_is_silence(model, tiny_frame, capsys, progress):
    model.predict(tiny_frame, prediction_length=1, progress=progress)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(("progress", "shown"), [(None, True), (False, False)])
def test_on_a_terminal_a_bar_is_shown_unless_refused(
    model, tiny_frame, monkeypatch, progress, shown
):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    model.predict(tiny_frame, prediction_length=1, progress=progress)
    assert ("forecasting" in terminal.getvalue()) == shown


# Refusals


def test_a_single_stamp_needs_a_frequency(model):
    frame = pl.DataFrame({"timestamp": [datetime(2024, 1, 31)], "target": [5.0]})
    with pytest.raises(DataError, match=r"must have two stamps .* pass freq="):
        model.predict(frame, prediction_length=1)
    found = model.predict(frame, prediction_length=2, freq="ME")
    assert found["timestamp"].to_list() == [datetime(2024, 2, 29), datetime(2024, 3, 31)]
    assert found["predictions"].to_list() == [5.0, 5.0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"prediction_length": 0}, "prediction_length must be a whole .* at least 1, got 0"),
        (
            {"prediction_length": 10**8},
            "prediction_length must be at most 1000000 .*; ask for fewer",
        ),
        ({"context_length": 0}, "context_length must be a whole number .* got 0"),
        ({"context_length": -5}, "context_length must be a whole number .* got -5"),
        ({"batch_size": 0}, "batch_size must be a whole number .* got 0"),
        ({"quantile_levels": [0.5, 1.5]}, r"quantile_levels must be different .* got \[0\.5, 1\.5"),
        ({"freq": "fortnight"}, "freq must be an alias .* got 'fortnight'"),
        ({"calendar": "NYSE2"}, "calendar must be an exchange code, got 'NYSE2'"),
    ],
)
def test_wrong_arguments_are_refused(model, tiny_frame, arguments, message):
    with pytest.raises(ConfigError, match=message):
        model.predict(tiny_frame, **{"prediction_length": 3, **arguments})


@pytest.mark.parametrize("name", ["gpu", "cuda:99"])
def test_a_device_that_is_not_there_is_refused(tiny_frame, name):
    with pytest.raises(ConfigError, match=f"device must be 'auto', .* got '{name}': "):
        tsfm.forecast(tiny_frame, prediction_length=1, device=name)


@pytest.mark.parametrize("name", ["target_name", "predictions", "0.5"])
def test_a_key_that_has_the_name_of_an_answer_is_refused(model, tiny_frame, name):
    with pytest.raises(DataError, match=f"column '{name}' must not be the id or the timestamp"):
        model.predict(tiny_frame.rename({"item_id": name}), prediction_length=1, id_column=name)
