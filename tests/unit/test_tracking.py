"""A tracker that records nothing and one that keeps a list must both fit the protocol."""

from pathlib import Path

import pytest

from tsfm.tracking import ListTracker, NoTracker, Tracker


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
