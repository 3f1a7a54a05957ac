"""Impute files: every one is read, filled and written under its own name; `report.json` last."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from tsfm.errors import DataError
from tsfm.jobs.file_by_file import REPORT_FILE, n_files, run_file_by_file
from tsfm.series.files import read_input, write_output
from tsfm.tasks.impute import Imputer
from tsfm.tasks.impute_arrays import bundled_for
from tsfm.tasks.impute_frame import describe_left, read_rows
from tsfm.tracking import Tracker


def run(
    inputs: Sequence[str | Path],
    *,
    output: Path,
    mode: str = "two_sided",
    max_gap: int | None = None,
    model: str | None = None,
    quantile_levels: Sequence[float] = (),
    id_column: str = "item_id",
    timestamp_column: str = "timestamp",
    target: str | Sequence[str] = "target",
    freq: str | None = None,
    calendar: str | None = None,
    tracker: Tracker | None = None,
) -> dict[str, Any]:
    """Fill the gaps of every file; each file is imputed by itself.

    Parameters
    ----------
    output
        Folder; a file of an input folder keeps its place below it, any other file its name.
    mode
        ``"two_sided"`` or ``"causal"``; a hyphen will do as well.
    tracker
        By default an MLflow run, at the environment's address.

    Returns
    -------
    report
        What ``report.json`` holds, with ``message``. ``failed`` has a line for every file that
        could not be imputed; the others are written all the same.

    Raises
    ------
    DataError
        When no file can be imputed, two would be written to one place, or an input would be
        overwritten.
    """
    mode = mode.replace("-", "_")
    name = model or bundled_for(mode)
    imputer = Imputer.from_pretrained(name)
    columns: dict[str, Any] = {
        "id_column": id_column,
        "timestamp_column": timestamp_column,
        "target": target,
        "freq": freq,
        "calendar": calendar,
    }
    options = {"mode": mode, "max_gap": max_gap, "quantile_levels": list(quantile_levels)}
    report = run_file_by_file(
        "impute",
        inputs,
        Path(output),
        facts={"model": name, **options, **columns},
        do=lambda source, place: _impute(imputer, source, place, columns, options),
        totals=lambda done: {
            "rows": sum(one["rows"] for one in done),
            "filled": sum(sum(one["filled"].values()) for one in done),
        },
        tracker=tracker,
    )
    return {**report, "message": _message(report)}


def _impute(
    imputer: Imputer,
    source: Path,
    place: Path,
    columns: dict[str, Any],
    options: dict[str, Any],
) -> dict[str, Any]:
    """Fill one file, and say what was done."""
    frame, sources = read_input([source])
    try:
        rows = read_rows(frame, **columns, sources=sources)
        imputed, left = imputer.impute_rows(rows, **options)
    except DataError as error:
        named = str(error).startswith(str(source))
        raise DataError(str(error) if named else f"{source}: {error}") from None
    write_output(imputed, place)
    targets = rows.series.targets
    return {
        "input": str(source),
        "output": str(place),
        "rows": frame.height,
        "items": rows.series.n_items,
        "filled": {target: int(_count(imputed, target)) for target in targets},
        "stay_missing": [{**one._asdict(), "item": str(one.item)} for one in left],
        "message": describe_left(left) if left else None,
    }


def _count(frame: pl.DataFrame, target: str) -> int:
    return int(frame[f"{target}_imputed"].sum())


def _message(report: dict[str, Any]) -> str:
    left = [f"{one['input']}: {one['message']}" for one in report["files"] if one["message"]]
    first = (
        f"{report['filled']} values filled in {report['rows']} rows of {n_files(report)}, "
        f"report in {report['output']}/{REPORT_FILE}"
    )
    return "\n".join([first, *left])
