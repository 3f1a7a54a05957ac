"""Data sets: list them, find them, check them, and build the pool that pre-training reads."""

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tsfm.environment import ran_on
from tsfm.jobs.audit_overlap import shared_with
from tsfm.jobs.reports import REPORT_FILE, write_report
from tsfm.markdown import markdown_table
from tsfm.series.cards import file_digest, find_file, list_cards, load_card, require_file
from tsfm.series.pool_builder import COUNTS, build_pool

log = logging.getLogger(__name__)


def build(
    inputs: Sequence[str | Path],
    output: str | Path,
    *,
    train_share: float = 0.9,
    apart_from: Sequence[str] = (),
) -> dict[str, Any]:
    """Build a single-series pool; its folder appears when it is whole, then ``report.json``.

    Parameters
    ----------
    inputs
        Files, folders or globs of CSV or Parquet, names of cards, or a role such as ``pretrain``.
        Every file is a data set, named as the file.
    output
        Folder for the pool; it must not exist yet.
    train_share
        Leading share of every series that training may use.
    apart_from
        Names of cards, roles, or files: a series that has a window in common with one of these
        sets, at whatever level and scale, is left out (see `tsfm audit overlap`).

    Returns
    -------
    report
        What ``report.json`` holds, with ``message``: a table of the data sets.
    """
    started = time.perf_counter()
    index = build_pool(
        inputs,
        output,
        train_share=train_share,
        shared=shared_with(apart_from) if apart_from else None,
        progress=lambda name: log.info("reading %s", name),
    )
    statistics = index["statistics"]
    totals = {key: sum(one[key] for one in statistics) for key in COUNTS}
    report = {
        "output": str(output),
        "inputs": [str(entry) for entry in inputs],
        "apart_from": list(apart_from),
        **totals,
        "datasets": statistics,
        "sha256": index["sha256"],
        "seconds": round(time.perf_counter() - started, 3),
        **ran_on(),
    }
    write_report(Path(output) / REPORT_FILE, report)
    rows = [[one["name"], *(f"{one[key]:,}" for key in COUNTS)] for one in statistics]
    table = markdown_table(["name", *COUNTS], rows)
    summary = f"{totals['series']:,} series and {totals['points']:,} points in {output}"
    return {**report, "message": f"{table}\n{summary}"}


def list_data() -> dict[str, Any]:
    """List the cards, and where the file of each is.

    Returns
    -------
    report
        ``datasets``: a record per card; ``message``: the same as a table.
    """
    datasets = [
        {
            "name": card.name,
            "role": card.role,
            "domain": card.domain,
            "freq": card.freq or "",
            "series": f"{card.n_series:,}" if card.n_series else "",
            "values": f"{card.n_obs:,}" if card.n_obs else "",
            "file": str(find_file(card) or ""),
        }
        for card in map(load_card, list_cards())
    ]
    rows = [list(one.values()) for one in datasets]
    return {"datasets": datasets, "message": markdown_table(list(datasets[0]), rows)}


def path(name: str) -> dict[str, Any]:
    """Return where the file of a data set is, as ``path`` and as the message.

    Raises
    ------
    DataError
        When there is no such card, or the file is not here.
    """
    file = require_file(load_card(name)).resolve()
    return {"path": str(file), "message": str(file)}


def verify(names: Sequence[str] = ()) -> dict[str, Any]:
    """Compare files with the checksums on their cards.

    Parameters
    ----------
    names
        Cards whose files must be here; by default every file that is here is compared.

    Returns
    -------
    report
        ``verified`` and ``absent``: names; ``failed``: a line per file that differs.
    """
    verified, absent, failed = [], [], []
    for card in map(load_card, names or list_cards()):
        file = require_file(card) if names else find_file(card)
        if file is None:
            absent.append(card.name)
        elif (found := file_digest(file)) == card.sha256:
            verified.append(card.name)
        else:
            failed.append(
                f"{card.name}: {file} must have the checksum of its card, got {found} for "
                f"{card.sha256}; fetch it again from {card.source}"
            )
    message = f"{len(verified)} files are as their cards say, {len(absent)} are not here"
    return {"verified": verified, "absent": absent, "failed": failed, "message": message}
