"""Another future: everything after a cutoff is changed, and nothing up to it.

Every item meets one fate, so that a single call of what is audited tells of all of them: what
remembers a scale, an order, a length, a last row or a list of survivors has each of them changed
somewhere. What remembers how long all of them last sees them end together now and then. Signs,
whole numbers and ranges are kept where a column has them, since what is audited may refuse a price
below zero.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import polars as pl

from tsfm.errors import ConfigError
from tsfm.shapes import Bool, Float64, Int, ndarray

Perturbation = Literal[
    "grow", "shrink", "flip", "resample", "gaps", "shorten", "vanish", "appear", "end"
]
PERTURBATIONS: tuple[Perturbation, ...] = get_args(Perturbation)
"""``grow`` and ``shrink``: a thousand times as large or as small, and all other items half or twice
as large; ``flip``: the other sign, or mirrored within its range where a column has no negative
values; ``resample``: rows of the item's own future in another order; ``gaps``: single rows dropped;
``shorten``: rows after a later stamp dropped; ``vanish``: no row after the cutoff; ``appear``: new
items; ``end``: nothing of any item after a later stamp, at every third cutoff."""
VALUES_ONLY: tuple[Perturbation, ...] = ("grow", "shrink", "flip", "resample")
"""What leaves every row where it is."""

LARGE, USUAL = float(np.log(1000.0)), 0.5
JITTER = 0.03
DROPPED_SHARE = 0.3
# One new item for so many old ones.
ITEMS_PER_NEWCOMER = 5
WHOLE: tuple[Perturbation, ...] = ("appear", "end")
"""What happens to the whole frame rather than to some items."""
END_EVERY = 3


@dataclass(frozen=True)
class Keys:
    """Key columns of a frame; `item` is None for a frame that is one item."""

    item: str | None
    timestamp: str

    @property
    def names(self) -> list[str]:
        """Of those that there are."""
        return [self.timestamp] if self.item is None else [self.item, self.timestamp]


@dataclass(frozen=True)
class _Rows:
    """Rows after the cutoff: the item of each, its place among those of its item, their number."""

    item: Int[ndarray, " row"]
    place: Int[ndarray, " row"]
    count: Int[ndarray, " row"]
    order: Int[ndarray, " row"]
    start: Int[ndarray, " row"]


def change_the_future(
    frame: pl.DataFrame,
    keys: Keys,
    columns: Sequence[str],
    cutoff: Any,
    *,
    kinds: Sequence[str] = PERTURBATIONS,
    turn: int = 0,
    generator: np.random.Generator,
) -> pl.DataFrame:
    """Return the frame with another future; rows up to `cutoff` keep their values and order.

    Parameters
    ----------
    columns
        What is changed; others keep their values where their row stays.
    kinds
        Of which every item meets one; newcomers come besides, and at every third turn an end.
    turn
        Moves every item on to another fate, so that even one item meets all of them in turn.

    Examples
    --------
    >>> frame = pl.DataFrame({"timestamp": [1, 2, 3], "target": [1.0, 2.0, 3.0]})
    >>> changed = change_the_future(
    ...     frame, Keys(None, "timestamp"), ["target"], 2, kinds=["vanish"],
    ...     generator=np.random.default_rng(0),
    ... )
    >>> changed["target"].to_list()
    [1.0, 2.0]
    """
    is_later = (frame[keys.timestamp] > cutoff).to_numpy()
    future = frame.filter(pl.Series(is_later))
    if not len(future):
        return frame
    rows = _rows_of(future, keys)
    n_items = int(rows.item.max()) + 1
    fates = [kind for kind in kinds if kind not in WHOLE]
    fate = np.full(len(future), -1)
    if fates:
        fate = ((generator.permutation(n_items) + turn) % len(fates))[rows.item]
    met: dict[str, Any] = {kind: fate == number for number, kind in enumerate(fates)}
    changed = _changed(frame, future, columns, rows, met, generator)
    stays = _stays(rows, met, generator)
    place = np.flatnonzero(is_later)
    index = np.arange(len(frame))
    parts = [
        frame.with_columns(_row=index).filter(pl.Series(~is_later)),
        changed.with_columns(_row=place).filter(pl.Series(stays)),
    ]
    result = pl.concat(parts).sort("_row").drop("_row")
    if "appear" in kinds and keys.item is not None:
        result = pl.concat([result, _newcomers(frame, changed, keys.item, rows, generator)])
    if "end" in kinds and (turn % END_EVERY == END_EVERY - 1 or not fates):
        stamps = future[keys.timestamp].unique().sort()
        end = stamps[int(generator.integers(len(stamps)))]
        result = result.filter(pl.col(keys.timestamp) < end)
    return result.rechunk()


def check_kinds(kinds: Sequence[str]) -> None:
    """Refuse perturbations that do not exist."""
    unknown = sorted(set(kinds) - set(PERTURBATIONS))
    if unknown or not kinds:
        raise ConfigError(
            f"perturbations must be some of {list(PERTURBATIONS)}, got {list(kinds)}; leave it out "
            "for all of them"
        )


def _rows_of(future: pl.DataFrame, keys: Keys) -> _Rows:
    if keys.item is None:
        item = np.zeros(len(future), np.int64)
    else:
        items = future.select(keys.item).unique(maintain_order=True).with_row_index("_code")
        joined = future.select(keys.item).join(items, on=keys.item, maintain_order="left")
        item = joined["_code"].to_numpy().astype(np.int64)
    stamps = future[keys.timestamp].rank("dense").to_numpy()
    order = np.lexsort((stamps, item))
    counts = np.bincount(item)
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    place = np.empty(len(item), np.int64)
    place[order] = np.arange(len(item)) - starts[item[order]]
    return _Rows(item, place, counts[item], order, starts[item])


def _stays(
    rows: _Rows, met: Mapping[str, Bool[ndarray, " row"]], generator: np.random.Generator
) -> Bool[ndarray, " row"]:
    never = np.zeros(len(rows.item), bool)
    # The step after the cutoff is always dropped: look-ahead is often of one step.
    dropped = (generator.random(len(rows.item)) < DROPPED_SHARE) | (rows.place == 0)
    end = np.floor(generator.random(int(rows.item.max()) + 1)[rows.item] * rows.count)
    gone: Bool[ndarray, " row"] = met.get("vanish", never) | (met.get("gaps", never) & dropped)
    gone |= met.get("shorten", never) & (rows.place >= end)
    return ~gone


def _changed(
    frame: pl.DataFrame,
    future: pl.DataFrame,
    columns: Sequence[str],
    rows: _Rows,
    met: Mapping[str, Bool[ndarray, " row"]],
    generator: np.random.Generator,
) -> pl.DataFrame:
    """Change values, row by row the same way in all columns, so that bars stay bars."""
    n_items = int(rows.item.max()) + 1
    drawn = np.floor(generator.random(len(future)) * rows.count).astype(np.int64)
    drift = generator.normal(0, USUAL, n_items)[rows.item]
    for kind, size in (("grow", LARGE), ("shrink", -LARGE)):
        drift = np.where(met.get(kind, False), size, drift)
    ways = _Ways(
        rows=rows,
        met=met,
        source=rows.order[rows.start + drawn],
        factor=np.exp(drift + generator.normal(0, JITTER, len(future))),
    )
    others = []
    for name in columns:
        if frame[name].dtype.is_float() or frame[name].dtype.is_integer():
            lowest: Any = frame[name].min()
            is_signed = lowest is not None and lowest < 0
            others.append(ways.other_numbers(future[name], is_signed=is_signed))
        else:
            others.append(ways.other_values(future[name]))
    return future.with_columns(others)


@dataclass(frozen=True)
class _Ways:
    """How the values of every row change: to those of which row, and by which factor."""

    rows: _Rows
    met: Mapping[str, Bool[ndarray, " row"]]
    source: Int[ndarray, " row"]
    factor: Float64[ndarray, " row"]

    def other_numbers(self, column: pl.Series, *, is_signed: bool) -> pl.Series:
        """Return numbers of the same type, missing ones as they were missing."""
        values = column.cast(pl.Float64).to_numpy()
        if "flip" in self.met:
            values = np.where(self.met["flip"], self._flipped(values, is_signed=is_signed), values)
        if "resample" in self.met:
            values = np.where(self.met["resample"], values[self.source], values)
        if "grow" in self.met or "shrink" in self.met:
            values = values * self.factor
        other = pl.Series(column.name, values)
        return _as(column, other.fill_nan(None) if column.null_count() else other)

    def other_values(self, column: pl.Series) -> pl.Series:
        """Return truths turned round, and anything in another order."""
        if "flip" in self.met and column.dtype == pl.Boolean:
            column = (~column).zip_with(pl.Series(self.met["flip"]), column)
        if "resample" in self.met:
            column = column.gather(self.source).zip_with(pl.Series(self.met["resample"]), column)
        return column

    def _flipped(
        self, values: Float64[ndarray, " row"], *, is_signed: bool
    ) -> Float64[ndarray, " row"]:
        if is_signed:
            return -values
        ordered, starts = values[self.rows.order], np.unique(self.rows.start)
        low, high = (
            reduce.reduceat(ordered, starts)[self.rows.item] for reduce in (np.fmin, np.fmax)
        )
        with np.errstate(invalid="ignore"):  # infinities
            mirrored: Float64[ndarray, " row"] = low + high - values
        return mirrored


def _as(column: pl.Series, values: pl.Series) -> pl.Series:
    """Return `values` in the type of `column`; whole numbers stay within what it can hold."""
    if column.dtype.is_integer():
        dtype: Any = column.dtype
        low, high = (pl.select(bound).item() for bound in (dtype.min(), dtype.max()))
        # 2^63 - 1 is no float64; the one below it is.
        values = values.round().clip(low, np.nextafter(float(high), 0))
    return values.cast(column.dtype, strict=False)


def _newcomers(
    frame: pl.DataFrame,
    future: pl.DataFrame,
    item: str,
    rows: _Rows,
    generator: np.random.Generator,
) -> pl.DataFrame:
    """Return items that nobody has heard of, with the rows of some others; none for other ids."""
    dtype = frame[item].dtype
    if not (dtype == pl.String or dtype.is_integer()):
        return future.head(0)
    n_items = int(rows.item.max()) + 1
    n_new = -(-n_items // ITEMS_PER_NEWCOMER)
    number = np.full(n_items, -1)
    number[generator.permutation(n_items)[:n_new]] = np.arange(n_new)
    new = future.with_columns(_number=number[rows.item]).filter(pl.col("_number") >= 0)
    if dtype == pl.String:
        ids = pl.concat_str(pl.lit("newcomer "), pl.col("_number").cast(pl.String))
    else:
        ids = (frame[item].max() + 1 + pl.col("_number")).cast(dtype)  # type: ignore[operator]
    return new.with_columns(ids.alias(item)).drop("_number")
