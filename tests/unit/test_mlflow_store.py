"""A store is opened by one process at a time, or refused at once: nobody waits for minutes."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tsfm.errors import ConfigError
from tsfm.mlflow_store import import_mlflow
from tsfm.mlflow_tracker import MlflowTracker


def test_a_sqlite_store_is_opened_by_one_process_at_a_time(tracking_uri: str) -> None:
    fcntl = pytest.importorskip("fcntl", reason="there are no such locks on this system")
    other = os.open(Path(tracking_uri.removeprefix("sqlite:///")).parent, os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)
    tracker = MlflowTracker(experiment="waiting")
    waiting = threading.Thread(target=tracker.start, args=("run", {}))
    waiting.start()
    waiting.join(timeout=0.5)
    assert waiting.is_alive()
    assert tracker.run_id is None
    os.close(other)
    waiting.join(timeout=60)
    assert tracker.run_id is not None
    tracker.finish("FINISHED")


OPEN = """
import sys
from tsfm.mlflow_store import import_mlflow
from tsfm.mlflow_tracker import MlflowTracker
import_mlflow()
import mlflow.store.tracking.sqlalchemy_store
print("ready", flush=True)
sys.stdin.readline()
tracker = MlflowTracker(tracking_uri=sys.argv[1])
tracker.start("run", {"a": 1})
tracker.finish("FINISHED")
"""


@pytest.mark.slow
def test_two_processes_may_open_a_new_store_at_the_same_moment(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/new/mlflow.db"
    both = [
        subprocess.Popen(
            [sys.executable, "-c", OPEN, uri],
            cwd=tmp_path,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for process in both:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in both:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    for process in both:
        _, complaint = process.communicate(timeout=120)
        assert process.returncode == 0, complaint
    client = import_mlflow().MlflowClient(uri)
    (experiment,) = [one for one in client.search_experiments() if one.name == "tsfm"]
    assert len(client.search_runs([experiment.experiment_id])) == 2


def test_a_server_that_is_down_at_the_start_is_an_error_at_once() -> None:
    tracker = MlflowTracker(tracking_uri="http://127.0.0.1:9")
    with pytest.raises(ConfigError, match=r"127\.0\.0\.1:9.*nothing listens there; start the s"):
        tracker.start("run", {})


def test_a_sqlite_file_that_cannot_be_made_is_an_error_at_once(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").mkdir()
    tracker = MlflowTracker(tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}")
    started = time.monotonic()
    with pytest.raises(ConfigError, match=r"must be a store that can be opened.*unable to open"):
        tracker.start("run", {})
    assert time.monotonic() - started < 30


def test_a_store_of_plain_folders_is_refused(tmp_path: Path) -> None:
    tracker = MlflowTracker(tracking_uri=str(tmp_path / "folder"))
    with pytest.raises(ConfigError, match="tracking_uri must be a store that can be opened"):
        tracker.start("run", {})


def test_mlflow_reports_to_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_DISABLE_TELEMETRY")
    import_mlflow()
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
