"""The verbs that read a user's files: forecast, impute, detect."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import CycloptsError, Parameter, validators


def _names(text: str) -> str | list[str]:
    return text.split(",") if "," in text else text


def _numbers(_: Any, tokens: Sequence[Any]) -> tuple[float, ...]:
    return tuple(float(part) for part in tokens[0].value.split(","))


def _whole(_: Any, tokens: Sequence[Any]) -> int:
    """Read a whole number; left to itself, the command line takes 1.5 for 2."""
    text = tokens[0].value
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"must be a whole number, got {text!r}") from None


Flag = Annotated[bool, Parameter(negative=())]
Inputs = Annotated[list[str], Parameter(name="INPUT", negative=())]
Levels = Annotated[tuple[float, ...], Parameter(converter=_numbers, n_tokens=1, negative=())]
Whole = Annotated[int, Parameter(converter=_whole)]


def forecast(
    inputs: Inputs,
    /,
    *,
    prediction_length: Whole,
    output: Path | None = None,
    quantiles: Levels = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9),
    model: str = "tsfm-small",
    calendar: str | None = None,
    plot: Path | None = None,
    id_column: str = "item_id",
    timestamp_column: str = "timestamp",
    target: str = "target",
    freq: str | None = None,
) -> dict[str, Any]:
    """Forecast every series of files, folders or globs of CSV or Parquet.

    Parameters
    ----------
    inputs
        Files, folders or globs, CSV or Parquet, in long form.
    prediction_length
        Steps to forecast.
    output
        Parquet or CSV file for the forecasts; without it they are printed.
    quantiles
        Levels between 0 and 1, with commas between them.
    model
        Bundled name, folder, or models:/name@alias.
    calendar
        Exchange code such as XNYS: future stamps are real sessions.
    plot
        HTML file for a plot.
    id_column
        Column that tells the series apart.
    timestamp_column
        Column of stamps.
    target
        Column to forecast, or several with commas between them.
    freq
        pandas alias; inferred when absent.
    """
    from tsfm.jobs import forecast as job

    return job.run(
        inputs,
        prediction_length=prediction_length,
        output=output,
        quantile_levels=quantiles,
        model=model,
        calendar=calendar,
        plot=plot,
        id_column=id_column,
        timestamp_column=timestamp_column,
        target=_names(target),
        freq=freq,
    )


def impute(
    inputs: Inputs,
    /,
    *,
    output: str,
    engine: Literal["local", "ray"] = "local",
    address: str | None = None,
    workers: Annotated[Whole | None, Parameter(validator=validators.Number(gte=1))] = None,
    mode: Literal["two-sided", "two_sided", "causal"] = "two-sided",
    max_gap: Whole | None = None,
    fill_rows: Flag = False,
    resume: Flag = False,
    verify: Flag = False,
    model: str | None = None,
    quantiles: Levels = (),
    plot: Path | None = None,
    id_column: str = "item_id",
    timestamp_column: str = "timestamp",
    target: str = "target",
    freq: str | None = None,
    calendar: str | None = None,
) -> dict[str, Any]:
    """Fill the gaps of every series of files, folders or globs of CSV or Parquet.

    A series may lie in several Parquet files. Files are committed one by one.

    Parameters
    ----------
    inputs
        Files, folders or globs, CSV or Parquet, in long form; or addresses of Parquet, as s3://.
    output
        Folder or address; every file is written there under its own name.
    engine
        local, or ray: on a Ray cluster, with the same values.
    address
        Of a running Ray cluster; without it Ray starts one on this machine.
    workers
        Processes at once; by default one per core.
    mode
        two-sided, or causal: nothing after a step has a say in what is filled there.
    max_gap
        Longest gap, in steps, that is filled; longer ones stay missing.
    fill_rows
        Add a row for every stamp that has none, by frequency or calendar.
    resume
        Keep what an interrupted job of the same options has done; without it, start anew.
    verify
        Read the output back and compare it with the input, value by value.
    model
        Bundled name, folder, or models:/name@alias; by default the bundled one of the mode.
    quantiles
        Levels between 0 and 1, with commas between them, for which columns are added.
    plot
        HTML file for examples of filled gaps, by length.
    id_column
        Column that tells the series apart.
    timestamp_column
        Column of stamps.
    target
        Column to fill, or several with commas between them.
    freq
        pandas alias; inferred when absent.
    calendar
        Exchange code such as XNYS: stamps are its sessions.
    """
    from tsfm.jobs import impute as job

    if address is not None and engine != "ray":
        message = "--address is that of a Ray cluster, which needs --engine ray"
        raise CycloptsError(msg=message, command_chain=("impute",))
    return job.run(
        inputs,
        output=output,
        engine=engine,
        address=address,
        workers=workers,
        mode=mode,
        max_gap=max_gap,
        fill_rows=fill_rows,
        resume=resume,
        verify=verify,
        plot=plot,
        model=model,
        quantile_levels=quantiles,
        id_column=id_column,
        timestamp_column=timestamp_column,
        target=_names(target),
        freq=freq,
        calendar=calendar,
    )


def detect(
    inputs: Inputs,
    /,
    *,
    output: Path,
    model: str = "tsfm-small",
    id_column: str = "item_id",
    timestamp_column: str = "timestamp",
    target: str = "target",
    freq: str | None = None,
    calendar: str | None = None,
) -> dict[str, Any]:
    """Score how surprising every row of files, folders or globs of CSV or Parquet is.

    Parameters
    ----------
    inputs
        Files, folders or globs, CSV or Parquet, in long form.
    output
        Folder; every file is written there under its own name.
    model
        Bundled name, folder, or models:/name@alias; a saved detector flags rows too.
    id_column
        Column that tells the series apart.
    timestamp_column
        Column of stamps.
    target
        Column to score, or several with commas between them.
    freq
        pandas alias; inferred when absent.
    calendar
        Exchange code such as XNYS: stamps are its sessions.
    """
    from tsfm.jobs import detect as job

    return job.run(
        inputs,
        output=output,
        model=model,
        id_column=id_column,
        timestamp_column=timestamp_column,
        target=_names(target),
        freq=freq,
        calendar=calendar,
    )
