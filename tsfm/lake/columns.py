"""Columns of a part with values put in: the others keep theirs to the bit, the column its type."""

from typing import Any

import numpy as np

from tsfm.errors import DataError
from tsfm.shapes import Bool, Float64, Int, ndarray


def put(column: Any, rows: Int[ndarray, " row"], values: Float64[ndarray, " row"]) -> Any:
    """Return a column with values in some rows, which are in order.

    Whole numbers are rounded and kept in the range of their type, decimals have their digits, text
    gets text.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if not len(rows):
        return column
    mask = np.zeros(len(column), bool)
    mask[rows] = True
    return pc.replace_with_mask(column, pa.array(mask), as_type(values, column.type))


def as_type(values: Float64[ndarray, " row"], kind: Any) -> Any:
    """Return numbers as an array of a type.

    Examples
    --------
    >>> import pyarrow as pa
    >>> as_type(np.array([1.6, 300.0]), pa.uint8()).to_pylist()
    [2, 255]
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    types = pa.types
    if types.is_boolean(kind):
        return pa.array(values > 0.5)
    if types.is_integer(kind):
        return pa.array(_whole(values, np.dtype(kind.to_pandas_dtype())), kind)
    if types.is_floating(kind):
        exact = np.dtype(kind.to_pandas_dtype())
        most = float(np.finfo(exact).max)
        return pa.array(np.clip(values, -most, most).astype(exact), kind)
    if types.is_decimal(kind):
        most = 10.0 ** (kind.precision - kind.scale)
        most = float(np.nextafter(most - 10.0**-kind.scale, 0))
        rounded = pc.round(pa.array(np.clip(values, -most, most)), kind.scale)
        return rounded.cast(kind, safe=False)
    if types.is_string(kind) or types.is_large_string(kind):
        return pa.array(values).cast(kind)
    raise DataError(f"a target must hold numbers, got a column of {kind}; cast it")


def _whole(values: Float64[ndarray, " row"], kind: np.dtype[Any]) -> ndarray:
    """Round into the range of a type, less what float64 would round out of it."""
    limits = np.iinfo(kind)
    high = limits.max if limits.max <= 2**53 else int(np.nextafter(float(limits.max), 0))
    return np.clip(np.round(values), float(limits.min), float(high)).astype(kind)


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
