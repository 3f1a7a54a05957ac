"""The store that MLflow keeps runs and models in: where it is, and whether it can be opened."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from urllib.parse import urlsplit

from tsfm.locks import locked

DEFAULT_URI = "sqlite:///mlflow.db"


def import_mlflow() -> ModuleType:
    """Import MLflow with its usage reports switched off, unless the user decided otherwise."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    import mlflow

    module: ModuleType = mlflow
    return module


def answers(uri: str) -> bool:
    """Is somebody there? MLflow itself would try for minutes."""
    import socket

    parts = urlsplit(uri)
    if parts.scheme not in ("http", "https") or parts.hostname is None:
        return True
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        with socket.create_connection((parts.hostname, port), timeout=5):
            return True
    except OSError:
        return False


@contextmanager
def alone_with(uri: str) -> Iterator[None]:
    """Let no other process open a SQLite file meanwhile: who opens a new one makes its tables.

    Raises
    ------
    sqlite3.Error
        When the file can neither be opened nor made; MLflow would try for minutes.
    """
    path = uri.removeprefix("sqlite:///").partition("?")[0]
    is_file = uri.startswith("sqlite:///") and path not in ("", ":memory:")
    if not is_file or path.startswith("file:"):
        yield
        return
    import sqlite3

    with locked(Path(path).absolute().parent):  # which MLflow would make too
        sqlite3.connect(path).close()
        yield


def unreachable(uri: str, reason: str) -> str:
    """Say that a store cannot be opened, and what to do."""
    return (
        f"tracking_uri must be a store that can be opened, got {uri!r}: {reason}; start the "
        "server, correct MLFLOW_TRACKING_URI, or set tracking.enabled=false"
    )
