"""Training, validation and test parts of series, in order of time."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tsfm.errors import ConfigError
from tsfm.shapes import Int, ndarray


@dataclass(frozen=True)
class Split:
    """Steps of every series at which its parts end; a part may be empty.

    The training part is ``[0, train_end)``, then follow validation and test. The context of a
    window may reach back into an earlier part, what is predicted may not.

    Parameters
    ----------
    test_end
        Later steps belong to no part.
    """

    train_end: Int[ndarray, " item"]
    validation_end: Int[ndarray, " item"]
    test_end: Int[ndarray, " item"]

    @property
    def sizes(self) -> Int[ndarray, "item three"]:
        """Steps of the three parts."""
        ends = np.stack([self.train_end, self.validation_end, self.test_end], axis=1)
        return np.diff(ends, axis=1, prepend=0)


def split_by_fraction(
    lengths: Int[ndarray, " item"], fractions: Sequence[float] = (0.7, 0.1, 0.2)
) -> Split:
    """Cut every series by shares of its length.

    Training and test are rounded down and validation takes the rest, as long-term benchmarks do;
    every series keeps a step to train on.

    Parameters
    ----------
    fractions
        Of training, validation and test; they must add up to 1.

    Examples
    --------
    >>> split_by_fraction(np.array([7588])).sizes.tolist()
    [[5311, 760, 1517]]
    """
    train, validation, test = fractions
    if min(fractions) < 0 or train == 0 or abs(train + validation + test - 1) > 1e-9:
        raise ConfigError(
            f"fractions must be positive for training and add up to 1, got {tuple(fractions)}"
        )
    train_end = np.maximum(_floor(lengths * train), np.minimum(lengths, 1))
    test_start = np.maximum(lengths - _floor(lengths * test), train_end)
    # Without a validation part the rest of the rounding goes to the test.
    return Split(train_end, test_start if validation else train_end, lengths.astype(np.int64))


def split_by_rows(lengths: Int[ndarray, " item"], rows: Sequence[int]) -> Split:
    """Cut every series after the same numbers of steps.

    Parameters
    ----------
    rows
        Steps for training, validation and test; later steps are left out.

    Examples
    --------
    >>> split_by_rows(np.array([17420]), (8640, 2880, 2880)).test_end.tolist()
    [14400]
    """
    if min(rows) < 0 or rows[0] == 0:
        raise ConfigError(f"rows must not be negative, and some for training, got {tuple(rows)}")
    if len(lengths) and sum(rows) > lengths.min():
        raise ConfigError(
            f"rows must fit the shortest series, got {tuple(rows)} for {lengths.min()} steps; "
            "make them fewer"
        )
    train_end, validation_end, test_end = np.cumsum(rows)
    whole = np.ones(len(lengths), np.int64)
    return Split(whole * train_end, whole * validation_end, whole * test_end)


def _floor(steps: np.ndarray) -> np.ndarray:
    # 0.7 * 10 is 6.999...: a share that is whole in decimals must stay whole.
    floored: np.ndarray = np.floor(steps + 1e-6).astype(np.int64)
    return floored
