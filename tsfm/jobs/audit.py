"""The look-ahead audit of a recipe: its data get another future, and nothing before may move."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from tsfm.config import Recipe
from tsfm.environment import ran_on
from tsfm.errors import UnsupportedError
from tsfm.jobs import audit_forecasts, audit_ltsf, audit_stocks
from tsfm.jobs.audit_checks import Check
from tsfm.jobs.reports import REPORT_FILE, write_report
from tsfm.markdown import markdown_table

N_CUTOFFS = 50
MOST_SHOWN = 6
"""Columns of one part that the table shows; the file has all of them."""


def run(
    recipe: Recipe,
    *,
    strict: bool = False,
    n_cutoffs: int = N_CUTOFFS,
    output: str | Path | None = None,
) -> dict[str, Any]:
    """Audit the data path of a recipe.

    Writes ``leaks.parquet``, ``audit.md`` and, last, ``report.json``.

    Parameters
    ----------
    strict
        Say in the report, as ``wrong``, that a leak is an error.
    n_cutoffs
        Random stamps after which the future is changed.
    output
        By default ``runs/audit/<recipe>``.

    Raises
    ------
    ConfigError
        When the recipe is wrong.
    DataError
        When its data cannot be read.
    UnsupportedError
        When the recipe has no past and future to tell apart.
    """
    started = time.perf_counter()
    found = _checks(recipe, n_cutoffs)
    leaking = [check.name for check in found if not check.ok]
    report = {
        "recipe": recipe.name,
        "ok": not leaking,
        "leaking": leaking,
        "checks": [
            {"name": check.name, "where": check.where, "cutoffs": check.n_cutoffs, "ok": check.ok}
            for check in found
        ],
        "table": render(recipe.name, found),
        **ran_on(),
        "seconds": time.perf_counter() - started,
    }
    folder = Path(output or Path("runs") / "audit" / recipe.name)
    leaks = leak_rows(found)
    report["leaks"] = [
        {**row, "first_affected": str(row["first_affected"]), "cutoff": str(row["cutoff"])}
        for row in leaks
    ]
    _write(folder, report)
    message = f"{report['table']}\nresults: {folder}"
    wrong = f"{recipe.name} looks ahead in {', '.join(leaking)}" if strict and leaking else None
    return {**report, "message": message, "wrong": wrong}


def leak_rows(checks: Sequence[Check]) -> list[dict[str, Any]]:
    """Return one row per leaking column, the dearest of each part first."""
    rows = []
    for check in checks:
        of_check = []
        for row in check.leaks.iter_rows(named=True):
            worth = check.worth.get(row["column"])
            of_check.append(
                {
                    "part": check.name,
                    "where": check.where,
                    **row,
                    "ic": worth and worth.seen,
                    "hidden_ic": worth and worth.hidden,
                    "size_in_ic": worth and worth.of_the_future,
                }
            )
        rows += sorted(of_check, key=lambda row: -(row["size_in_ic"] or -1.0))
    return rows


def render(name: str, checks: Sequence[Check]) -> str:
    """Return what was found as Markdown."""
    body = []
    for check in checks:
        rows = leak_rows([check])
        for row in rows[:MOST_SHOWN]:
            worth = "" if row["size_in_ic"] is None else f"{row['size_in_ic']:.4f}"
            if worth:
                worth += f" (of {abs(row['ic']):.4f})"
            body.append(
                [f"{check.name}: {row['column']}", check.where, str(row["first_affected"]), worth]
            )
        if len(rows) > MOST_SHOWN:
            more = f"{check.name}: {len(rows) - MOST_SHOWN} more columns"
            body.append([more, check.where, str(min(row["first_affected"] for row in rows)), ""])
    asked = [[check.name, check.where, f"{check.n_cutoffs}", _verdict(check)] for check in checks]
    parts = [f"# Look-ahead audit of {name}"]
    parts.append(markdown_table(["watched", "where", "cutoffs", "verdict"], asked))
    if body:
        header = ["leak", "where", "first affected", "size in IC"]
        parts.append(markdown_table(header, body))
        if any(check.worth for check in checks):
            parts.append(
                "Size in IC: by how much the information coefficient of the column on the test "
                "days shrinks when every day is computed from bars that end with it."
            )
    else:
        parts.append("No leak: whatever came after the cutoffs, nothing before them moved.")
    return "\n\n".join(parts) + "\n"


def _verdict(check: Check) -> str:
    return "nothing moved" if check.ok else f"LOOK-AHEAD: {len(check.leaks)} columns moved"


def _checks(recipe: Recipe, n_cutoffs: int) -> list[Check]:
    sections = recipe.sections
    if "ranker" in sections:
        return audit_stocks.checks(recipe, n_cutoffs)
    if "evaluate" in sections:
        return audit_ltsf.checks(recipe, n_cutoffs)
    if "model" in sections and "objective" in sections:
        if sections.get("data", {}).get("name") == "stocks":
            return audit_stocks.pretraining_checks(recipe, n_cutoffs)
        return audit_forecasts.checks(recipe, n_cutoffs)
    raise UnsupportedError(
        "tsfm audit asks recipes of backtest, of pretrain and of the protocol ltsf, got "
        f"{recipe.name} with the sections {sorted(sections)}; audit the recipe that it starts from"
    )


def _write(folder: Path, report: dict[str, Any]) -> None:
    """Write the results; `report.json` last, so that its presence means that all is there."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / REPORT_FILE).unlink(missing_ok=True)
    leaks = pl.DataFrame(report["leaks"], infer_schema_length=None)
    leaks.write_parquet(folder / "leaks.parquet")
    (folder / "audit.md").write_text(report["table"], encoding="utf-8")
    write_report(folder / REPORT_FILE, report)
