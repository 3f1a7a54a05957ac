"""A run must be recorded the same way by a real server on this machine."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tsfm.mlflow_store import import_mlflow
from tsfm.mlflow_tracker import MlflowTracker

PATIENCE_SECONDS = 60


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """Start `mlflow server` on a free loopback port, with everything it keeps in `tmp_path`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--backend-store-uri", f"sqlite:///{tmp_path}/server.db", "--workers", "1"]
    command += ["--artifacts-destination", str(tmp_path / "kept")]
    with (tmp_path / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, cwd=tmp_path, start_new_session=True
        )
    try:
        _wait_for(f"http://127.0.0.1:{port}/health", process, tmp_path / "server.log")
        yield f"http://127.0.0.1:{port}"
    finally:
        # The server and its workers; what they keep is thrown away, so they need no farewell.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(PATIENCE_SECONDS)


def _wait_for(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(address, timeout=2) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"the server did not start:\n{log.read_text()}")


def test_a_server_on_loopback_keeps_parameters_metrics_data_and_files(
    server: str, tmp_path: Path
) -> None:
    report = tmp_path / "report.json"
    report.write_text("{}")
    tracker = MlflowTracker(experiment="served", tracking_uri=server)
    tracker.start("run", {"training": {"steps": 3}})
    for step in range(1, 4):
        tracker.log(step, {"train/loss": 1 / step})
    tracker.log_input("el_nino", "abc", source="data/el_nino", context="training")
    tracker.artifact(report)
    tracker.finish("FINISHED")

    client = import_mlflow().MlflowClient(server)
    run = client.get_run(tracker.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params == {"training.steps": "3"}
    assert len(client.get_metric_history(tracker.run_id, "train/loss")) == 3
    assert run.inputs.dataset_inputs[0].dataset.digest == "abc"
    assert [entry.path for entry in client.list_artifacts(tracker.run_id)] == ["report.json"]
    assert list((tmp_path / "kept").rglob("report.json"))
