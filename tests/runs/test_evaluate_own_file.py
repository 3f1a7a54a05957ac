"""`tsfm evaluate zero_shot --like FILE`: the last windows of one's own file are forecast."""

import json
import re
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import tsfm
from tsfm import cli
from tsfm.evaluation.benchmark_sets import WindowsLeftOutWarning
from tsfm.evaluation.zero_shot import ZeroShotConfig, sets_of_file
from tsfm.metrics.forecasting import seasonal_error


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Two items of 100 and 80 hours with a value of theirs missing, and one that is too short."""
    generator = np.random.default_rng(0)
    parts = []
    for name, count in (("a", 100), ("b", 80), ("new", 20)):
        start = datetime(2024, 1, 1)
        wave = np.sin(np.arange(count) * 2 * np.pi / 24)
        columns = {"sales": 5 + wave + generator.normal(0, 0.1, count), "price": wave}
        stamps = pl.datetime_range(start, interval="1h", end=start.replace(year=2025), eager=True)
        parts.append(pl.DataFrame({"item_id": name, "timestamp": stamps[:count], **columns}))
    frame = pl.concat(parts).with_row_index()
    gone = pl.when(pl.col("index") == 97).then(None).otherwise(pl.col("sales")).alias("sales")
    frame.with_columns(gone).drop("index").write_csv(tmp_path / "shop.csv")
    return tmp_path / "shop.csv"


def command(file: Path, output: Path, *overrides: str) -> list[str]:
    own = ["evaluate", "zero_shot", "--like", str(file), "--set", f"run.output={output}"]
    return [*own, 'evaluate.target=["sales"]', *overrides]


def test_scores_are_those_of_the_forecasts_of_the_file(
    file: Path, tmp_path: Path, tracking_uri: str, capsys: pytest.CaptureFixture[str]
):
    output = tmp_path / "out"
    asked = ["evaluate.prediction_length=6", "evaluate.models=[]", "evaluate.n_windows=2"]
    assert cli.main(command(file, output, *asked)) == 0
    assert "## own file" in capsys.readouterr().out
    report = json.loads((output / "report.json").read_text())
    (row,) = [row for row in report["results"] if row["model"] == "seasonal naive"]
    assert (row["dataset"], row["n_items"]) == ("shop/sales", 4)

    whole = pl.read_csv(file, try_parse_dates=True).filter(pl.col("item_id") != "new")
    errors = []
    for (_,), item in whole.group_by("item_id", maintain_order=True):
        values = item["sales"].to_numpy()
        for end in (len(values), len(values) - 6):
            context = values[: end - 6]
            scale = seasonal_error(context[:, None], np.array([0, len(context)]), 24)
            naive = np.resize(context[-24:], 6)
            errors.append(np.abs(values[end - 6 : end] - naive) / scale[0, 0])
    assert row["mase"] == pytest.approx(float(np.nanmean(np.concatenate(errors))), rel=1e-6)


def test_items_that_are_too_short_to_be_scored_are_named(file: Path):
    options = ZeroShotConfig(
        protocol="zero_shot", models=(), like=str(file), target=("sales",), prediction_length=6
    )
    said = r"shop/sales: item 'new' has no more values than a season of 24 .*\(1 such item of 3\)"
    with pytest.warns(WindowsLeftOutWarning, match=said):
        (found,) = sets_of_file(file, 6, options)
    assert len(found) == 2


def test_the_bundled_model_forecasts_it_as_the_function_does(
    file: Path, tmp_path: Path, tracking_uri: str
):
    output = tmp_path / "out"
    assert cli.main(command(file, output, "evaluate.prediction_length=6")) == 0
    report = json.loads((output / "report.json").read_text())
    (row,) = [row for row in report["results"] if row["model"] == "tsfm-small"]
    assert row["label"] == "zero-shot"
    assert row["mase_ratio"] < 1
    frame = pl.read_csv(file, try_parse_dates=True)
    frame = frame.filter(pl.col("item_id") != "new").select("item_id", "timestamp", "sales")
    seen = pl.concat([one[:-6] for one in frame.partition_by("item_id")])
    found = tsfm.forecast(seen, prediction_length=6, target="sales", freq="h")
    both = found.join(frame, on=["item_id", "timestamp"])
    inside = both["sales"].is_between(both["0.1"], both["0.9"]).drop_nulls()
    assert row["coverage_80"] == pytest.approx(inside.mean())


def test_a_file_that_the_weights_have_seen_is_not_called_zero_shot(
    file: Path, tmp_path: Path, tracking_uri: str
):
    seen = file.rename(file.with_name("us_grid.csv"))
    output = tmp_path / "out"
    assert cli.main(command(seen, output, "evaluate.prediction_length=6")) == 0
    report = json.loads((output / "report.json").read_text())
    (row,) = [row for row in report["results"] if row["model"] == "tsfm-small"]
    assert row["label"] == "seen"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ([], r"prediction_length must be given for .*shop.csv, got none; pass --set"),
        (
            ["evaluate.prediction_length=400"],
            "must have a series of more values than a season of 24 and a horizon of 400 steps",
        ),
        (["evaluate.prediction_length=6", 'evaluate.target=["nobody"]'], "nobody"),
    ],
)
def test_what_cannot_be_scored_is_refused_in_one_line(
    file: Path,
    tmp_path: Path,
    tracking_uri: str,
    capsys: pytest.CaptureFixture[str],
    overrides: list[str],
    message: str,
):
    output = tmp_path / "out"
    assert cli.main(command(file, output, *overrides)) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert re.search(message, line)
    assert not output.exists()


def test_a_horizon_without_a_file_is_refused(capsys: pytest.CaptureFixture[str], tracking_uri: str):
    assert cli.main(["evaluate", "zero_shot", "--set", "evaluate.prediction_length=6"]) == 1
    assert "prediction_length is that of the card of a set, got 6" in capsys.readouterr().err
