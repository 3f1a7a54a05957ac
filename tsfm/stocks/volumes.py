"""Who can be traded, by the volumes of a day."""

import warnings
from collections.abc import Sequence

import numpy as np

from tsfm.errors import DataError
from tsfm.shapes import Bool, Float64, ndarray


class NoVolumeWarning(UserWarning):
    """Says that stocks of a panel have closes and never a volume, so that they are not traded."""


def tradable_of(
    has_close: Bool[ndarray, "day stock"],
    volume: Float64[ndarray, "day stock"] | None,
    stocks: Sequence[str],
    where: str,
) -> Bool[ndarray, "day stock"]:
    """Return where a stock has a close and a volume above 0; without volumes, where it has a close.

    Parameters
    ----------
    where
        File or frame, for the error and the warning.

    Raises
    ------
    DataError
        When there are volumes, and none is above 0.
    """
    if volume is None:
        return has_close
    tradable = has_close & (volume > 0)
    never = np.flatnonzero(has_close.any(axis=0) & ~tradable.any(axis=0))
    if len(never) and not tradable.any():
        raise DataError(
            f"volume must be above 0 where a stock can be traded, got none in all of {where}; "
            "drop the column if it has no volumes, as indices have none"
        )
    if len(never):
        warnings.warn(
            f"{where} has {len(never)} of {len(stocks)} stocks with closes and never a volume, the "
            f"first {stocks[never[0]]!r}: they are neither learned from nor traded; add their "
            "volumes, or drop the column volume",
            NoVolumeWarning,
            stacklevel=4,
        )
    return tradable
