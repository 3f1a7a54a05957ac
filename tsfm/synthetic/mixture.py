"""The prior: every series has a main family and often others on top, noise, and disturbances.

The composition follows ForecastPFN, KernelSynth and TempoPFN; every family is one file.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from tsfm.errors import ConfigError
from tsfm.shapes import Float32, Float64, ndarray
from tsfm.synthetic import augment
from tsfm.synthetic.autoregressive import autoregressive
from tsfm.synthetic.calendar_effects import calendar_effects
from tsfm.synthetic.chaos import chaos
from tsfm.synthetic.counts import counts
from tsfm.synthetic.draws import Column, Rows, chance, log_uniform, standardized
from tsfm.synthetic.fractal import fractal
from tsfm.synthetic.gaussian_process import gaussian_process
from tsfm.synthetic.growth import growth
from tsfm.synthetic.ornstein_uhlenbeck import ornstein_uhlenbeck
from tsfm.synthetic.random_walk import random_walk
from tsfm.synthetic.regimes import regimes
from tsfm.synthetic.rhythm import rhythm
from tsfm.synthetic.seasonal import seasonal
from tsfm.synthetic.steps import steps
from tsfm.synthetic.stochastic_volatility import stochastic_volatility
from tsfm.synthetic.trend import trend

Family = Callable[[np.random.Generator, int, int], Float64[ndarray, "series time"]]

FAMILIES: Mapping[str, Family] = {
    "seasonal": seasonal,
    "calendar_effects": calendar_effects,
    "trend": trend,
    "gaussian_process": gaussian_process,
    "autoregressive": autoregressive,
    "random_walk": random_walk,
    "counts": counts,
    "steps": steps,
    "chaos": chaos,
    "stochastic_volatility": stochastic_volatility,
    "ornstein_uhlenbeck": ornstein_uhlenbeck,
    "growth": growth,
    "regimes": regimes,
    "fractal": fractal,
    "rhythm": rhythm,
}
# Families with share 0 came later; they are drawn when `shares` names them.
SHARES: Mapping[str, float] = {
    "seasonal": 0.24,
    "calendar_effects": 0.18,
    "trend": 0.10,
    "gaussian_process": 0.11,
    "autoregressive": 0.12,
    "random_walk": 0.11,
    "counts": 0.07,
    "steps": 0.05,
    "chaos": 0.02,
    "stochastic_volatility": 0.0,
    "ornstein_uhlenbeck": 0.0,
    "growth": 0.0,
    "regimes": 0.0,
    "fractal": 0.0,
    "rhythm": 0.0,
}
# Shares of the series that get a second and a third part, and what it is.
MORE_PARTS = (0.3, 0.08)
PART_SHARES: Mapping[str, float] = {
    "trend": 0.3,
    "seasonal": 0.25,
    "autoregressive": 0.15,
    "gaussian_process": 0.15,
    "random_walk": 0.1,
    "steps": 0.05,
}
# Whole numbers stay as they were drawn.
FINISHED = "counts"
# Processes without a direction of time.
REVERSIBLE = ("seasonal", "trend", "gaussian_process", "autoregressive")

AUGMENTATIONS: tuple[tuple[Callable[[np.random.Generator, Rows], Rows], float], ...] = (
    (augment.amplitude_modulated, 0.04),
    (augment.level_shifted, 0.04),
    (augment.spikes, 0.07),
    (augment.censored, 0.06),
    (augment.quantised, 0.03),
    (augment.rounded, 0.05),
)
POSITIVE_SHARE = 0.25
NOISY_SHARE = 0.75
WARPED_SHARE = 0.05
REVERSED_SHARE = 0.1
FLIPPED_SHARE = 0.12
MIXED_SHARE = 0.06
LARGEST = 1e6
SHORTEST = 16
# No common season divides it, so differences over this lag show what a short window shows.
LOCAL_LAG = 17


@dataclass(frozen=True)
class SyntheticMixture:
    """Draws series of `length` steps from the prior.

    Parameters
    ----------
    length
        Steps of a series, at least 16.
    shares
        Weight of each family as the main part of a series; they need not sum to one.
    missing_share
        Share of the series with missing stretches (NaN); without it all values are finite.

    Examples
    --------
    >>> rows = SyntheticMixture(length=200).sample(8, np.random.default_rng(0))
    >>> rows.shape, bool(np.isfinite(rows).all())
    ((8, 200), True)
    """

    length: int
    shares: Mapping[str, float] = field(default_factory=lambda: dict(SHARES))
    missing_share: float = 0.0

    def __post_init__(self) -> None:
        """Check the arguments.

        Raises
        ------
        ConfigError
            If the length is below 16, a family is unknown, a share is negative or all are zero,
            or `missing_share` is not between 0 and 1.
        """
        if self.length < SHORTEST:
            raise ConfigError(
                f"length must be at least {SHORTEST}, got length={self.length}; draw longer series"
                " and cut them"
            )
        unknown = sorted(set(self.shares) - set(FAMILIES))
        if unknown:
            raise ConfigError(f"shares must name {sorted(FAMILIES)}, got {unknown}; remove these")
        if min(self.shares.values(), default=0) < 0 or not sum(self.shares.values()) > 0:
            raise ConfigError(
                f"shares must not be negative and not all zero, got {dict(self.shares)};"
                " leave out the families that are not wanted"
            )
        if not 0 <= self.missing_share <= 1:
            raise ConfigError(
                f"missing_share must be between 0 and 1, got {self.missing_share};"
                " use 0 for series without missing values"
            )

    def sample(
        self, n_series: int, generator: np.random.Generator
    ) -> Float32[ndarray, "series time"]:
        """Return series in units of their own; the same generator state, the same series."""
        return self.sample_named(n_series, generator)[1]

    def sample_named(
        self, n_series: int, generator: np.random.Generator
    ) -> tuple[list[str], Float32[ndarray, "series time"]]:
        """Return the main family of every series, and the series that `sample` returns."""
        drawn = {name: share for name, share in self.shares.items() if share > 0}
        names = generator.choice(list(drawn), n_series, p=_normalised(drawn))
        rows = self._composed(names, generator)
        unfinished = np.flatnonzero(names != FINISHED)
        if len(unfinished):
            rows[unfinished] = _finished(generator, rows[unfinished])
        rows = augment.sign_flipped(generator, rows, FLIPPED_SHARE)
        rows = np.clip(rows, -LARGEST, LARGEST)
        index = np.flatnonzero(generator.random(n_series) < self.missing_share)
        if len(index):
            rows[index] = augment.missing_stretches(generator, rows[index])
        return names.tolist(), rows.astype(np.float32)

    def _composed(self, names: ndarray, generator: np.random.Generator) -> Rows:
        """Draw the main part of every series, and add more parts to some."""
        n_series = len(names)
        owners, kinds = [np.arange(n_series)], [names]
        for share in MORE_PARTS:
            chosen = (names != FINISHED) & (generator.random(n_series) < share)
            owners.append(np.flatnonzero(chosen))
            drawn = generator.choice(list(PART_SHARES), len(owners[-1]), p=_normalised(PART_SHARES))
            kinds.append(drawn)
        parts = self._drawn(np.concatenate(kinds), generator)
        rows = parts[:n_series]
        reversible = np.flatnonzero(np.isin(names, REVERSIBLE))
        rows[reversible] = augment.time_reversed(generator, rows[reversible], REVERSED_SHARE)
        first = n_series
        for owner in owners[1:]:
            part = parts[first : first + len(owner)]
            first += len(owner)
            size = log_uniform(generator, 0.1, 3.0, len(owner))
            rows[owner] = _rescaled(generator, rows[owner]) + size * _rescaled(generator, part)
        return rows

    def _drawn(self, names: ndarray, generator: np.random.Generator) -> Rows:
        """Draw one series of each named family, each family once."""
        rows = np.empty((len(names), self.length))
        for name, family in FAMILIES.items():
            index = np.flatnonzero(names == name)
            if len(index):
                rows[index] = family(generator, len(index), self.length)
        return rows


def _finished(generator: np.random.Generator, rows: Rows) -> Rows:
    """Add noise, make some positive, mix some, and disturb some."""
    n_series = len(rows)
    index = np.flatnonzero(generator.random(n_series) < WARPED_SHARE)
    if len(index):
        rows[index] = augment.time_warped(generator, rows[index])
    rows = _noisy(generator, rows)
    swing = log_uniform(generator, 0.05, 1.0, n_series)
    index = np.flatnonzero(generator.random(n_series) < POSITIVE_SHARE)
    rows[index] = np.exp(np.clip(standardized(rows[index]) * swing[index], -10, 10))
    rows = augment.mixed_up(generator, rows, MIXED_SHARE)
    for change, share in AUGMENTATIONS:
        index = np.flatnonzero(generator.random(n_series) < share)
        if len(index):
            rows[index] = change(generator, rows[index])
    return rows


def _noisy(generator: np.random.Generator, rows: Rows) -> Rows:
    """Add white noise, from nearly none to more than what a short window moves."""
    n_series = len(rows)
    ratio = log_uniform(generator, 0.003, 2.0, n_series) * chance(generator, NOISY_SHARE, n_series)
    noise = generator.standard_normal(rows.shape, np.float32)
    heavy = np.flatnonzero(generator.random(n_series) < 0.2)
    noise[heavy] = generator.standard_t(3, (len(heavy), rows.shape[1])) / np.sqrt(3)
    return rows + ratio * _local_spread(rows) * noise


def _rescaled(generator: np.random.Generator, rows: Rows) -> Rows:
    """Put parts on one scale: that of the row, that of a short window, or one between."""
    spread = np.maximum(rows.std(1, keepdims=True), 1e-9)
    local = np.maximum(_local_spread(rows), 0.01 * spread)
    weight = generator.random((len(rows), 1))
    return rows / (spread ** (1 - weight) * local**weight)


def _local_spread(rows: Rows) -> Column:
    lag = min(LOCAL_LAG, rows.shape[1] // 3)
    difference = rows[:, lag:] - rows[:, :-lag]
    return np.sqrt(0.5 * np.mean(difference**2, 1, keepdims=True))


def _normalised(shares: Mapping[str, float]) -> Float64[ndarray, " family"]:
    weights = np.array(list(shares.values()), float)
    return weights / weights.sum()
