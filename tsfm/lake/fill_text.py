"""A file of text with its gaps filled; every other field as it was."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from tsfm.errors import DataError
from tsfm.lake.gap_counts import GapCounts, count_gaps
from tsfm.lake.options import FillOptions
from tsfm.lake.solve import Fills
from tsfm.lake.text import TextFile, read_text_file
from tsfm.tasks.imputation.rows import RowFrame, describe_left, read_rows
from tsfm.tasks.impute import Imputer


@dataclass(frozen=True)
class FilledText:
    """The content of a filled file, and what was done to it.

    Parameters
    ----------
    filled
        Target -> rows that got a value.
    fills
        Its table is empty.
    """

    content: bytes
    n_rows: int
    n_items: int
    filled: dict[str, int]
    fills: Fills


def fill_text(source: str, options: FillOptions, imputer: Imputer) -> FilledText:
    """Fill the gaps of a CSV file.

    Raises
    ------
    DataError
        When it cannot be read or filled; it names the file.
    """
    file = read_text_file(source, options.columns)
    sources = [(source, file.typed.height)]
    try:
        rows = read_rows(file.typed, **file.asked, sources=sources)
        imputed, left = imputer.impute_rows(
            rows, options.quantile_levels, mode=options.mode, max_gap=options.max_gap
        )
    except DataError as error:
        is_named = str(error).startswith(source)
        raise DataError(str(error) if is_named else f"{source}: {error}") from None
    targets = rows.series.targets
    listed = tuple({**one._asdict(), "item": str(one.item)} for one in left)
    message = describe_left(left) if left else None
    counts = {
        target: _count(rows, imputed, channel, options) for channel, target in enumerate(targets)
    }
    filled = {target: int(imputed[f"{target}_imputed"].sum()) for target in targets}
    content = file.to_csv(_merged(file, imputed))
    fills = Fills(pl.DataFrame(), counts, listed, (), message)
    return FilledText(content, file.typed.height, rows.series.n_items, filled, fills)


def _merged(file: TextFile, imputed: pl.DataFrame) -> pl.DataFrame:
    """Put what was filled into the fields as they were written."""
    fields: Any = file.fields
    for target in file.columns.targets:
        flags, new = imputed[f"{target}_imputed"], imputed[target].cast(pl.String)
        fields = fields.with_columns(new.zip_with(flags, fields[target]).alias(target))
    return fields.hstack(imputed.drop(file.fields.columns).get_columns())


def _count(rows: RowFrame, imputed: pl.DataFrame, channel: int, options: FillOptions) -> GapCounts:
    series = rows.series
    asked = np.zeros(len(series.values), bool)
    asked[rows.place] = True
    flags = imputed[f"{series.targets[channel]}_imputed"].to_numpy()
    got = np.full(len(series.values), np.nan)
    got[rows.place[flags]] = 1.0
    return count_gaps(
        series.values[:, channel],
        got,
        series.offsets,
        asked,
        max_gap=options.max_gap,
        mode=options.mode,
        own=np.ones_like(asked),
    )
