"""MlflowTracker: a run in an MLflow store.

It has a client and a run id of its own: no global active run, no autolog, no change of directory.
"""

import os
import re
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from tsfm.environment import commit, peak_memory_mb, versions
from tsfm.errors import ConfigError
from tsfm.mlflow_store import DEFAULT_URI, alone_with, answers, import_mlflow, unreachable
from tsfm.tracking import NoTracker, Tracker

# MLflow's own limits of one request and of one value.
METRICS_PER_REQUEST = 1000
PARAMS_PER_REQUEST = 100
LONGEST_PARAM = 6000
LONGEST_KEY = 250
REFUSED = re.compile(r"[^\w\-.:/ ]", re.ASCII)
# Metrics are sent together, so that a short step never waits for the store.
SECONDS_BETWEEN_REQUESTS = 5.0


class TrackingWarning(UserWarning):
    """Shown when a store stops answering during a run; the run itself goes on."""


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class TrackingConfig:
    """Where runs are recorded.

    Parameters
    ----------
    enabled
        False records nothing.
    experiment
        Made when it does not exist.
    tracking_uri
        Address of the store; None means the environment's ``MLFLOW_TRACKING_URI``, and without
        it ``sqlite:///mlflow.db`` in the working directory.
    parent
        Id of the run under which this one is shown.
    """

    enabled: bool = True
    experiment: str = "tsfm"
    tracking_uri: str | None = None
    parent: str | None = None


def allowed(name: str) -> str:
    """Return a name of a metric without the signs that MLflow refuses.

    Examples
    --------
    >>> allowed("S&P 500, 2017/share/12.5%")
    'S_P_500_2017/share/12.5percent'
    """
    return re.sub(r"[^\w\-.:/]", "_", name.replace("%", "percent").replace(",", ""), flags=re.ASCII)


def make_tracker(config: TrackingConfig, *, run_id: str | None = None) -> Tracker:
    """Return the tracker that `config` asks for; `run_id` is a run to go on with."""
    if not config.enabled:
        return NoTracker()
    return MlflowTracker(
        experiment=config.experiment,
        tracking_uri=config.tracking_uri,
        run_id=run_id,
        parent=config.parent,
    )


def child_tracker(parent: Tracker) -> Tracker:
    """Return a tracker whose run will be shown below that of `parent`, which has been started.

    Only MLflow knows runs below runs; what others have no place for is not recorded.
    """
    if not isinstance(parent, MlflowTracker):
        return NoTracker()
    return MlflowTracker(
        experiment=parent.experiment, tracking_uri=parent.uri, parent=parent.run_id
    )


def tracker_here(experiment: str) -> "MlflowTracker":
    """Return a tracker whose run lies below MLflow's active one, where the user has opened one."""
    mlflow = import_mlflow()
    active = mlflow.active_run()
    if active is None:
        return MlflowTracker(experiment=experiment)
    return MlflowTracker(
        experiment=mlflow.get_experiment(active.info.experiment_id).name,
        tracking_uri=mlflow.get_tracking_uri(),
        parent=active.info.run_id,
    )


class MlflowTracker:
    """Records a run in an MLflow store: a SQLite file, another database, or a server.

    Parameters
    ----------
    experiment, tracking_uri, parent
        See `TrackingConfig`.
    run_id
        A run to go on with; None opens a new one at `start`.

    Raises
    ------
    ConfigError
        At `start`, when the store cannot be reached or opened, or the experiment or the run to go
        on with was deleted. Later failures are warnings: what could not be sent is kept and tried
        again.
    """

    def __init__(
        self,
        *,
        experiment: str = "tsfm",
        tracking_uri: str | None = None,
        run_id: str | None = None,
        parent: str | None = None,
    ) -> None:
        self.uri = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI
        self.run_id = run_id
        self.experiment = experiment
        self._parent = parent
        self._client: Any = None
        self._metrics: list[Any] = []
        self._sent_at = (0.0, 0.0)
        self._is_silent = False

    def start(self, name: str, config: dict[str, Any]) -> None:
        """Open the run with flat parameters, commit and versions; or go on with `run_id`."""
        client_class = import_mlflow().MlflowClient
        if not answers(self.uri):
            raise ConfigError(unreachable(self.uri, "nothing listens there"))
        try:
            with alone_with(self.uri):
                self._client = client_class(tracking_uri=self.uri)
            if self.run_id is None:
                self._open(name, config)
            else:
                self._go_on()
        except ConfigError:
            raise
        except Exception as error:
            raise ConfigError(unreachable(self.uri, str(error).splitlines()[0])) from error
        self._sent_at = (time.monotonic(), time.process_time())

    def log(self, step: int, metrics: dict[str, float]) -> None:
        """Keep the metrics; send them when some seconds have passed."""
        from mlflow.entities import Metric

        stamp = time.time_ns() // 1_000_000
        self._metrics += [
            Metric(allowed(key), value, stamp, step) for key, value in metrics.items()
        ]
        if time.monotonic() - self._sent_at[0] >= SECONDS_BETWEEN_REQUESTS:
            self._metrics += [Metric(k, v, stamp, step) for k, v in self._usage().items()]
            self._send()

    def log_input(self, name: str, digest: str, *, source: str, context: str) -> None:
        """Record a data set by name and digest; nothing is uploaded."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        dataset = Dataset(name, digest[:36], "local", source)
        tag = InputTag("mlflow.data.context", context)
        self._try(lambda: self._client.log_inputs(self.run_id, [DatasetInput(dataset, [tag])]))

    def artifact(self, path: Path) -> None:
        """Copy a file, or a folder under its own name, to the run."""
        if path.is_dir():
            self._try(lambda: self._client.log_artifacts(self.run_id, str(path), path.name))
        else:
            self._try(lambda: self._client.log_artifact(self.run_id, str(path)))

    def finish(self, status: str) -> None:
        """Send what is left and close the run."""
        if self._metrics:
            self.log(self._metrics[-1].step, self._usage())
            self._send()
        self._try(lambda: self._client.set_terminated(self.run_id, status))

    def _open(self, name: str, config: dict[str, Any]) -> None:
        from mlflow.entities import Param

        experiment = self._experiment_id()
        tags = _tags() | ({"mlflow.parentRunId": self._parent} if self._parent else {})
        run = self._client.create_run(experiment, run_name=name, tags=tags)
        self.run_id = run.info.run_id
        params = [Param(key, value) for key, value in flat(config).items()]
        for start in range(0, len(params), PARAMS_PER_REQUEST):
            part = params[start : start + PARAMS_PER_REQUEST]
            self._client.log_batch(self.run_id, params=part)

    def _go_on(self) -> None:
        try:
            self._client.update_run(self.run_id, status="RUNNING")
        except Exception as error:
            raise ConfigError(
                f"a run must be in its store to go on, got {self.run_id!r} in {self.uri!r}: "
                f"{str(error).splitlines()[0]}; restore it, correct MLFLOW_TRACKING_URI, or set "
                "tracking.enabled=false"
            ) from error

    def _experiment_id(self) -> str:
        """Find the experiment, or make it; another process may make it in between."""
        found = self._client.get_experiment_by_name(self.experiment)
        if found is None:
            try:
                return self._client.create_experiment(self.experiment)
            except Exception:
                found = self._client.get_experiment_by_name(self.experiment)
                if found is None:
                    raise
        if found.lifecycle_stage == "deleted":
            raise ConfigError(
                f"experiment must not be deleted, got {self.experiment!r} in {self.uri!r}; run "
                f"mlflow experiments restore --experiment-id {found.experiment_id}"
            )
        return found.experiment_id

    def _usage(self) -> dict[str, float]:
        """Load and memory of this process since the last request."""
        wall, cpu = time.monotonic(), time.process_time()
        seconds = max(wall - self._sent_at[0], 1e-3)
        peak = peak_memory_mb()
        return {
            "system/cpu_percent": 100 * (cpu - self._sent_at[1]) / seconds,
            **({"system/peak_memory_mb": peak} if peak is not None else {}),
        }

    def _send(self) -> None:
        self._sent_at = (time.monotonic(), time.process_time())
        while self._metrics:
            part = self._metrics[:METRICS_PER_REQUEST]
            if not self._try(lambda part=part: self._client.log_batch(self.run_id, metrics=part)):
                return
            del self._metrics[: len(part)]

    def _try(self, request: Any) -> bool:
        """Make a request that must not end the run; warn at the first failure in a row."""
        if self._client is None:
            raise ConfigError("a tracker must be started before it records, got no start(name)")
        reason = "" if answers(self.uri) else "nothing listens there"
        if not reason:
            try:
                request()
            except Exception as error:
                reason = str(error) or type(error).__name__
        if reason and not self._is_silent:
            message = f"{self.uri} must take what is recorded, got: {reason}; the run goes on"
            warnings.warn(message, TrackingWarning, stacklevel=3)
        self._is_silent = bool(reason)
        return not reason


def flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return nested values under dotted names, as text that MLflow accepts.

    Examples
    --------
    >>> flat({"training": {"steps": 100}, "groups": {"shared 7 (daily)": 1}})
    {'training.steps': '100', 'groups.shared 7 _daily_': '1'}
    """
    values: dict[str, str] = {}
    for key, value in config.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            values |= flat(value, f"{name}.")
        else:
            values[REFUSED.sub("_", name)[:LONGEST_KEY]] = str(value)[:LONGEST_PARAM]
    return values


def _tags() -> dict[str, str]:
    tags = {f"version.{package}": version for package, version in versions().items()}
    at = commit()
    return tags | ({"mlflow.source.git.commit": at} if at else {})
