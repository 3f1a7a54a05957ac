"""Tracker: where a run's parameters, metrics, data and files go.

Code below `jobs/` knows only this protocol; `tsfm.mlflow_tracker` is the one that users meet.
"""

from pathlib import Path
from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class Tracker(Protocol):
    """A place that records runs."""

    def start(self, name: str, config: dict[str, Any]) -> None:
        """Open a run and record its configuration."""
        ...

    def log(self, step: int, metrics: dict[str, float]) -> None:
        """Record metrics, named as paths such as ``train/loss``, at a step."""
        ...

    def log_input(self, name: str, digest: str, *, source: str, context: str) -> None:
        """Record which data were read: their digest, and what for, such as ``training``."""
        ...

    def artifact(self, path: Path) -> None:
        """Record a file or a folder."""
        ...

    def finish(self, status: str) -> None:
        """Close the run; `status` is ``FINISHED``, ``FAILED`` or ``KILLED``."""
        ...


class NoTracker:
    """Records nothing."""

    def start(self, name: str, config: dict[str, Any]) -> None:
        """Do nothing."""

    def log(self, step: int, metrics: dict[str, float]) -> None:
        """Do nothing."""

    def log_input(self, name: str, digest: str, *, source: str, context: str) -> None:
        """Do nothing."""

    def artifact(self, path: Path) -> None:
        """Do nothing."""

    def finish(self, status: str) -> None:
        """Do nothing."""


class ListTracker:
    """Keeps what it is told as a list of (event, content).

    Examples
    --------
    >>> tracker = ListTracker()
    >>> tracker.log(1, {"train/loss": 0.5})
    >>> tracker.events
    [('log', (1, {'train/loss': 0.5}))]
    """

    def __init__(self) -> None:
        self.events: list[tuple[str, Any]] = []

    def start(self, name: str, config: dict[str, Any]) -> None:
        """Append the run's name and configuration."""
        self.events.append(("start", (name, config)))

    def log(self, step: int, metrics: dict[str, float]) -> None:
        """Append a step and its metrics."""
        self.events.append(("log", (step, dict(metrics))))

    def log_input(self, name: str, digest: str, *, source: str, context: str) -> None:
        """Append a data set."""
        self.events.append(("log_input", (name, digest, source, context)))

    def artifact(self, path: Path) -> None:
        """Append a path."""
        self.events.append(("artifact", path))

    def finish(self, status: str) -> None:
        """Append the status."""
        self.events.append(("finish", status))
