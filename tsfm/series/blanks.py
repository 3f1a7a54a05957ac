"""Ids that differ by nothing but blanks around them: one item to whoever wrote them, two to us."""

import polars as pl

from tsfm.errors import DataError


def refuse_blank_twins(ids: pl.Series, place: str) -> None:
    """Raise when two of the distinct ids are the same once blanks around them are gone.

    Parameters
    ----------
    place
        File and column, for the message.
    """
    if ids.dtype != pl.String:
        return
    stripped = ids.str.strip_chars()
    is_twin = stripped.is_duplicated()
    if not is_twin.any():
        return
    one, other = ids.filter(stripped == stripped.filter(is_twin).sort()[0]).sort()[:2]
    raise DataError(
        f"{place}: ids must differ by more than blanks around them, got {one!r} and {other!r} "
        f"({is_twin.sum()} ids have such a twin); strip them, or rename one if they are two items"
    )
