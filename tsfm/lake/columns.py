"""Columns of a part as numbers, and where they have none."""

from typing import Any

from tsfm.shapes import Bool, ndarray


def as_numbers(column: Any) -> Any:
    """Return a column as float64, null where there is no number."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return pa.nulls(len(column), pa.float64())
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    numbers = column.cast(pa.float64(), safe=False)
    return pc.if_else(pc.is_nan(numbers), None, numbers)


def is_missing(column: Any) -> Bool[ndarray, " row"]:
    """Say where a column has no value: null, or not a number."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from tsfm.series.validation import MISSING_TEXTS

    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        text = pc.utf8_lower(pc.utf8_trim_whitespace(column))
        no_number = pc.is_in(text, value_set=pa.array(MISSING_TEXTS, kind))
        found = pc.or_(no_number, pc.is_null(column))
    else:
        found = pc.is_null(column, nan_is_null=True)
    missing: ndarray = pc.fill_null(found, True).to_numpy()
    return missing
