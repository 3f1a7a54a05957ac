"""Labelled series of several channels: real channels that belong together, with one anomaly put in.

Half of the kinds can be seen in a channel by itself, as in `tsfm.evaluation.injected`; the other
half leave every channel much as it often is, and break what the channels have to do with each
other.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import polars as pl

from tsfm.evaluation.injected import CHANGES, LONGEST_ANOMALY, MOST_MISSING, changed_part
from tsfm.series.card_series import read_rows
from tsfm.series.cards import DatasetCard, load_card
from tsfm.shapes import Bool, Float64, Int, ndarray

LONGEST, SHORTEST = 3000, 800
FEWEST_CHANNELS, MOST_CHANNELS = 3, 8
SHORTEST_BREAK, LONGEST_BREAK = 20, 400
"""A relation that broke stays broken until somebody looks; so these may last longer."""
LAGS = (5, 60)
SHIFTS = (0.5, 1.5)
GAINS = (0.2, 0.6, 1.6, 3.0)
Break = Callable[
    [Float64[ndarray, "time channel"], slice, np.random.Generator],
    Float64[ndarray, "step channel"],
]


def injected_channels(
    cards: Sequence[str], n_per_card: int, generator: np.random.Generator
) -> list[tuple[str, Float64[ndarray, "time channel"], Bool[ndarray, " time"]]]:
    """Draw series of 3 to 8 channels from cards and put one anomaly into each.

    Parameters
    ----------
    cards
        With several channels, or with items that share a clock: then the items are the channels,
        and a name like ``group|item`` keeps groups apart.

    Returns
    -------
    series
        Name (``card/kind/number``), values and labels. Kinds take turns over all cards.
    """
    found: list[tuple[str, ndarray, ndarray]] = []
    kinds = list(BREAKS) + list(CHANGES)
    for card in cards:
        for values in draw_channels(load_card(card), n_per_card, generator):
            kind = kinds[len(found) % len(kinds)]
            changed, labels = inject_channels(values, kind, generator)
            found.append((f"{card}/{kind}/{len(found)}", changed, labels))
    return found


def inject_channels(
    values: Float64[ndarray, "time channel"], kind: str, generator: np.random.Generator
) -> tuple[Float64[ndarray, "time channel"], Bool[ndarray, " time"]]:
    """Return a copy with one anomaly, and where it is.

    Parameters
    ----------
    kind
        A key of `BREAKS`, or of `tsfm.evaluation.injected.CHANGES`, then in one or two channels.

    Examples
    --------
    >>> generator = np.random.default_rng(0)
    >>> wave = np.sin(np.arange(1000.0) / 9)[:, None] * [1.0, 2.0, -1.0]
    >>> changed, labels = inject_channels(wave, "flipped", generator)
    >>> moved = changed != wave
    >>> bool((moved.any(axis=1) <= labels).all()), int(moved.any(axis=0).sum())
    (True, 1)
    """
    longest = LONGEST_BREAK if kind in BREAKS else LONGEST_ANOMALY
    length = 1 if kind == "spike" else int(generator.integers(SHORTEST_BREAK, longest))
    start = int(generator.integers(len(values) // 3, len(values) - length))
    rows = slice(start, start + length)
    changed, labels = values.copy(), np.zeros(len(values), bool)
    labels[rows] = True
    n_changed = N_CHANGED.get(kind, int(generator.integers(1, 3)))
    chosen = _in_any_order(values, rows, generator)[:n_changed]
    if kind in BREAKS:
        changed[rows, chosen] = BREAKS[kind](values[:, chosen], rows, generator)
    else:
        for channel in chosen:
            changed[rows, channel] = changed_part(values[:, channel], rows, kind, generator)
    return changed, labels


def _in_any_order(
    values: Float64[ndarray, "time channel"], rows: slice, generator: np.random.Generator
) -> Int[ndarray, " channel"]:
    """Return the channels, those that move around these rows before the others."""
    order = generator.permutation(values.shape[1])
    return order[np.argsort(~_moves(_around(values, rows))[order], kind="stable")]


def _moves(part: Float64[ndarray, "time channel"]) -> Bool[ndarray, " channel"]:
    steps: ndarray = np.nan_to_num(np.diff(part, axis=0))
    return np.asarray(steps.any(axis=0))


def _around(
    values: Float64[ndarray, "time channel"], rows: slice
) -> Float64[ndarray, "around channel"]:
    return values[max(0, rows.start - LONGEST_ANOMALY) : rows.stop]


def _delayed(
    values: Float64[ndarray, "time channel"], rows: slice, generator: np.random.Generator
) -> Float64[ndarray, "step channel"]:
    lag = int(generator.integers(*LAGS))
    return values[rows.start - lag : rows.stop - lag]


def _elsewhere(
    values: Float64[ndarray, "time channel"], rows: slice, generator: np.random.Generator
) -> Float64[ndarray, "step channel"]:
    """Another stretch of the same channel, forwards."""
    length = rows.stop - rows.start
    start = int(generator.integers(0, max(1, rows.start - length)))
    part: ndarray = values[rows].copy()
    stretch = values[start : min(start + length, rows.start)]
    part[: len(stretch)] = stretch
    return part


def _flipped(
    values: Float64[ndarray, "time channel"], rows: slice, _: np.random.Generator
) -> Float64[ndarray, "step channel"]:
    return 2 * level_around(values, rows) - values[rows]


def _gained(
    values: Float64[ndarray, "time channel"], rows: slice, generator: np.random.Generator
) -> Float64[ndarray, "step channel"]:
    level = level_around(values, rows)
    return level + generator.choice(GAINS) * (values[rows] - level)


def _exchanged(
    values: Float64[ndarray, "time channel"], rows: slice, _: np.random.Generator
) -> Float64[ndarray, "step channel"]:
    """Each channel with the course of the other, at its own level and spread."""
    level, spread = level_around(values, rows), spread_around(values, rows)
    return level + spread * ((values[rows] - level) / spread)[:, ::-1]


def _shifted(
    values: Float64[ndarray, "time channel"], rows: slice, generator: np.random.Generator
) -> Float64[ndarray, "step channel"]:
    """Several channels at once, each by too little to be seen alone."""
    n_channels = values.shape[1]
    size = generator.uniform(*SHIFTS, n_channels) * generator.choice([-1, 1], n_channels)
    return values[rows] + size * spread_around(values, rows)


BREAKS: Mapping[str, Break] = {
    "delayed": _delayed,
    "elsewhere": _elsewhere,
    "flipped": _flipped,
    "gained": _gained,
    "exchanged": _exchanged,
    "shifted": _shifted,
}
N_CHANGED = {"delayed": 1, "elsewhere": 1, "flipped": 1, "gained": 1, "exchanged": 2, "shifted": 3}


def level_around(
    values: Float64[ndarray, "time channel"], rows: slice
) -> Float64[ndarray, " channel"]:
    """Return the median of every channel around these rows; 0 where there is none."""
    return np.nan_to_num(np.nanmedian(_around(values, rows), axis=0))


def spread_around(
    values: Float64[ndarray, "time channel"], rows: slice
) -> Float64[ndarray, " channel"]:
    """Return the deviation of every channel around these rows; 1 where there is none."""
    spread = np.nan_to_num(np.nanstd(_around(values, rows), axis=0))
    return np.where(spread > 0, spread, 1.0)


def draw_channels(
    card: DatasetCard, n_series: int, generator: np.random.Generator
) -> Iterator[Float64[ndarray, "time channel"]]:
    """Draw stretches of any length and place, with some of the channels that move and are there."""
    tables = [table for table in _tables(card) if len(table) >= SHORTEST]
    for _ in range(4 * n_series):
        table = tables[int(generator.integers(len(tables)))]
        length = int(generator.integers(SHORTEST, min(LONGEST, len(table)) + 1))
        start = int(generator.integers(0, len(table) - length + 1))
        part = table[start : start + length]
        is_fit = _moves(part) & (np.isnan(part).mean(axis=0) < MOST_MISSING)
        chosen = generator.permutation(np.flatnonzero(is_fit))[:MOST_CHANNELS]
        if len(chosen) >= FEWEST_CHANNELS:
            yield part[:, chosen]
            n_series -= 1
        if not n_series:
            return


def _tables(card: DatasetCard) -> list[Float64[ndarray, "time channel"]]:
    """Return the channels of every item, or the items of every group, side by side."""
    frame = read_rows(card)
    item, stamp = card.item_id, card.timestamp
    if len(card.channels) > 1:
        parts = frame.partition_by(item, maintain_order=True)
        return [part.select(pl.col(card.channels).cast(pl.Float64)).to_numpy() for part in parts]
    group = pl.col(item).cast(pl.String).str.extract(r"^(.*)\|")
    parts = frame.with_columns(group=group).partition_by("group", maintain_order=True)
    wide = [
        part.unique([item, stamp], keep="first", maintain_order=True)
        .pivot(item, index=stamp, values=card.channels[0])
        .sort(stamp)
        .drop(stamp)
        for part in parts
    ]
    return [table.cast(pl.Float64).to_numpy() for table in wide]
