"""From the recipe to tables, on toy values under the names of the real cards."""

import json
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tsfm.config import load_recipe
from tsfm.errors import ConfigError, DataError
from tsfm.evaluation.detection_sets import read_detection_set
from tsfm.jobs import evaluate
from tsfm.tracking import ListTracker

CHANNELS = (
    "Accelerometer1RMS", "Accelerometer2RMS", "Current", "Pressure", "Temperature", "Thermocouple",
    "Voltage", "VolumeFlowRateRMS",
)  # fmt: skip


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """NAB with two series of 400 rows and one without an anomaly; SKAB with one; a scoreboard."""
    folder = tmp_path / "data"
    (folder / "published").mkdir(parents=True)
    generator, step = np.random.default_rng(0), np.arange(400)
    stamps = pl.datetime_range(
        pl.datetime(2014, 1, 1), pl.datetime(2014, 1, 2, 9, 15), "5m", time_unit="ms", eager=True
    )
    parts = []
    for number, name in enumerate(("a", "b", "quiet")):
        wave = np.sin(step * 2 * np.pi / 24) + generator.normal(0, 0.05, 400)
        inside = (step >= 300) & (step < 330) & (name != "quiet")
        wave[inside] += 3.0 * (number + 1)
        columns = {"target": wave, "anomaly": inside.astype(np.int8)}
        parts.append(pl.DataFrame({"series_id": name, "timestamp": stamps, **columns}))
    pl.concat(parts).write_parquet(folder / "nab_shared.parquet")
    valves = {name: generator.normal(size=900) for name in CHANNELS}
    valves["Current"][600:700] += 8.0
    seconds = pl.datetime_range(
        pl.datetime(2020, 3, 9),
        pl.datetime(2020, 3, 9, 0, 14, 59),
        "1s",
        time_unit="ms",
        eager=True,
    )
    inside = ((np.arange(900) >= 600) & (np.arange(900) < 700)).astype(np.int8)
    skab = pl.DataFrame(
        {"series_id": "valve1/0", "timestamp": seconds, **valves, "anomaly": inside}
    )
    free = skab.with_columns(series_id=pl.lit("anomaly-free"), anomaly=pl.lit(0, pl.Int8))
    pl.concat([skab, free]).write_parquet(folder / "skab.parquet")
    (folder / "published" / "nab_scoreboard.csv").write_text(
        "detector,profile,score\nhtm,standard,65.0\nhtm,reward_low_FP_rate,53.0\n"
        "htm,reward_low_FN_rate,70.0\n"
    )
    monkeypatch.setenv("TSFM_DATA", str(folder))
    return folder


def run(output: Path, *overrides: str):
    tracker = ListTracker()
    rivals = ["naive residual", "isolation forest", "random"]
    recipe = load_recipe(
        "detection",
        [
            f"evaluate.rivals={json.dumps(rivals)}",
            "evaluate.max_buffer=10",
            "evaluate.segment_length=30",
            "evaluate.resamples=50",
            "run.device=cpu",
            *overrides,
        ],
    )
    return evaluate.run(recipe, output=output, tracker=tracker), tracker


def test_detection_from_recipe_to_report(data, tmp_path):
    report, tracker = run(tmp_path / "out")
    found = {(row["dataset"], row["model"]): row for row in report["summary"]}
    ours = found["nab_shared", "tsfm-small, smoothed"]
    assert ours["label"] == "zero-shot"
    assert ours["n_items"] == 2
    assert ours["alpha"] <= 0.2
    assert ours["vus_pr"] > found["nab_shared", "random"]["vus_pr"]
    assert ("nab_shared", "tsfm-small, rows alone") in found
    assert found["skab", "isolation forest"]["auc_pr"] > found["skab", "random"]["auc_pr"]
    items = pl.read_parquet(tmp_path / "out" / "results.parquet")
    assert set(items.filter(dataset="skab")["item"]) == {"valve1/0"}
    assert set(items.filter(dataset="nab_shared")["item"]) == {"a", "b", "quiet"}
    text = report["message"]
    assert "Beside the scoreboard" in text
    assert "| htm " in text
    (metrics,) = [content[1] for event, content in tracker.events if event == "log"]
    assert metrics["detection/nab_shared/random/vus_pr"] == pytest.approx(
        found["nab_shared", "random"]["vus_pr"]
    )


def test_the_same_seed_gives_the_same_numbers(data, tmp_path):
    options = ("evaluate.models=[]", 'evaluate.datasets=["nab_shared"]')
    first, second = (run(tmp_path / name, *options)[0] for name in ("first", "second"))
    for one, other in zip(first["summary"], second["summary"], strict=True):
        assert {**one, "seconds": 0} == {**other, "seconds": 0}


def test_a_rival_whose_package_is_absent_has_a_line_that_says_so(data, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "stumpy", None)
    options = ("evaluate.models=[]", 'evaluate.rivals=["matrix profile", "random"]')
    report, _ = run(tmp_path / "out", *options)
    assert report["absent"] == {"matrix profile": "stumpy"}
    assert "No row for matrix profile: stumpy is not installed (extra eval)." in report["message"]
    assert {row["model"] for row in report["summary"]} == {"random"}


def test_rules_can_be_chosen_on_injected_anomalies(data, tmp_path):
    wave = np.sin(np.arange(2000) / 4) + np.random.default_rng(0).normal(0, 0.1, 2000)
    pl.DataFrame({"series_id": "x", "timestamp": range(2000), "target": wave}).write_parquet(
        data / "m4_hourly.parquet"
    )
    report, _ = run(
        tmp_path / "out",
        'evaluate.datasets=["injected"]',
        'evaluate.injected_cards=["m4_hourly"]',
        "evaluate.injected_per_card=1",
    )
    assert {row["dataset"] for row in report["summary"]} == {"injected"}
    assert "for choosing, never for comparing" in report["message"]


def test_how_channels_go_together_can_be_chosen_on_injected_anomalies(data, tmp_path):
    generator, step = np.random.default_rng(0), np.arange(1000)
    hidden = np.sin(step / 9) + generator.normal(0, 0.2, 1000)
    stations = pl.concat(
        pl.DataFrame(
            {
                "series_id": name,
                "timestamp": step,
                "target": hidden + generator.normal(0, 0.05, 1000),
            }
        )
        for name in ("a|x", "a|y", "a|z", "b|x")
    )
    stations.write_parquet(data / "accelerometer_running.parquet")
    report, _ = run(
        tmp_path / "out",
        'evaluate.datasets=["injected channels"]',
        'evaluate.channel_cards=["accelerometer_running"]',
        "evaluate.channels_per_card=4",
    )
    found = {row["model"]: row["auc_pr"] for row in report["summary"]}
    assert found["tsfm-small, channels together"] > found["tsfm-small, smoothed"]
    items = pl.read_parquet(tmp_path / "out" / "results.parquet")["item"].unique().sort()
    kinds = ("delayed", "elsewhere", "flipped", "gained")
    assert items.to_list() == [
        f"accelerometer_running/{kind}/{number}" for number, kind in enumerate(kinds)
    ]


def test_what_lasts_can_be_chosen_on_injected_states(data, tmp_path):
    generator, step = np.random.default_rng(0), np.arange(1000)
    wave = np.sin(step / 4) + generator.normal(0, 0.1, 1000)
    one = pl.DataFrame({"series_id": "x", "timestamp": step, "target": wave})
    one.write_parquet(data / "m4_hourly.parquet")
    channels = [
        one.with_columns(series_id=pl.lit(name), target=pl.Series(generator.normal(size=1000)))
        for name in ("a|x", "a|y", "a|z")
    ]
    pl.concat(channels).write_parquet(data / "accelerometer_running.parquet")
    report, _ = run(
        tmp_path / "out",
        'evaluate.datasets=["injected states"]',
        'evaluate.injected_cards=["m4_hourly"]',
        'evaluate.channel_cards=["accelerometer_running"]',
        "evaluate.states_per_card=2",
    )
    assert {row["dataset"] for row in report["summary"]} == {"injected states"}
    items = pl.read_parquet(tmp_path / "out" / "results.parquet")["item"].unique().sort()
    assert items.to_list() == [
        "accelerometer_running/coupling/2",
        "accelerometer_running/spreads/1",
        "m4_hourly/levels/0",
        "machine/drift/3",
        "machine/levels/4",
    ]


def test_a_set_without_labels_is_refused(data):
    pl.DataFrame(
        {"series_id": ["x"] * 3, "timestamp": [0, 1, 2], "target": [1.0, 2.0, 3.0]}
    ).write_parquet(data / "m4_hourly.parquet")
    with pytest.raises(ConfigError, match="must have a column 'anomaly', got 'm4_hourly'"):
        read_detection_set("m4_hourly")


def test_what_is_said_of_the_windows_of_nab_is_said_of_no_other_set(data):
    pl.DataFrame(
        {"series_id": "x", "timestamp": [0, 1, 2], "target": [1.0, 2.0, 3.0], "anomaly": [0, 1, 0]}
    ).write_parquet(data / "m4_hourly.parquet")
    assert "a tenth of the rows" in read_detection_set("nab_shared").note
    other = read_detection_set("m4_hourly").note
    assert "at most 750 rows, are for training" in other
    assert "a tenth" not in other


@pytest.mark.parametrize(
    ("labels", "is_right"),
    [
        ([0, 1, 0], True),
        ([False, True, False], True),
        (["0", "1", "0"], True),
        ([0, 1, None], False),
        (["no", "yes", "no"], False),
        ([0, 2, 0], False),
    ],
)
def test_labels_are_0_or_1_in_every_row(data, labels, is_right):
    pl.DataFrame(
        {"series_id": "x", "timestamp": [0, 1, 2], "target": [1.0, 2.0, 3.0], "anomaly": labels}
    ).write_parquet(data / "m4_hourly.parquet")
    if is_right:
        (series,) = read_detection_set("m4_hourly").series
        assert series.labels.tolist() == [False, True, False]
        return
    with pytest.raises(DataError, match=r"column 'anomaly' must be 0 or 1 in every row, got \["):
        read_detection_set("m4_hourly")
