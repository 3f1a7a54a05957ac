"""Forecast files: a Parquet or CSV out, `report.json` last."""

import os
import time
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import polars as pl

from tsfm.environment import ran_on
from tsfm.errors import DataError
from tsfm.jobs.reports import REPORT_FILE, check_report_place, write_report
from tsfm.mlflow_tracker import TrackingConfig, make_tracker
from tsfm.series.cards import file_digest
from tsfm.series.files import read_input, write_output
from tsfm.series.frame import SeriesFrame
from tsfm.tasks.forecast import Forecaster
from tsfm.tasks.plot import check_plot, plot_forecast
from tsfm.tasks.progress import progress_bar
from tsfm.tracking import Tracker

OUTPUT_SUFFIXES = (".parquet", ".csv")
# What a store takes as the source of a data set.
LONGEST_SOURCE = 5000


def run(
    inputs: Sequence[str | Path],
    *,
    prediction_length: int,
    output: Path | None = None,
    quantile_levels: Sequence[float],
    model: str = "tsfm-small",
    calendar: str | None = None,
    plot: Path | None = None,
    id_column: str = "item_id",
    timestamp_column: str = "timestamp",
    target: str | Sequence[str] = "target",
    freq: str | None = None,
    progress: bool | None = None,
    tracker: Tracker | None = None,
) -> dict[str, Any]:
    """Forecast every series of the input.

    Whatever is wrong with the input or the options is found before anything is written. Then come
    the forecast, the plot, the record of the run, and ``report.json`` last. A series without a
    value among others has a missing forecast.

    Parameters
    ----------
    output
        Parquet or CSV; without it the forecast is the message, and no run is recorded.
    tracker
        By default an MLflow run, at the environment's address.

    Returns
    -------
    report
        What ``report.json`` holds, with ``message``. ``failed`` has a line for every series
        without a value, and when the run could not be recorded; the forecast is there all the same.
    """
    started = time.perf_counter()
    _check_places(output, plot)
    options: dict[str, Any] = {
        "id_column": id_column,
        "timestamp_column": timestamp_column,
        "target": target,
        "freq": freq,
        "calendar": calendar,
    }
    series, files = _read(inputs, output, options)
    forecaster = Forecaster.from_pretrained(model)
    try:
        forecaster.check_series(series, prediction_length, quantile_levels, partial=True)
    except DataError as error:
        raise DataError(f"{_names(files)}: {error}") from None

    def forecast() -> pl.DataFrame:
        with progress_bar(progress, series.n_items * len(series.targets)) as advance:
            return forecaster.forecast_series(
                series, prediction_length, quantile_levels, partial=True, advance=advance
            )

    empty = [f"{_names(files)}: {one}" for one in forecaster.without_value(series)]
    if output is None:
        found = forecast()
        if plot is not None:
            plot_forecast(series, found, plot)
        return {"message": found.write_csv().removesuffix("\n"), "failed": empty}
    facts = {
        # A run may be replayed from another folder.
        "model": str(Path(model).absolute()) if Path(model).is_dir() else model,
        "prediction_length": prediction_length,
        "quantile_levels": list(quantile_levels),
        **options,
        "inputs": [str(Path(name).absolute()) for name in files],
    }
    tracker = tracker or make_tracker(TrackingConfig())
    with _Record(tracker, facts, empty) as record:
        return _to_files(forecast, series, Path(output), plot, record, started)


def _read(
    inputs: Sequence[str | Path], output: Path | None, options: dict[str, Any]
) -> tuple[SeriesFrame, list[str]]:
    """Return the series, without the frame that is as large as they are, and all files read."""
    frame, sources = read_input(inputs, id_columns=(options["id_column"],))
    files = [name for name, _ in sources]
    _refuse_overwriting(output, files)
    return SeriesFrame.from_any(frame, **options, sources=sources), files


def _to_files(
    forecast: Callable[[], pl.DataFrame],
    series: SeriesFrame,
    output: Path,
    plot: Path | None,
    record: "_Record",
    started: float,
) -> dict[str, Any]:
    """Write the forecast, the plot and the report, in this order."""
    found = forecast()
    file = output.with_name(REPORT_FILE)
    file.unlink(missing_ok=True)
    write_output(found, output)
    if plot is not None:
        plot_forecast(series, found, plot)
    record.open()
    report = {
        "items": series.n_items,
        "rows": found.height,
        "sha256": _digest_of_numbers(found),
        "seconds": round(time.perf_counter() - started, 3),
        **record.facts,
        "output": str(output),
        "plot": None if plot is None else str(plot),
        "run_id": record.run_id,
        "failed": record.failed,
        **ran_on(),
    }
    write_report(file, report)
    record.add(report, [file] if plot is None else [file, Path(plot)])
    return {**report, "message": f"{found.height} rows in {output}, report in {file}"}


class _Record:
    """The record of a run, which ends as ``FINISHED`` or ``FAILED``.

    It is opened after the forecast was written, or when an error ends the run: a store that is
    slow or cannot be opened costs the record, never the forecast.
    """

    def __init__(self, tracker: Tracker, facts: dict[str, Any], failed: Sequence[str]) -> None:
        self.failed = list(failed)
        self._tracker = tracker
        self.facts = facts
        self._is_open = False

    @property
    def run_id(self) -> str | None:
        """The id of the run, where the tracker has one."""
        return getattr(self._tracker, "run_id", None)

    def open(self) -> None:
        """Open the run and record its parameters and input."""
        try:
            self._tracker.start("forecast", self.facts)
        except Exception as error:
            self.failed.append(f"record of the run: {error}")
            return
        self._is_open = True
        files = self.facts["inputs"]
        self._tracker.log_input(
            _names(files),
            _digest(files),
            source=", ".join(files)[:LONGEST_SOURCE],
            context="forecast",
        )

    def add(self, report: dict[str, Any], files: list[Path]) -> None:
        """Record numbers and files."""
        if not self._is_open:
            return
        names = ("items", "rows", "seconds", "peak_memory_mb")
        metrics = {name: float(report[name]) for name in names if report[name] is not None}
        self._tracker.log(0, metrics)
        for file in files:
            self._tracker.artifact(file)

    def __enter__(self) -> "_Record":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None and issubclass(kind, Exception) and not self._is_open:
            self.open()
        if self._is_open:
            self._tracker.finish("FINISHED" if kind is None else "FAILED")


def _check_places(output: Path | None, plot: Path | None) -> None:
    """Refuse, before any work is done, files that could not be written afterwards."""
    if plot is not None:
        check_plot(plot)
    if output is not None and Path(output).suffix not in OUTPUT_SUFFIXES:
        raise DataError(f"output must end in .parquet or .csv, got {output}; rename it")
    for name, place in (("output", output), ("plot", plot)):
        if place is None:
            continue
        file = Path(place).absolute()
        folder = next(parent for parent in file.parents if parent.exists())
        if file.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
            raise DataError(
                f"{name} must be a file in a folder that can be written to, got {place}; choose "
                "another place"
            )
    if output is not None:
        check_report_place(str(Path(output).with_name(REPORT_FILE)))


def _refuse_overwriting(output: Path | None, files: Sequence[str]) -> None:
    if output is not None and any(Path(output).resolve() == Path(name).resolve() for name in files):
        raise DataError(f"output must not be one of the inputs, got {output}; choose another name")


def _digest_of_numbers(found: pl.DataFrame) -> str:
    """Tell whether two forecasts are the same to the bit, without keeping them."""
    numbers = found.select(pl.col(pl.Float64)).to_numpy(order="c")
    return sha256(numbers.tobytes()).hexdigest()


def _names(files: Sequence[str]) -> str:
    return files[0] if len(files) == 1 else f"{files[0]} and {len(files) - 1} more"


def _digest(files: Sequence[str]) -> str:
    """Return the SHA-256 of one file, as `sha256sum` prints it, or of the digests of several."""
    digests = [file_digest(Path(name)) for name in files]
    return digests[0] if len(digests) == 1 else sha256("\n".join(digests).encode()).hexdigest()
