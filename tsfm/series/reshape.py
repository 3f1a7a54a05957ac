"""Wide frames (one column per item) to long ones."""

from typing import Any

import polars as pl

from tsfm.errors import DataError
from tsfm.series.convert import from_polars, to_polars
from tsfm.series.validation import NIXTLA_NAMES, check_names


def to_long(
    wide: Any,
    *,
    timestamp_column: str = "timestamp",
    id_column: str = "item_id",
    target: str = "target",
) -> Any:
    """Turn a wide frame into a long one of the same kind.

    Parameters
    ----------
    wide
        A stamp column (or, in pandas, an index of stamps) and one numeric column per item. With
        ``ds`` in place of ``timestamp``, the default names are ``unique_id``, ``ds`` and ``y``.

    Raises
    ------
    DataError
        When the stamps are missing, a column is not numeric, or the frame is long already.

    Examples
    --------
    >>> wide = pl.DataFrame({"timestamp": [1, 2], "a": [1.0, 2.0], "b": [3.0, 4.0]})
    >>> to_long(wide)["item_id"].to_list()
    ['a', 'a', 'b', 'b']
    """
    check_names(id_column, timestamp_column, target)
    if len({id_column, timestamp_column, str(target)}) < 3 or not isinstance(target, str):
        raise DataError(
            "id_column, timestamp_column and target must be three names, got "
            f"{[id_column, timestamp_column, target]}; pass others"
        )
    frame, origin = to_polars(wide, timestamp_column)
    names = {"item_id": id_column, "timestamp": timestamp_column, "target": target}
    if "timestamp" not in frame.columns and "ds" in frame.columns:
        names = {key: NIXTLA_NAMES[key] if key == name else name for key, name in names.items()}
    id_column, timestamp_column, target = names.values()
    if timestamp_column not in frame.columns:
        raise DataError(
            f"column {timestamp_column!r} must be present, got {frame.columns}; pass "
            "timestamp_column="
        )
    taken = [name for name in (id_column, target) if name in frame.columns]
    if taken:
        raise DataError(
            f"a wide frame must have a stamp and one column per item, got columns {taken}; use the "
            "frame as it is if it is long, or pass another id_column= or target="
        )
    items = [name for name in frame.columns if name != timestamp_column]
    text = [
        name
        for name in items
        if not (frame[name].dtype.is_numeric() or frame[name].dtype in (pl.Boolean, pl.Null))
    ]
    if text or not items:
        raise DataError(
            f"a wide frame must have numeric columns besides {timestamp_column!r}, got "
            f"{text or 'none'}; drop or cast them"
        )
    long = frame.unpivot(
        items, index=timestamp_column, variable_name=id_column, value_name=target
    ).select(id_column, timestamp_column, target)
    return from_polars(long, origin)
