"""Data sets for a pool: files found, opened, and read as chunks of univariate series.

Nothing here holds more than a chunk of series, whatever the size of a file.
"""

import glob
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from tsfm.errors import DataError
from tsfm.series.bad_rows import refuse_rows
from tsfm.series.cards import list_cards, load_card, require_file
from tsfm.series.files import separator
from tsfm.series.find_files import PARQUET_SUFFIXES, files_below
from tsfm.series.offsets import known_to_polars
from tsfm.series.stamp_column import TEXT, read_stamps
from tsfm.shapes import Float64, Int, ndarray

ID_COLUMNS = ("item_id", "unique_id", "series_id", "ticker")
TIME_COLUMNS = ("timestamp", "ds", "date")
# A number of the row, as pandas writes it beside the columns: no series, but a straight line.
INDEX = re.compile(r"(Unnamed: \d+|__index_level_\d+__)?")
ROLES = ("pretrain", "held_out", "benchmark", "stock", "sample")
# Values that are read, scaled and written at once: some 100 MB with all that is made of them.
CHUNK_VALUES = 1_000_000


@dataclass(frozen=True)
class PoolSource:
    """A file that becomes a data set of the pool.

    Parameters
    ----------
    item_id, timestamp
        Columns; None looks for a usual name, and without one the file is a single item in the
        order of its rows.
    channels
        Value columns; None takes every numeric one but an index of pandas.
    """

    name: str
    file: Path
    item_id: str | None = None
    timestamp: str | None = None
    channels: tuple[str, ...] | None = None


class SeriesChunk(NamedTuple):
    """Univariate series that lie end to end, NaN where missing."""

    values: Float64[ndarray, " total_time"]
    offsets: Int[ndarray, " item_and_end"]
    item_ids: tuple[str, ...]


def find_sources(inputs: Sequence[str | Path]) -> list[PoolSource]:
    """Turn inputs into data sets, each named as its file or card.

    Parameters
    ----------
    inputs
        Files, folders or globs of CSV or Parquet, or names of cards; a role such as
        ``"pretrain"`` stands for all its cards whose licence allows every use.

    Raises
    ------
    DataError
        When nothing is found, or two data sets have one name.
    """
    sources = [source for entry in inputs for source in _sources(str(entry))]
    names = [source.name for source in sources]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"data sets must have names of their own, got {twice} twice; rename files")
    return sources


def _sources(entry: str) -> list[PoolSource]:
    path = Path(entry)
    if path.is_file():
        return [PoolSource(_stem(path), path)]
    if path.is_dir():
        files = files_below(path)
    else:
        files = sorted(Path(file) for file in glob.glob(entry, recursive=True))  # noqa: PTH207
    if files:
        return [PoolSource(_stem(file), file) for file in files]
    cards = list_cards()
    if entry in ROLES:
        loaded = [load_card(name) for name in cards]
        chosen = [card.name for card in loaded if card.role == entry and not card.non_commercial]
        return [_of_card(name) for name in chosen]
    if entry in cards:
        return [_of_card(entry)]
    raise DataError(
        f"{entry} must be a file, a folder or a pattern of CSV or Parquet files, or the name of a "
        "card, got nothing there; check the path, or see tsfm data list"
    )


def _of_card(name: str) -> PoolSource:
    card = load_card(name)
    return PoolSource(name, require_file(card), card.item_id, card.timestamp, card.channels)


def _stem(file: Path) -> str:
    return file.name.removesuffix(".gz").rsplit(".", 1)[0]


def series_chunks(source: PoolSource, scratch: Path) -> Iterator[SeriesChunk]:
    """Yield the univariate series of a data set, some items and one channel at a time.

    Stamps put the rows of an item in order and are then forgotten, as S3 has none. Items are
    taken in order of their names, so rows may lie in any order; a file whose items do not lie
    together is read once per chunk. An item must fit in memory.

    Parameters
    ----------
    scratch
        Folder for a Parquet copy of a file that polars cannot scan, which is removed in the end.

    Raises
    ------
    DataError
        When the file cannot be read, has no numeric column, or its items cannot be told apart.
    """
    copy = scratch / f"{source.name}.parquet"
    try:
        if source.file.name.lower().endswith(PARQUET_SUFFIXES):
            file = _scannable(source.file, copy)
        else:
            _scan_csv(source).sink_parquet(copy)
            file = copy
        yield from _chunks(pl.scan_parquet(file, glob=False), source)
    except (pl.exceptions.PolarsError, OSError) as error:
        text = str(error).strip() or type(error).__name__
        raise DataError(
            f"{source.file} must be a readable CSV or Parquet file, got: {text.splitlines()[0]}; "
            "write it again"
        ) from None
    finally:
        copy.unlink(missing_ok=True)


def _scan_csv(source: PoolSource) -> pl.LazyFrame:
    # All rows are looked at, so that a number with decimals late in a file is no surprise.
    options: dict[str, Any] = {"separator": separator(source.file), "glob": False}
    names = pl.scan_csv(source.file, infer_schema_length=0, **options).collect_schema().names()
    item = _item_column(source, names)
    return pl.scan_csv(
        source.file,
        try_parse_dates=True,
        infer_schema_length=None,
        # As numbers 007 and 7 would be one item.
        schema_overrides={item: pl.String} if item in names else None,
        **options,
    )


def _scannable(file: Path, copy: Path) -> Path:
    """Return a file, or where it has types that polars does not know, a copy with those it does."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(file)
    except (pa.ArrowException, OSError):
        return file  # polars says what is wrong
    known = pa.schema([field.with_type(known_to_polars(field.type)) for field in schema])
    if known.equals(schema):
        return file
    with pq.ParquetFile(file) as content, pq.ParquetWriter(copy, known) as writer:
        for batch in content.iter_batches():
            writer.write_table(pa.Table.from_batches([batch]).cast(known))
    return copy


def _item_column(source: PoolSource, names: Collection[str]) -> str | None:
    return source.item_id or next((name for name in ID_COLUMNS if name in names), None)


def _chunks(frame: pl.LazyFrame, source: PoolSource) -> Iterator[SeriesChunk]:
    schema = frame.collect_schema()
    item = _item_column(source, schema)
    time = source.timestamp or next((name for name in TIME_COLUMNS if name in schema), None)
    channels = source.channels or tuple(
        name
        for name, kind in schema.items()
        if (kind.is_numeric() or kind == pl.Boolean)
        and name not in (item, time)
        and not INDEX.fullmatch(name)
    )
    missing = [name for name in (item, time, *channels) if name and name not in schema]
    if missing or not channels:
        raise DataError(
            f"{source.file} must have the columns {missing or 'of numbers to learn from'}, got "
            f"{list(schema)}; rename or cast them"
        )
    columns = [pl.col(name).cast(pl.Float64).alias(f"value{i}") for i, name in enumerate(channels)]
    keys = [(pl.lit("") if item is None else pl.col(item)).alias("item")]
    keys += [pl.col(time).alias("time")] if time else []
    for of_chunk in _item_ranges(frame, item, source, len(channels)):
        part = frame if of_chunk is None else frame.filter(of_chunk)
        rows = _in_order(
            part.select(*keys, *columns).collect(engine="streaming"), source, item, time
        )
        runs = rows["item"].rle().struct.unnest()
        offsets = np.concatenate([[0], np.cumsum(runs["len"].to_numpy(), dtype=np.int64)])
        names = runs["value"].cast(pl.String).to_list()
        for number, channel in enumerate(channels):
            yield SeriesChunk(
                rows[f"value{number}"].fill_null(np.nan).to_numpy(),
                offsets,
                tuple("/".join(p for p in _parts(name, channel, channels)) for name in names),
            )


def _parts(item: str, channel: str, channels: tuple[str, ...]) -> tuple[str, ...]:
    if not item:
        return (channel,)
    return (item,) if len(channels) == 1 else (item, channel)


def _item_ranges(
    frame: pl.LazyFrame, item: str | None, source: PoolSource, n_channels: int
) -> Iterator[pl.Expr | None]:
    """Yield conditions that pick neighbouring items, together a chunk; None picks everything.

    Where items lie together, a Parquet file's own statistics let each chunk skip the rest.
    """
    if item is None:
        yield None
        return
    counts = frame.group_by(item).len().sort(item).collect(engine="streaming")
    if counts[item].null_count():
        raise DataError(
            f"{item} of {source.file} must not be missing, got {counts['len'][0]} rows without; "
            "drop or name them"
        )
    end = counts["len"].cast(pl.Int64).cum_sum()
    number = (end - counts["len"]) * n_channels // CHUNK_VALUES
    ranges = counts.with_columns(chunk=number).group_by("chunk", maintain_order=True)
    bounds = ranges.agg(low=pl.col(item).first(), high=pl.col(item).last())
    for low, high in zip(bounds["low"], bounds["high"], strict=True):
        yield None if len(bounds) == 1 else pl.col(item).is_between(pl.lit(low), pl.lit(high))


def _in_order(
    rows: pl.DataFrame, source: PoolSource, item: str | None, time: str | None
) -> pl.DataFrame:
    """Sort rows by item and time; most files are in order already, which is cheap to see."""
    if time is not None:
        rows = rows.with_columns(time=_stamps(rows, source, time))
    order = [name for name in ("item", "time") if name in rows.columns]
    before = [pl.col(name).shift(1) for name in order]
    ahead = pl.col(order[0]) > before[0]
    if "time" in order:
        ahead |= (pl.col("item") == before[0]) & (pl.col("time") >= before[1])
    else:
        ahead |= pl.col("item") == before[0]
    if not rows.select(ahead.fill_null(value=True).all()).item():
        rows = rows.sort(order, maintain_order=True)
    if time is not None:
        _refuse_repeated(rows, source, item)
    return rows


def _stamps(rows: pl.DataFrame, source: PoolSource, time: str) -> pl.Series:
    """Return stamps that order as time does: text orders by its letters."""
    stamps, sources = rows["time"], [(str(source.file), len(rows))]
    if stamps.dtype in TEXT:
        return read_stamps(stamps, rows["item"], time, sources)
    missing, remedy = "a missing stamp", "fill it or drop the rows"
    refuse_rows(stamps.is_null(), rows["item"], None, time, missing, remedy, sources)
    return stamps


def _refuse_repeated(rows: pl.DataFrame, source: PoolSource, item: str | None) -> None:
    again = (pl.col("item") == pl.col("item").shift(1)) & (
        pl.col("time") == pl.col("time").shift(1)
    )
    repeated = rows.filter(again)
    if not len(repeated):
        return
    if item is None:
        raise DataError(
            f"{source.file} must have an item_id column when stamps repeat, got {len(repeated)} "
            "repeated stamps; name the column that tells the series apart item_id"
        )
    raise DataError(
        f"{source.file}: item {repeated['item'][0]!r} must have one row for a stamp, got "
        f"{len(repeated)} repeated stamps, first {repeated['time'][0]}; aggregate them, or name "
        "the column that tells the series apart item_id"
    )
