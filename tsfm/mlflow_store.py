"""The store that MLflow keeps runs and models in: where it is, and whether it can be opened."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from urllib.parse import urlsplit

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

    The lock is on the folder, so that no file is left behind. Where there are no such locks, as on
    Windows, nothing is held.

    Raises
    ------
    sqlite3.Error
        When the file can neither be opened nor made; MLflow would try for minutes.
    """
    path = uri.removeprefix("sqlite:///").partition("?")[0]
    is_file = uri.startswith("sqlite:///") and path not in ("", ":memory:")
    if os.name == "nt" or not is_file or path.startswith("file:"):
        yield
        return
    import sqlite3
    from fcntl import LOCK_EX, flock

    folder = Path(path).absolute().parent
    folder.mkdir(parents=True, exist_ok=True)  # as MLflow would
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        flock(descriptor, LOCK_EX)
        sqlite3.connect(path).close()
        yield
    finally:
        os.close(descriptor)  # and the lock is gone


def unreachable(uri: str, reason: str) -> str:
    """Say that a store cannot be opened, and what to do."""
    return (
        f"tracking_uri must be a store that can be opened, got {uri!r}: {reason}; start the "
        "server, correct MLFLOW_TRACKING_URI, or set tracking.enabled=false"
    )
