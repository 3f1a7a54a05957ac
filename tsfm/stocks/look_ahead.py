"""The look-ahead audit of scores: change the future, and nothing before it may move.

A second question is how much of a result the future was worth: `future_hidden` makes every day's
scores from a panel that ends with the day.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from tsfm.shapes import Float, Float64, Int, ndarray
from tsfm.stocks.panel import StockPanel

# Scores of the same bars differ by rounding at most; a real leak moves them by far more.
TOLERANCE = 1e-6
# Days up to the cutoff whose scores are compared: the last ones, where leaks show first.
DAYS_WATCHED = 3


ScoreDays = Callable[[StockPanel, Int[ndarray, " asked"]], Float[ndarray, "*model asked stock"]]
"""Makes one row of scores per day asked for, perhaps of several models at once."""


@dataclass(frozen=True)
class LookAhead:
    """What an audit found.

    Parameters
    ----------
    cutoffs
        Days after which everything was changed.
    moved_share
        Share of the watched scores that moved.
    largest_move
        In standard deviations of a day's scores.
    first_moved
        Earliest day whose score moved, None when none did.
    """

    cutoffs: tuple[str, ...]
    moved_share: float
    largest_move: float
    first_moved: str | None

    @property
    def ok(self) -> bool:
        """Whether nothing moved."""
        return self.first_moved is None


def audit(
    score: ScoreDays,
    panel: StockPanel,
    days: Int[ndarray, " day"],
    *,
    n_cutoffs: int,
    generator: np.random.Generator,
) -> LookAhead:
    """Change all bars, members and halts after random days, and watch the scores up to them.

    Parameters
    ----------
    days
        Among which cutoffs are drawn.
    """
    cutoffs = np.sort(generator.choice(days, min(n_cutoffs, len(days)), replace=False))
    watched = {int(day): _watched(int(day)) for day in cutoffs}
    asked = np.unique(np.concatenate(list(watched.values())))
    before = score(panel, asked)
    n_moved = n_watched = 0
    largest, first = 0.0, None
    for cutoff, rows in watched.items():
        new = score(change_the_future(panel, cutoff, generator), rows)
        old = before[..., np.searchsorted(asked, rows), :]
        known = np.isfinite(old) | np.isfinite(new)
        move = np.abs(new - old) / _spread(old)
        # A score that appears or vanishes has moved too.
        move = np.where(np.isfinite(old) & np.isfinite(new), move, np.where(known, np.inf, 0.0))
        is_moved = move > TOLERANCE
        n_moved, n_watched = n_moved + int(is_moved.sum()), n_watched + int(known.sum())
        if is_moved.any():
            largest = max(largest, float(move.max()))
            place = np.argmax(is_moved.any(axis=-1).reshape(-1, len(rows)).any(axis=0))
            earliest = str(panel.days[rows[place]])
            first = earliest if first is None else min(first, earliest)
    return LookAhead(
        tuple(str(panel.days[day]) for day in cutoffs), n_moved / max(n_watched, 1), largest, first
    )


def change_the_future(panel: StockPanel, day: int, generator: np.random.Generator) -> StockPanel:
    """Return a panel that is the same up to `day` and another one after it.

    Prices go on along other paths. Of the stocks a fifth has no bar any more and another fifth
    loses nearly all of its price, so that a universe of survivors shows; of the others single bars
    vanish, and they leave and join.
    """
    n_later = panel.n_days - 1 - day
    shape = (n_later, panel.n_stocks)
    bars, member, tradable = panel.bars.copy(), panel.member.copy(), panel.tradable.copy()
    drift = generator.normal(0, 0.5, (1, panel.n_stocks))
    factor = np.exp(drift + np.cumsum(generator.normal(0, 0.03, shape), axis=0))
    fate = generator.permutation(panel.n_stocks) % 5
    factor[:, fate == 1] *= 1e-3
    bars[day + 1 :] *= factor[..., None]
    bars[day + 1 :][(generator.random(shape) < 0.1) | (fate == 0)] = np.nan
    member[day + 1 :] ^= generator.random(shape) < 0.2
    tradable[day + 1 :] ^= generator.random(shape) < 0.2
    return replace(panel, bars=bars, member=member, tradable=tradable)


def future_hidden(
    score: ScoreDays, panel: StockPanel, days: Int[ndarray, " day"]
) -> Float64[ndarray, "*model day stock"]:
    """Return the scores of `days`, each made from a panel that ends with it."""
    rows = [score(panel.head(int(day) + 1), np.array([day])) for day in days]
    return np.concatenate(rows, axis=-2)


def _spread(scores: Float[ndarray, "*model asked stock"]) -> Float64[ndarray, "*model asked 1"]:
    """Return the standard deviation of each day's scores, 1 where there is none."""
    known = np.isfinite(scores)
    count = np.maximum(known.sum(axis=-1, keepdims=True), 1)
    clean = np.where(known, scores, 0.0)
    mean = clean.sum(axis=-1, keepdims=True) / count
    spread = np.sqrt((np.where(known, clean - mean, 0.0) ** 2).sum(axis=-1, keepdims=True) / count)
    return np.where(spread > 0, spread, 1.0)


def _watched(day: int) -> Int[ndarray, " row"]:
    return np.arange(max(0, day + 1 - DAYS_WATCHED), day + 1)
