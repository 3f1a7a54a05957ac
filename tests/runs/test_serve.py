"""What is served must be what `predict` says, and nothing may stay behind when it ends."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tsfm import cli
from tsfm.jobs.serve import serving_environment
from tsfm.tasks.forecast import Forecaster

PATIENCE_SECONDS = 240


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _ask(address: str, body: bytes | None = None) -> bytes:
    request = urllib.request.Request(address, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return bytes(answer.read())


def _wait(address: str, server: "subprocess.Popen[bytes]") -> None:
    ends = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < ends:
        assert server.poll() is None, "the server ended"
        try:
            _ask(address)
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.3)
        else:
            return
    pytest.fail("the server did not start")


@pytest.mark.slow
def test_the_server_forecasts_what_predict_does(tiny_frame: pl.DataFrame, tmp_path: Path) -> None:
    port = _free_port()
    command = [sys.executable, "-m", "tsfm", "serve", "tsfm-small", "--port", str(port)]
    server = subprocess.Popen(command, cwd=tmp_path)
    try:
        _wait(f"http://127.0.0.1:{port}/ping", server)
        frame = tiny_frame.with_columns(pl.col("timestamp").cast(pl.String)).to_pandas()
        body = {
            "dataframe_split": frame.to_dict(orient="split", index=False),
            "params": {"prediction_length": 5, "quantile_levels": [0.1, 0.9]},
        }
        answer = _ask(f"http://127.0.0.1:{port}/invocations", json.dumps(body).encode())
        found = pl.DataFrame(json.loads(answer)["predictions"])
    finally:
        server.send_signal(signal.SIGTERM)
        assert server.wait(60) == 130
    asked = {"prediction_length": 5, "quantile_levels": [0.1, 0.9]}
    expected = Forecaster.from_pretrained("tsfm-small").predict(tiny_frame, **asked)
    assert found["item_id"].to_list() == expected["item_id"].to_list()
    for name in ("predictions", "0.1", "0.9"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-5)
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0
    assert not list(tmp_path.iterdir())


def test_threads_follow_the_cores_unless_the_user_decided(monkeypatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("POLARS_MAX_THREADS", "7")
    environment = serving_environment()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert environment["OMP_NUM_THREADS"] == str(cores)
    assert environment["POLARS_MAX_THREADS"] == "7"


def test_models_are_looked_up_where_this_package_records_them(monkeypatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert serving_environment()["MLFLOW_TRACKING_URI"] == "sqlite:///mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///other.db")
    assert serving_environment()["MLFLOW_TRACKING_URI"] == "sqlite:///other.db"


def test_what_cannot_be_served_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["serve", "tsfm-small", "--port", "0"]) == 1
    assert "port must be between 1 and 65535, got 0" in capsys.readouterr().err
    assert cli.main(["serve", "no-such-model"]) == 1
    assert "model must be a bundled name" in capsys.readouterr().err


def test_an_address_without_a_model_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import mlflow

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    with mlflow.start_run() as run:
        mlflow.log_dict({}, "notes/about.json")
    for address, reason in (
        ("models:/absent@champion", "must exist in the tracking store"),
        (f"runs:/{run.info.run_id}/notes", "must hold one model that MLflow wrote, got 0"),
    ):
        assert cli.main(["serve", address]) == 1
        message = capsys.readouterr().err.splitlines()[-1]
        assert message.startswith(f"tsfm: error: model {address!r} {reason}")


def test_an_encoder_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from tsfm.models.model import Provenance, TimeSeriesModel
    from tsfm.models.pretrained import save_pretrained
    from tsfm.models.tst import Tst, TstConfig

    encoder = Tst(TstConfig(n_channels=2, context_length=16, d_model=8, n_heads=2, n_layers=1))
    save_pretrained(TimeSeriesModel("tst", encoder, 16, Provenance()), tmp_path / "encoder")
    assert cli.main(["serve", str(tmp_path / "encoder")]) == 1
    assert "a checkpoint must forecast or fill gaps to be served" in capsys.readouterr().err


@pytest.mark.slow
def test_a_server_that_cannot_start_is_an_error(tmp_path, capsys) -> None:
    (tmp_path / "MLmodel").write_text("flavors: {}\n")
    assert cli.main(["serve", str(tmp_path), "--port", str(_free_port())]) == 1
    assert "the server must start and stay up, got exit code" in capsys.readouterr().err
