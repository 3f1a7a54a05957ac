"""Fixed offsets from UTC, such as ``+05:30``: polars knows zones by name alone."""

import re
from collections.abc import Collection
from datetime import timedelta
from typing import Any

from tsfm.errors import DataError

OFFSET = re.compile(r"([+-])(\d{2}):?(\d{2})")
HOUR = timedelta(hours=1)


def zone_of_offset(offset: timedelta) -> str | None:
    """Return the named zone of an offset, which only those of whole hours have.

    Examples
    --------
    >>> zone_of_offset(timedelta(hours=2)), zone_of_offset(timedelta(minutes=330))
    ('Etc/GMT-2', None)
    """
    hours, rest = divmod(offset, HOUR)
    if rest or not -12 <= hours <= 14:
        return None
    # The sign is that of POSIX: east of Greenwich is minus.
    return f"Etc/GMT{-hours:+d}" if hours else "UTC"


def read_offset(text: str | None) -> timedelta | None:
    """Return the offset that a text such as ``+05:30`` says; None for any other text."""
    found = OFFSET.fullmatch(text or "")
    if found is None:
        return None
    size = timedelta(hours=int(found[2]), minutes=int(found[3]))
    return -size if found[1] == "-" else size


def require_zone(offset: timedelta, name: str) -> str:
    """Return the named zone of an offset.

    Raises
    ------
    DataError
        When it has none.
    """
    zone = zone_of_offset(offset)
    if zone is None:
        minutes = int(offset.total_seconds()) // 60
        text = f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"
        raise DataError(
            f"column {name!r} must have a named time zone or an offset of whole hours, got "
            f"{text}; convert it, for example with tz_convert('Asia/Kolkata')"
        )
    return zone


def named_in_pandas(column: Any) -> Any:
    """Return a column of stamps with a zone that has a name, if it had a fixed offset."""
    zone = column.dt.tz
    has_name = getattr(zone, "key", None) or getattr(zone, "zone", None)
    offset = None if zone is None or has_name else zone.utcoffset(None)
    return column if not offset else column.dt.tz_convert(require_zone(offset, column.name))


def named_in_arrow(table: Any, stamps: Collection[str]) -> Any:
    """Return an arrow table without a column of times that has a fixed offset.

    Parameters
    ----------
    stamps
        Columns that must have a named zone; others may be in UTC.
    """
    import pyarrow as pa

    for place, field in enumerate(table.schema):
        offset = read_offset(field.type.tz) if pa.types.is_timestamp(field.type) else None
        if offset is not None:
            is_stamp = field.name in stamps
            zone = require_zone(offset, field.name) if is_stamp else zone_of_offset(offset)
            kind = pa.timestamp(field.type.unit, zone or "UTC")
            table = table.set_column(place, field.name, table.column(place).cast(kind))
    return table


def known_to_polars(kind: Any) -> Any:
    """Return the type of arrow that stands for one that polars does not know; others stay.

    Stamps with a fixed offset are times of UTC, decimals of 256 bits are numbers.
    """
    import pyarrow as pa

    if pa.types.is_timestamp(kind) and read_offset(kind.tz) is not None:
        return pa.timestamp(kind.unit, "UTC")
    return pa.float64() if pa.types.is_decimal256(kind) else kind
