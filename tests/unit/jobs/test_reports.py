"""A job writes `report.json` where users may have a file of that name: it is theirs."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tsfm.errors import DataError
from tsfm.jobs import detect, forecast, impute, synth
from tsfm.tracking import NoTracker

ROWS = [f"a,2024-01-{day:02},{'' if day == 9 else day % 7}" for day in range(1, 31)]


def forecast_to(folder: Path) -> None:
    forecast.run(
        ["in.csv"],
        prediction_length=2,
        quantile_levels=[0.5],
        output=folder / "f.csv",
        tracker=NoTracker(),
    )


def detect_to(folder: Path) -> None:
    detect.run(["in.csv"], output=folder, tracker=NoTracker())


def impute_to(folder: Path) -> None:
    impute.run(["in.csv"], output=folder, tracker=NoTracker())


def synth_to(folder: Path) -> None:
    synth.run(folder / "s.csv", n_series=1, length=16)


@pytest.mark.parametrize("job", [forecast_to, detect_to, impute_to, synth_to])
@pytest.mark.parametrize("theirs", ["my numbers", '["a"]', '{"mae": 1}'])
def test_a_report_never_replaces_a_file_of_something_else(
    job: Callable[[Path], None], theirs: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("in.csv").write_text("\n".join(["item_id,timestamp,target", *ROWS]))
    folder = Path("out")
    folder.mkdir()
    (folder / "report.json").write_text(theirs)
    with pytest.raises(DataError, match=r"without a report.json of something else, got out/report"):
        job(folder)
    assert (folder / "report.json").read_text() == theirs
    assert [file.name for file in folder.iterdir()] == ["report.json"]


@pytest.mark.parametrize("job", [forecast_to, detect_to, impute_to, synth_to])
def test_a_report_replaces_an_earlier_one(
    job: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("in.csv").write_text("\n".join(["item_id,timestamp,target", *ROWS]))
    synth_to(Path("out"))
    report = Path("out/report.json")
    report.write_text(json.dumps({**json.loads(report.read_text()), "is_earlier": True}))
    job(Path("out"))
    assert "is_earlier" not in json.loads(report.read_text())
