"""A tracker that records nothing and one that keeps a list must both fit the protocol."""

import json
from pathlib import Path

import pytest

from tsfm.tracking import FileTracker, ListTracker, NoTracker, Tracker


@pytest.mark.parametrize("tracker", [NoTracker(), ListTracker()])
def test_a_whole_run_is_recorded(tracker: Tracker, tmp_path: Path) -> None:
    tracker.start("run", {"training": {"steps": 1}})
    tracker.log(1, {"train/loss": 0.5})
    tracker.log_input("el_nino", "abc", source="data", context="training")
    tracker.artifact(tmp_path)
    tracker.finish("FINISHED")
    if isinstance(tracker, ListTracker):
        kinds = [kind for kind, _ in tracker.events]
        assert kinds == ["start", "log", "log_input", "artifact", "finish"]


def test_a_list_keeps_the_metrics_it_was_told() -> None:
    tracker, metrics = ListTracker(), {"train/loss": 0.5}
    tracker.log(1, metrics)
    metrics["train/loss"] = 9.0
    assert tracker.events == [("log", (1, {"train/loss": 0.5}))]


def test_steps_that_a_run_takes_again_stand_once_in_its_file(tmp_path: Path) -> None:
    file, inner = tmp_path / "log.jsonl", ListTracker()
    before = FileTracker(file, inner)
    before.start("run", {})
    for step in (10, 20, 30):
        before.log(step, {"loss": 1.0})
    with file.open("a") as lines:
        lines.write('{"step": 40, "lo')  # killed while it was written
    after = FileTracker(file, inner, after=20)
    after.start("run", {})
    after.log(30, {"loss": 2.0})
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert [(row["step"], row["loss"]) for row in rows] == [(10, 1.0), (20, 1.0), (30, 2.0)]
