"""The stamps of a frame: each kind is read as it was meant, or refused by row."""

from collections.abc import Callable, Sequence

import polars as pl

from tsfm.errors import DataError
from tsfm.series.bad_rows import refuse_rows
from tsfm.series.stamps import parse_text

Refuse = Callable[[pl.Series, str, str], None]
TEXT = (pl.String, pl.Categorical, pl.Enum)
# 01/02/2024 is in January or in February; only a day after the 12th tells.
DAY_OR_MONTH_FIRST = r"^(\d{1,2})[/-]\d{1,2}[/-]\d{4}"
HAS_OFFSET = r"\d:\d{2}\S*([+-]\d{2}:?\d{2}|Z)$"
OFFSET_MINUTES = r"[+-]\d{2}:?(\d{2})$"
TIME_OF_DAY = r"[T ](\d{1,2}:\d{2}(?::\d{2})?)"
WRITE = "write stamps as 2024-12-31 or 2024-12-31 23:59:59"
NAME_ZONE = "convert stamps to a named time zone such as 'Asia/Kolkata', or leave the offset out"


def read_stamps(
    stamps: pl.Series, ids: pl.Series, name: str, sources: Sequence[tuple[str, int]]
) -> pl.Series:
    """Return stamps, dates or whole numbers.

    Raises
    ------
    DataError
        When the column is of another kind, or naming the first row that cannot be read, or could
        be read in two ways.
    """

    def refuse(bad: pl.Series, what: str, remedy: str) -> None:
        refuse_rows(bad, ids, None, name, what, remedy, sources)

    refuse(stamps.is_null(), "a missing stamp", "fill it or drop the rows")
    kind = stamps.dtype
    if isinstance(kind, pl.Datetime) and kind.time_unit == "ns":
        finer = stamps.to_physical() % 1000 != 0
        first = stamps.slice(int(finer.arg_max() or 0), 1).cast(pl.String)[0]
        what = f"the stamp {first}, which is finer than a microsecond,"
        refuse(finer, what, "round stamps to microseconds, or number them 0, 1, 2")
    if kind == pl.Date or isinstance(kind, pl.Datetime):
        return stamps
    if kind.is_integer():
        return _whole_numbers(stamps, refuse)
    if kind in TEXT:
        return _from_text(stamps.cast(pl.String).str.strip_chars(), refuse)
    raise DataError(
        f"column {name!r} must hold stamps, dates or integer steps, got {kind}; cast it"
    )


def _whole_numbers(stamps: pl.Series, refuse: Refuse) -> pl.Series:
    too_large = stamps.cast(pl.Int64, strict=False).is_null()
    what = f"the number {_first(stamps, too_large)} that needs more than 64 bits"
    refuse(too_large, what, "count steps from the first one")
    if len(stamps) == 1:
        return stamps
    number, text = stamps.cast(pl.Int64), stamps.cast(pl.String)
    days = text.str.to_date("%Y%m%d", strict=False)
    if days.is_not_null().all() and (number >= 1900_01_01).all():
        what = f"the number {stamps[0]} for the day {days[0]}"
        refuse(days.is_not_null(), what, WRITE)
    # Steps of a hundred from one January to the next go on as the months they may be.
    is_month = number.is_between(1900_01, 2199_12) & (number % 100).is_between(1, 12)
    if is_month.all() and (number % 100).n_unique() > 1 and (number // 100).n_unique() > 1:
        what = f"the number {stamps[0]} for the month {text[0][:4]}-{text[0][4:]}"
        refuse(is_month, what, WRITE)
    return stamps


def _from_text(text: pl.Series, refuse: Refuse) -> pl.Series:
    parsed = parse_text(text)
    bad = parsed.is_null()
    if bad.any():
        has_offset = text.str.contains(HAS_OFFSET)
        other = bad & (has_offset != has_offset[0])
        unlike = "without the" if has_offset[0] else "with an"
        what = f"text {_first(text, other)!r} {unlike} offset from UTC, unlike the first one,"
        refuse(other, what, "give all stamps an offset, or none")
    refuse(bad, f"text {_first(text, bad)!r} that is no stamp", WRITE)
    leading = text.str.extract(DAY_OR_MONTH_FIRST).cast(pl.Int64)
    if not (leading > 12).any():
        unclear = leading.is_not_null()
        refuse(unclear, f"text {_first(text, unclear)!r} that may be two days", WRITE)
    if isinstance(parsed.dtype, pl.Datetime) and parsed.dtype.time_zone is not None:
        minutes = text.str.extract(OFFSET_MINUTES)
        odd = (minutes != "00").fill_null(False)
        what = f"text {_first(text, odd)!r} with an offset that is not of whole hours"
        refuse(odd, what, NAME_ZONE)
        offsets = text.str.extract(r"([+-]\d{2}:?\d{2}|Z)$")
        other = (offsets != offsets[0]).fill_null(True)
        # The clock changed between days: in hours of UTC they are not a day apart.
        if other.any() and text.str.extract(TIME_OF_DAY).n_unique() == 1:
            what = f"text {_first(text, other)!r} with another offset than {offsets[0]}"
            refuse(other, what, NAME_ZONE)
    return parsed


def _first(values: pl.Series, bad: pl.Series) -> object:
    return values[int(bad.arg_max() or 0)]
