"""Serve a model over HTTP: MLflow's scoring server, with threads set well.

One worker has all cores: a forecast is one stream of matrix products, and several workers would
fight for the cores that one can use.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tsfm.errors import CheckpointError, ConfigError, UnsupportedError
from tsfm.jobs.engines import n_cores
from tsfm.mlflow import save_model
from tsfm.mlflow_store import DEFAULT_URI
from tsfm.models.backbone import GapFiller, NextPatchModel
from tsfm.models.pretrained import fetch, load_pretrained
from tsfm.tasks.forecast import Forecaster
from tsfm.tasks.impute import Imputer

# Libraries that would otherwise each decide for themselves how many threads they start.
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS")
SECONDS_TO_STOP = 10
MODEL_FILE = "MLmodel"


def run(model: str, *, host: str = "127.0.0.1", port: int = 5000) -> dict[str, Any]:
    """Serve until the process is stopped; the environment is this one, and nothing is fetched.

    Parameters
    ----------
    model
        Bundled name, folder of a checkpoint or of a model that MLflow wrote, ``models:/name@alias``
        or ``runs:/id/model``.
    host, port
        Where to listen.

    Raises
    ------
    ConfigError
        When the port is none, or the server ends with an error.
    UnsupportedError
        When a checkpoint neither forecasts nor fills gaps.
    CheckpointError
        When there is no such model, or MLflow did not write it.
    """
    if not 1 <= port <= 65535:
        raise ConfigError(f"port must be between 1 and 65535, got {port}")
    with TemporaryDirectory(prefix="tsfm-") as scratch:
        uri = _servable(model, Path(scratch) / "model")
        command = [sys.executable, "-m", "mlflow", "models", "serve", "--model-uri", uri]
        command += ["--env-manager", "local", "--host", host, "--port", str(port), "--workers", "1"]
        with _started(command) as server:
            code = server.wait()
    if code:
        raise ConfigError(
            f"the server must start and stay up, got exit code {code} on {host}:{port}; see its "
            "messages above, or pass another --port"
        )
    return {"message": f"{model} is no longer served on {host}:{port}"}


def _servable(model: str, folder: Path) -> str:
    """Return a folder that MLflow can serve: the model's own, or a copy in its format."""
    if model.startswith(("models:/", "runs:/")):
        return str(_fetched(model, folder))
    if (Path(model) / MODEL_FILE).is_file():
        return model
    backbone = load_pretrained(model).backbone
    if isinstance(backbone, GapFiller):
        save_model(Imputer.from_pretrained(model), folder)
    elif isinstance(backbone, NextPatchModel):
        save_model(Forecaster.from_pretrained(model), folder)
    else:
        raise UnsupportedError(
            f"a checkpoint must forecast or fill gaps to be served, got {model}; save an estimator "
            "with tsfm.mlflow.save_model and serve that folder"
        )
    return str(folder)


def _fetched(address: str, folder: Path) -> Path:
    """Fetch a model here: that there is none would be a trace of the server's."""
    folder.mkdir()
    fetch(address, folder)
    found = [file.parent for file in folder.rglob(MODEL_FILE)]
    if len(found) != 1:
        raise CheckpointError(
            f"model {address!r} must hold one model that MLflow wrote, got {len(found)}; log it "
            "with tsfm.mlflow.log_model"
        )
    return found[0]


def serving_environment() -> dict[str, str]:
    """Return the environment of the server; what the user set stays as it is.

    Examples
    --------
    >>> serving_environment()["OMP_WAIT_POLICY"]
    'PASSIVE'
    """
    wanted = dict.fromkeys(THREADS, str(n_cores()))
    wanted |= {"OMP_WAIT_POLICY": "PASSIVE", "MLFLOW_DISABLE_TELEMETRY": "true"}
    wanted |= {"MLFLOW_TRACKING_URI": DEFAULT_URI}  # MLflow's own default differs by version
    # MLflow calls its web server by name, which an environment that is not active does not show.
    place = str(Path(sys.executable).parent)
    path = os.pathsep.join([place, *filter(None, [os.environ.get("PATH")])])
    return wanted | os.environ | {"PATH": path}


@contextmanager
def _started(command: list[str]) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a server, and end it with all processes it started, however this one is stopped."""
    server = subprocess.Popen(command, env=serving_environment(), start_new_session=True)
    try:
        yield server
    finally:
        _signal(server, signal.SIGTERM)
        try:
            server.wait(SECONDS_TO_STOP)
        except subprocess.TimeoutExpired:
            _signal(server, getattr(signal, "SIGKILL", signal.SIGTERM))


def _signal(server: "subprocess.Popen[bytes]", number: int) -> None:
    try:
        if hasattr(os, "killpg"):
            os.killpg(server.pid, number)
        else:
            server.terminate()
    except ProcessLookupError:
        pass
