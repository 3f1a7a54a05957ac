"""Draws that every family needs: one column of parameters per series."""

import numpy as np

from tsfm.shapes import Float, ndarray

Column = Float[ndarray, "series 1"]
Rows = Float[ndarray, "series time"]

# Season lengths, in steps, of the common sampling rates, with how often each is drawn.
PERIODS = np.array(
    [4, 5, 6, 7, 10, 12, 13, 18, 24, 26, 30.4375, 36, 48, 52.18, 60, 72, 96, 120, 144, 168,
     192, 288, 336, 365.25, 672]
)  # fmt: skip
PERIOD_WEIGHTS = np.array(
    [6, 3, 1, 8, 1, 16, 1, 1, 14, 1, 2, 1, 5, 5, 1, 1, 5, 1, 2, 6,
     1, 3, 2, 4, 1]
)  # fmt: skip
PERIOD_WEIGHTS = PERIOD_WEIGHTS / PERIOD_WEIGHTS.sum()

# A deviation below this is taken for a constant series when series are standardised.
SMALLEST_STD = 1e-9


def periods(generator: np.random.Generator, n_series: int, jitter: float = 0.25) -> Column:
    """Draw season lengths; a share `jitter` of them is stretched to an odd length."""
    drawn = generator.choice(PERIODS, (n_series, 1), p=PERIOD_WEIGHTS)
    stretched = generator.random((n_series, 1)) < jitter
    return np.where(stretched, drawn * generator.uniform(0.75, 1.3, (n_series, 1)), drawn)


def log_uniform(generator: np.random.Generator, low: float, high: float, n_series: int) -> Column:
    """Draw numbers whose logarithm is uniform."""
    return np.exp(generator.uniform(np.log(low), np.log(high), (n_series, 1)))


def chance(generator: np.random.Generator, share: float, n_series: int) -> Column:
    """Return 1 for a random `share` of the series and 0 for the others."""
    return (generator.random((n_series, 1)) < share).astype(float)


def standardized(rows: Rows) -> Rows:
    """Give every series mean 0 and deviation 1; a constant series becomes 0."""
    centred = rows - rows.mean(1, keepdims=True)
    return centred / np.maximum(centred.std(1, keepdims=True), SMALLEST_STD)


def characteristic_length(generator: np.random.Generator, n_series: int, length: int) -> Column:
    """Draw the number of steps over which a series' level changes, from 24 to twice the row.

    Windows are cut from the rows, and most real series are short: changes must happen on all
    time scales, not only on that of a whole row.
    """
    return log_uniform(generator, 24, max(48, 2 * length), n_series)
