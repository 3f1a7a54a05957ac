"""Tracker: where a run's parameters, metrics, data and files go.

Code below `jobs` knows only this protocol; `tsfm.mlflow_tracker` is the one that users meet.
"""

import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class Tracker(Protocol):
    """A place that records runs.

    Parameters
    ----------
    run_id
        Under which a later process can go on with the run; None where that is not possible.
    """

    run_id: str | None

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


@contextmanager
def recorded(tracker: Tracker, name: str, config: dict[str, Any]) -> Iterator[Tracker]:
    """Open a run, and close it with the status of how its body ended.

    Examples
    --------
    >>> tracker = ListTracker()
    >>> with recorded(tracker, "run", {}):
    ...     tracker.log(1, {"train/loss": 0.5})
    >>> tracker.events[-1]
    ('finish', 'FINISHED')
    """
    tracker.start(name, config)
    try:
        yield tracker
    except BaseException as error:
        tracker.finish("KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED")
        raise
    tracker.finish("FINISHED")


class NoTracker:
    """Records nothing."""

    run_id: str | None = None

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


_default: list[Callable[[], "Tracker"]] = [NoTracker]


def set_default_tracker(make: Callable[[], "Tracker"]) -> None:
    """Decide where work is recorded that names no tracker, such as `Forecaster.finetune`."""
    _default[0] = make


def default_tracker() -> "Tracker":
    """Return a new tracker of the kind that was decided on; at first one that records nothing."""
    return _default[0]()


class ListTracker:
    """Keeps what it is told as a list of (event, content).

    Examples
    --------
    >>> tracker = ListTracker()
    >>> tracker.log(1, {"train/loss": 0.5})
    >>> tracker.events
    [('log', (1, {'train/loss': 0.5}))]
    """

    run_id: str | None = None

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


class PrefixTracker(NoTracker):
    """Passes metrics on under a prefix.

    Examples
    --------
    >>> tracker = ListTracker()
    >>> PrefixTracker("seed1", tracker).log(1, {"loss": 0.5})
    >>> tracker.events
    [('log', (1, {'seed1/loss': 0.5}))]
    """

    def __init__(self, prefix: str, then: Tracker) -> None:
        self._prefix = prefix
        self._then = then

    def log(self, step: int, metrics: dict[str, float]) -> None:
        """Pass on metrics."""
        self._then.log(step, {f"{self._prefix}/{name}": one for name, one in metrics.items()})


class FileTracker(NoTracker):
    """Appends the metrics to a file of JSON lines, and passes everything on to another tracker.

    Parameters
    ----------
    after
        The last step of a run that goes on: lines of later ones, which an interrupted run had
        written since its last save, are taken out, as they are written again.
    """

    def __init__(self, file: Path, then: Tracker, *, after: int = 0) -> None:
        self._file = file
        self._then = then
        self._after = after

    def start(self, name: str, config: dict[str, Any]) -> None:
        """Open the run of the other tracker."""
        if self._file.is_file():
            lines = self._file.read_text(encoding="utf-8").splitlines(keepends=True)
            kept = [line for line in lines if _step_of(line) <= self._after]
            partial = self._file.with_name(f".{self._file.name}.partial")
            partial.write_text("".join(kept), encoding="utf-8")
            partial.replace(self._file)
        self._then.start(name, config)
        self.run_id = self._then.run_id

    def log(self, step: int, metrics: dict[str, float]) -> None:
        """Append one line."""
        with self._file.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps({"step": step, "time": round(time.time(), 3), **metrics}) + "\n")
        self._then.log(step, metrics)

    def log_input(self, name: str, digest: str, *, source: str, context: str) -> None:
        """Pass on a data set."""
        self._then.log_input(name, digest, source=source, context=context)

    def artifact(self, path: Path) -> None:
        """Pass on a file or a folder."""
        self._then.artifact(path)

    def finish(self, status: str) -> None:
        """Close the run of the other tracker."""
        self._then.finish(status)


def _step_of(line: str) -> float:
    """Return the step of a line; one that was cut off while it was written has none."""
    try:
        return float(json.loads(line)["step"])
    except ValueError:
        return math.inf
