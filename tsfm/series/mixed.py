"""Items of other frequencies than that of their frame, which would be forecast for wrong stamps."""

import warnings

import numpy as np

from tsfm.series.frequency import infer_grid
from tsfm.series.grids import OFF_GRID, BusinessGrid, FixedGrid, Grid, MonthGrid
from tsfm.series.stamps import uses_utc
from tsfm.series.validation import Rows
from tsfm.shapes import Int, ndarray

# Fewer rows may be neighbours of a coarser frequency by chance, and weekends be gaps.
FEWEST_ROWS = 10
FEWEST_WEEKENDS = 3
# An item that has fewer gaps than one in four steps of the frame's frequency belongs to it.
LEAST_STRETCH = 1.25
# So many of the steps of an item's own frequency are there, or it is one of the frame's with gaps.
LEAST_NEIGHBOURS = 0.75


class MixedFrequencyWarning(UserWarning):
    """Says that an item has a frequency of its own, and is forecast at that of its frame."""


def warn_of_mixed(rows: Rows, grid: Grid | None, lengths: Int[ndarray, " item"]) -> None:
    """Warn of items whose stamps clearly follow a coarser frequency than that of the frame.

    An item of few rows, or with gaps at irregular places, is one of the frame's frequency.

    Parameters
    ----------
    grid
        Inferred from all items together.
    lengths
        Steps of every item on that grid, gaps included.
    """
    if not isinstance(grid, FixedGrid | MonthGrid) or len(lengths) < 2:
        return
    ends = np.append(rows.starts[1:], len(rows.item))
    n_rows = ends - rows.starts
    sparse = np.flatnonzero((n_rows >= FEWEST_ROWS) & (lengths >= LEAST_STRETCH * n_rows))
    found = [(item, _own(rows, slice(rows.starts[item], ends[item]), grid)) for item in sparse]
    others = [(item, own) for item, own in found if own is not None]
    if others:
        item, own = others[0]
        warnings.warn(
            f"{rows.where(int(rows.starts[item]))}: the stamps have freq={own!r}, and those of the "
            f"frame freq={grid.freq!r}, which is taken for all ({len(others)} such item"
            f"{'' if len(others) == 1 else 's'}); pass them in separate calls, or pass "
            f"freq={grid.freq!r} if what lies between is missing",
            MixedFrequencyWarning,
            stacklevel=4,
        )


def _own(rows: Rows, part: slice, grid: Grid) -> str | None:
    """Return the frequency that an item has by itself, if it is clearly not that of the frame."""
    is_first = np.zeros(part.stop - part.start, bool)
    is_first[0] = True
    stamps = rows.wall[part]
    own = infer_grid(stamps, is_first)
    if rows.is_zoned and uses_utc(own):
        stamps = rows.utc[part]
        own = infer_grid(stamps, is_first)
    if own is None or _step(own) == _step(grid):
        return None
    place = own.ordinals(stamps, np.full(len(stamps), stamps[0]))
    steps = np.diff(place)
    if (place == OFF_GRID).any() or np.mean(steps == 1) < LEAST_NEIGHBOURS:
        return None
    if isinstance(own, BusinessGrid) and (place[-1] // 5 - place[0] // 5) < FEWEST_WEEKENDS:
        return None
    return own.freq


def _step(grid: Grid) -> tuple[str, int]:
    return type(grid).__name__, getattr(grid, "step", getattr(grid, "n_months", 1))
