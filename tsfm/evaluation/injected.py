"""Labelled series for choosing a detector: real series with anomalies put into them.

What is chosen on them is not chosen on the labels of a benchmark. Each series gets one anomaly of
one kind, of a size relative to the spread of the rows around it, after the first third.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from tsfm.series.card_series import read_series
from tsfm.series.cards import load_card
from tsfm.shapes import Bool, Float64, ndarray

LONGEST = 4000
SHORTEST = 800
SHORTEST_ANOMALY, LONGEST_ANOMALY = 20, 200
SMALLEST_SIZE, LARGEST_SIZE = 1.5, 6.0
MOST_MISSING = 0.2
Change = Callable[
    [Float64[ndarray, " time"], Float64[ndarray, " step"], float, np.random.Generator],
    Float64[ndarray, " step"],
]


def injected_series(
    cards: Sequence[str], n_per_card: int, generator: np.random.Generator
) -> list[tuple[str, Float64[ndarray, " time"], Bool[ndarray, " time"]]]:
    """Draw series from cards and put one anomaly into each.

    Returns
    -------
    series
        Name (``card/kind/number``), values and labels. Kinds take turns, so that every card has
        all of them as far as its series last.
    """
    found = []
    kinds = list(CHANGES)
    for card in cards:
        drawn = draw_series(card, n_per_card, generator)
        for number, values in enumerate(drawn):
            kind = kinds[number % len(kinds)]
            changed, labels = inject(values, kind, generator)
            found.append((f"{card}/{kind}/{number}", changed, labels))
    return found


def inject(
    values: Float64[ndarray, " time"], kind: str, generator: np.random.Generator
) -> tuple[Float64[ndarray, " time"], Bool[ndarray, " time"]]:
    """Return a copy with one anomaly, and where it is.

    Parameters
    ----------
    kind
        A key of `CHANGES`.

    Examples
    --------
    >>> generator = np.random.default_rng(0)
    >>> changed, labels = inject(np.sin(np.arange(1000.0)), "flat", generator)
    >>> bool((changed[labels] == changed[labels][0]).all())
    True
    """
    length = 1 if kind == "spike" else int(generator.integers(SHORTEST_ANOMALY, LONGEST_ANOMALY))
    start = int(generator.integers(len(values) // 3, len(values) - length))
    changed, labels = values.copy(), np.zeros(len(values), bool)
    labels[start : start + length] = True
    changed[labels] = changed_part(values, slice(start, start + length), kind, generator)
    return changed, labels


def changed_part(
    values: Float64[ndarray, " time"], rows: slice, kind: str, generator: np.random.Generator
) -> Float64[ndarray, " step"]:
    """Return what a change of that kind makes of these rows."""
    around = values[max(0, rows.start - LONGEST_ANOMALY) : rows.stop]
    spread = float(np.nanstd(around)) or float(np.nanstd(values)) or 1.0
    size = float(generator.uniform(SMALLEST_SIZE, LARGEST_SIZE)) * spread
    return CHANGES[kind](values[: rows.start], values[rows], size, generator)


def _spike(
    _: Float64[ndarray, " time"],
    part: Float64[ndarray, " step"],
    size: float,
    generator: np.random.Generator,
) -> Float64[ndarray, " step"]:
    shifted: ndarray = part + generator.choice([-1, 1]) * size
    return shifted


def _noise(
    _: Float64[ndarray, " time"],
    part: Float64[ndarray, " step"],
    size: float,
    generator: np.random.Generator,
) -> Float64[ndarray, " step"]:
    return part + generator.normal(0, size / 2, len(part))


def _flat(
    before: Float64[ndarray, " time"],
    part: Float64[ndarray, " step"],
    _: float,
    __: np.random.Generator,
) -> Float64[ndarray, " step"]:
    observed = before[np.isfinite(before)]
    return np.full(len(part), observed[-1] if len(observed) else 0.0)


def _ramp(
    _: Float64[ndarray, " time"],
    part: Float64[ndarray, " step"],
    size: float,
    generator: np.random.Generator,
) -> Float64[ndarray, " step"]:
    rising: ndarray = part + generator.choice([-1, 1]) * size * np.linspace(0, 1, len(part))
    return rising


def _other_time(
    before: Float64[ndarray, " time"],
    part: Float64[ndarray, " step"],
    _: float,
    generator: np.random.Generator,
) -> Float64[ndarray, " step"]:
    """Another stretch of the same series, backwards."""
    start = int(generator.integers(0, max(1, len(before) - len(part))))
    stretch = before[start : start + len(part)][::-1]
    return np.append(stretch, part[len(stretch) :])


def _fast(
    _: Float64[ndarray, " time"],
    part: Float64[ndarray, " step"],
    __: float,
    ___: np.random.Generator,
) -> Float64[ndarray, " step"]:
    """Play the same values at twice the pace, twice."""
    return np.resize(part[::2], len(part))


CHANGES: Mapping[str, Change] = {
    "spike": _spike,
    "shift": _spike,
    "noise": _noise,
    "flat": _flat,
    "ramp": _ramp,
    "other time": _other_time,
    "fast": _fast,
}


def draw_series(
    card: str, n_series: int, generator: np.random.Generator
) -> list[Float64[ndarray, " time"]]:
    """Draw stretches of series of a card, at most one of each, that move and are mostly there."""
    long = [values for _, values in read_series(load_card(card)) if len(values) >= SHORTEST]
    drawn: list[Float64[ndarray, " time"]] = []
    for index in generator.permutation(len(long)):
        if len(drawn) == n_series:
            break
        values = long[index]
        start = int(generator.integers(0, max(1, len(values) - LONGEST)))
        part = values[start : start + LONGEST]
        if np.isnan(part).mean() < MOST_MISSING and np.nanstd(part) > 0:
            drawn.append(part)
    return drawn
