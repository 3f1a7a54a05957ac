"""Conformal margins: how far quantile forecasts must move to cover what they claim.

The quantiles of a model stay where they are relative to each other, so that intervals remain as
wide as the model finds a series hard; one margin per interval and step is added, in units of the
forecast's own width, which makes windows of all items comparable.

References
----------
Romano, Patterson and Candès (2019), "Conformalized Quantile Regression"; Dunn, Wasserman and Ramdas
(2022), "Distribution-Free Prediction Sets for Two-Layer Hierarchical Models", for blocks; Gibbs and
Candès (2021), "Adaptive Conformal Inference Under Distribution Shift", for adapted levels.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tsfm.errors import ConfigError, DataError
from tsfm.shapes import Float64, Int, ndarray
from tsfm.tasks.forecasting.quantiles import MEDIAN, check_levels

DIGITS = 9
# By how much a cutoff that was missed too often raises the level of the next.
ADAPTATION_RATE = 0.1


class Interval(NamedTuple):
    """A central interval: places of its two levels, and the share that it should cover."""

    low: int
    high: int
    coverage: float


def central_intervals(quantile_levels: Sequence[float]) -> tuple[Interval, ...]:
    """Return the intervals of sorted levels, from the narrowest to the widest.

    Raises
    ------
    ConfigError
        When a level has no partner at the same distance from the median.

    Examples
    --------
    >>> [one.coverage for one in central_intervals([0.05, 0.25, 0.5, 0.75, 0.95])]
    [0.5, 0.9]
    """
    levels = check_levels(quantile_levels)
    places = {round(level, DIGITS): place for place, level in enumerate(levels)}
    alone = [level for level in levels if round(1 - level, DIGITS) not in places]
    lower = sorted((level for level in levels if level < MEDIAN), reverse=True)
    if alone or not lower:
        raise ConfigError(
            "quantile_levels must lie in pairs around 0.5 to be calibrated, got "
            f"{list(quantile_levels)}; pass for example [0.05, 0.5, 0.95]"
        )
    return tuple(
        Interval(
            levels.index(level), places[round(1 - level, DIGITS)], round(1 - 2 * level, DIGITS)
        )
        for level in lower
    )


def mean_width(
    quantiles: Float64[ndarray, "window level horizon"], intervals: Sequence[Interval]
) -> Float64[ndarray, " window"]:
    """Return the mean width over the steps of the widest interval: the unit of a window."""
    low, high, _ = intervals[-1]
    width: ndarray = (quantiles[:, high] - quantiles[:, low]).mean(-1)
    return width


def conformity_scores(
    quantiles: Float64[ndarray, "window level horizon"],
    truth: Float64[ndarray, "window horizon"],
    scale: Float64[ndarray, " window"],
    intervals: Sequence[Interval],
) -> Float64[ndarray, "window interval horizon"]:
    """Return how far the truth lies outside of every interval, negative inside, in units of scale.

    NaN where the truth is missing. Without width, a forecast that is the truth scores 0, and one
    that is not NaN, since no margin in units of nothing covers it.
    """
    outside = np.stack(
        [
            np.maximum(quantiles[:, low] - truth, truth - quantiles[:, high])
            for low, high, _ in intervals
        ],
        axis=1,
    )
    unit = np.where(scale > 0, scale, np.nan)[:, None, None]
    is_exact = (outside <= 0) & (scale == 0)[:, None, None]
    scores: ndarray = np.where(is_exact, 0.0, outside / unit)
    return scores


def conformal_margins(
    scores: Float64[ndarray, "window interval horizon"],
    coverages: Sequence[float],
    blocks: Int[ndarray, " window"] | None = None,
) -> Float64[ndarray, "interval horizon"]:
    """Return per interval and step the smallest margin whose coverage is conformal.

    Parameters
    ----------
    scores
        Of `conformity_scores`; NaN is left out.
    coverages
        Share that every interval should cover.
    blocks
        Windows of one number count together as one observation, because they share shocks; None
        lets every window count by itself.

    Raises
    ------
    DataError
        When there are too few windows, or blocks, for a coverage.

    Examples
    --------
    >>> conformal_margins(np.arange(1.0, 10.0).reshape(9, 1, 1), [0.9])
    array([[9.]])
    """
    if blocks is None:
        blocks = np.arange(len(scores))
    margins = np.empty(scores.shape[1:])
    for place, coverage in enumerate(coverages):
        for step in range(scores.shape[2]):
            margins[place, step] = _margin(scores[:, place, step], blocks, coverage, step)
    return margins


def margins_of(
    scores: Float64[ndarray, "window interval horizon"],
    coverages: Sequence[float],
    blocks: Int[ndarray, " window"],
    method: str,
) -> Float64[ndarray, "interval horizon"]:
    """Return margins by one of the methods; `blocks` are numbers of cutoffs, rising with time."""
    if method == "adaptive":
        coverages = adapted_coverages(scores, coverages, blocks)
    return conformal_margins(scores, coverages, blocks if method == "block" else None)


def adapted_coverages(
    scores: Float64[ndarray, "window interval horizon"],
    coverages: Sequence[float],
    blocks: Int[ndarray, " window"],
    *,
    rate: float = ADAPTATION_RATE,
) -> list[float]:
    """Return the levels to ask for, so that what is covered is what should be while series drift.

    Cutoff by cutoff margins are fitted to what was before; where they miss too much the level goes
    up, where too little it goes down. Levels stay within what the windows can show.

    Parameters
    ----------
    blocks
        Number of the cutoff of every window, rising with time.
    rate
        Change of a level per share of truths that was missed too often.
    """
    levels = list(coverages)
    for cutoff in np.unique(blocks):
        past, now = scores[blocks < cutoff], scores[blocks == cutoff]
        for place, coverage in enumerate(coverages):
            known = np.isfinite(past[:, place]).sum(0)
            enough = known >= np.ceil(coverage / (1 - coverage) - 1e-9)
            if len(past) and enough.all():
                margin = conformal_margins(past[:, [place]], [_within(levels[place], known)])[0]
                seen = np.isfinite(now[:, place])
                missed = float((now[:, place] > margin)[seen].mean()) if seen.any() else None
                if missed is not None:
                    levels[place] += rate * (missed - (1 - coverage))
    known = np.isfinite(scores).sum(0)
    return [_within(level, known[place]) for place, level in enumerate(levels)]


def _within(level: float, known: Int[ndarray, " horizon"]) -> float:
    """Return the level, or the highest that so many windows can show at every step."""
    most = int(known.min())
    return float(np.clip(level, 0.0, most / (most + 1)))


def _margin(
    scores: Float64[ndarray, " window"],
    blocks: Int[ndarray, " window"],
    coverage: float,
    step: int,
) -> float:
    """Return a weighted quantile: each block weighs 1, and so does one that is yet to come."""
    known = np.isfinite(scores)
    found = scores[known]
    _, block, size = np.unique(blocks[known], return_inverse=True, return_counts=True)
    order = np.argsort(found, kind="stable")
    reached = np.cumsum((1 / size[block])[order]) if len(found) else np.zeros(0)
    # Ranks in exact arithmetic: 0.9 * 10 must not end just above 9.
    needed = coverage * (len(size) + 1) - 1e-9
    place = int(np.searchsorted(reached, needed))
    if place == len(found):
        raise DataError(
            f"an interval of {coverage:.0%} must be calibrated on at least "
            f"{int(np.ceil(coverage / (1 - coverage) - 1e-9))} windows or blocks, got {len(size)} "
            f"at step {step + 1}; give more windows or items, or a narrower interval"
        )
    return float(found[order[place]])


def with_margins(
    quantiles: Float64[ndarray, "window level horizon"],
    scale: Float64[ndarray, " window"],
    intervals: Sequence[Interval],
    margins: Float64[ndarray, "interval step"],
) -> Float64[ndarray, "window level horizon"]:
    """Move both ends of every interval out by its margin (in, where it is negative).

    The median stays; intervals that would cross a narrower one, or the median, stop there. A
    window whose unit is 0 stays as it is.

    Parameters
    ----------
    margins
        There may be more steps than the forecast has.
    """
    low, high, _ = intervals[0]
    ends = {place for one in intervals for place in one[:2]}
    medians = [place for place in range(quantiles.shape[1]) if place not in ends]
    middle = quantiles[:, medians[0]] if medians else (quantiles[:, low] + quantiles[:, high]) / 2
    below, above = middle, middle
    moved = quantiles.copy()
    for (low, high, _), margin in zip(intervals, margins[:, : quantiles.shape[2]], strict=True):
        by = scale[:, None] * margin
        below = np.minimum(below, quantiles[:, low] - by)
        above = np.maximum(above, quantiles[:, high] + by)
        moved[:, low], moved[:, high] = below, above
    return moved
