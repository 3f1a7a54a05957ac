"""A call of `tsfm forecast` that cannot succeed leaves no file and no record behind."""

from pathlib import Path

import polars as pl
import pytest

from tsfm.errors import CheckpointError, ConfigError, DataError
from tsfm.jobs import forecast
from tsfm.tracking import ListTracker


@pytest.mark.parametrize(
    ("change", "options", "error", "message"),
    [
        (
            {},
            {"output": "out/f.xlsx"},
            DataError,
            r"output must end in .parquet or .csv, got out/f",
        ),
        ({}, {"output": "taken"}, DataError, r"output must end in"),
        ({}, {"output": "taken.csv"}, DataError, "output must be a file in a folder .* got taken"),
        (
            {},
            {"output": "series.csv/f.csv"},
            DataError,
            "output must be a file in a folder that can",
        ),
        (
            {},
            {"output": "series.csv"},
            DataError,
            "output must not be one of the inputs, got series",
        ),
        ({}, {"plot": "out/f.png"}, ConfigError, r"plot must end in \.html, got 'out/f.png'"),
        ({}, {"plot": "series.csv/f.html"}, DataError, "plot must be a file in a folder that can"),
        ({}, {"model": "tsfm-huge"}, CheckpointError, "model must be .* got 'tsfm-huge'"),
        ({}, {"prediction_length": 0}, ConfigError, "prediction_length must be .* got 0"),
        ({}, {"quantile_levels": (0.0,)}, ConfigError, "quantile_levels must be"),
        ({}, {"calendar": "MOON"}, ConfigError, "calendar must be an exchange code, got 'MOON'"),
        ({}, {"freq": "never"}, ConfigError, "freq must be an alias .* got 'never'"),
        ({}, {"target": "load"}, DataError, r"series.csv: column 'load' must be present"),
        (
            {"target": None},
            {},
            DataError,
            "series.csv: item 'a', column 'target': must have a value",
        ),
        ({"timestamp": "x"}, {}, DataError, "series.csv: item 'a', .*'x' that is no stamp"),
        (
            {"timestamp": "2024-01-01"},
            {},
            DataError,
            "series.csv: item 'a'.* 47 duplicate timestamps",
        ),
    ],
)
def test_what_is_wrong_is_found_before_anything_is_written(
    tmp_path, tiny_frame, monkeypatch, change, options, error, message
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken.csv").mkdir()
    constants = [pl.lit(value).alias(name) for name, value in change.items()]
    tiny_frame.with_columns(constants).write_csv("series.csv")
    before = set(tmp_path.rglob("*"))
    tracker = ListTracker()
    paths = {key: Path(options[key]) for key in ("output", "plot") if key in options}
    asked = {"prediction_length": 3, "quantile_levels": (0.5,), "output": Path("out/f.csv")}
    with pytest.raises(error, match=message):
        forecast.run(["series.csv"], **{**asked, **options, **paths}, tracker=tracker)
    assert set(tmp_path.rglob("*")) == before
    assert tracker.events == []
