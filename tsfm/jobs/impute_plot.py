"""Examples of filled gaps, read back from what a job wrote."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tsfm.lake.gap_counts import length_range
from tsfm.lake.opened import opened
from tsfm.lake.options import FillOptions
from tsfm.series.folder_values import hive_values
from tsfm.series.validation import pick_columns
from tsfm.tasks.plot_gaps import GapExample, plot_gaps

PER_LENGTH = 3
MOST_FILES = 12
LEAST_AROUND = 24


def plot_report(report: dict[str, Any], options: FillOptions, file: str | Path) -> Path:
    """Draw up to three gaps of every range of lengths, of different series where there are."""
    found: dict[str, list[GapExample]] = defaultdict(list)
    files = [one for one in report["files"] if one["name"].endswith(".parquet")]
    for one in files[:: max(1, len(files) // MOST_FILES)][:MOST_FILES]:
        for length, example in _examples(one["output"], one["name"], options):
            if len(found[length]) < PER_LENGTH:
                found[length].append(example)
    in_order = sorted(found, key=lambda name: int(name.partition("-")[0]))
    return plot_gaps([example for name in in_order for example in found[name]], file)


def _examples(address: str, name: str, options: FillOptions) -> Iterator[tuple[str, GapExample]]:
    """Yield at most one gap of every length and item of the first row group of a file."""
    with opened(address) as content:
        if not content.num_row_groups:
            return
        frame = pl.DataFrame(pl.from_arrow(content.read_row_group(0)))
    for key, value in hive_values(name).items():
        if key not in frame.columns:
            frame = frame.with_columns(pl.lit(value).alias(key))
    columns = pick_columns(
        frame, options.id_column, options.timestamp_column, list(options.target), []
    )
    ids = [columns.id] if columns.has_id else []
    for _, item in frame.group_by(ids or [pl.lit(0)], maintain_order=True):
        ordered = item.sort(columns.timestamp)
        title = str(item[columns.id][0]) if ids else name
        for target in columns.targets:
            yield from _of_series(ordered, columns.timestamp, target, title)


def _of_series(
    item: pl.DataFrame, stamp: str, target: str, title: str
) -> Iterator[tuple[str, GapExample]]:
    flags = item[f"{target}_imputed"].to_numpy()
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags, [0]])))
    seen = set()
    for first, last in edges.reshape(-1, 2):
        length = length_range(int(last - first))
        if length in seen:
            continue
        seen.add(length)
        around = max(LEAST_AROUND, int(last - first))
        own = item[max(0, int(first) - around) : int(last) + around]
        values = own[target].cast(pl.Float64, strict=False).fill_nan(None).to_list()
        yield (
            length,
            GapExample(
                f"gap of {length}",
                f"{title}, {target}",
                own[stamp].cast(pl.String).to_list(),
                values,
                own[f"{target}_imputed"].to_list(),
            ),
        )
