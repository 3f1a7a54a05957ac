"""Columns with values put in: the others keep theirs to the bit, the column its type.

Whole numbers are rounded and kept in the range of their type, decimals have their digits, floats
stay finite, text gets text.
"""

from decimal import Decimal, localcontext
from numbers import Integral
from typing import Any, NoReturn

import numpy as np
import polars as pl

from tsfm.errors import DataError
from tsfm.series.stamp_column import TEXT
from tsfm.shapes import Bool, Float64, Int, ndarray


def put(column: Any, rows: Int[ndarray, " row"], values: Float64[ndarray, " row"]) -> Any:
    """Return a column of pyarrow with values in some rows, which are in order."""
    import pyarrow as pa

    if not len(rows):
        return column
    old = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    # `replace_with_mask` of pyarrow is wrong for truths in slices or several chunks.
    place = np.arange(len(column))
    place[rows] = len(column) + np.arange(len(rows))
    both = pa.chunked_array([*old, as_type(values, column.type)], column.type)
    return both.take(pa.array(place))


def as_type(values: Float64[ndarray, " row"], kind: Any) -> Any:
    """Return numbers as an array of a type of pyarrow.

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


def put_polars(
    column: pl.Series, rows: Bool[ndarray, " row"], values: Float64[ndarray, " row"]
) -> pl.Series:
    """Return a column of polars with values where `rows` says so."""
    kind, name = column.dtype, column.name
    new = pl.Series(name, np.where(rows, values, 0.0))
    if kind == pl.Enum:
        _refuse(name, "Enum")
    if kind.is_integer() or kind == pl.Boolean:
        low, high = (0, 1) if kind == pl.Boolean else _limits(kind)
        new = new.round().clip(low, high).cast(pl.UInt64 if kind == pl.UInt64 else pl.Int64)
    elif kind in TEXT:
        new = new.cast(pl.String)
    elif kind.is_float() or kind.is_decimal():
        exact = as_type(new.to_numpy(), column.clear().to_arrow().type)
        new = pl.Series(name, pl.from_arrow(exact))
    return new.cast(kind).zip_with(pl.Series(rows), column)


def put_arrow(
    column: Any, name: str, rows: Bool[ndarray, " row"], values: Float64[ndarray, " row"]
) -> Any:
    """Return a column of a table of pyarrow with values where `rows` says so."""
    import pyarrow as pa

    kind = column.type
    if pa.types.is_boolean(kind) or pa.types.is_primitive(kind) or pa.types.is_decimal(kind):
        return put(column, np.flatnonzero(rows), values[rows])
    is_dictionary = pa.types.is_dictionary(kind)
    if is_dictionary and kind.value_type not in (pa.string(), pa.large_string()):
        _refuse(name, str(kind))
    series = pl.Series(name, pl.from_arrow(column))
    return put_polars(series, rows, values).to_arrow().cast(kind)


def put_pandas(column: Any, rows: Bool[ndarray, " row"], values: Float64[ndarray, " row"]) -> Any:
    """Return a column of pandas with values where `rows` says so."""
    column = column.copy()
    column.iloc[rows] = _of_pandas(column, rows, values[rows])
    return column


def _of_pandas(column: Any, rows: Any, values: Any) -> Any:
    """Return values as what a column of pandas takes."""
    import pandas as pd
    import pyarrow as pa

    kind = column.dtype
    if isinstance(kind, pd.CategoricalDtype | pd.SparseDtype):
        _refuse(column.name, str(kind))
    if pd.api.types.is_object_dtype(kind):
        return _of_objects([one for one in column[~rows] if not _is_missing(one)], values)
    if pd.api.types.is_string_dtype(kind):
        return values.astype(str)
    if isinstance(kind, pd.ArrowDtype):
        return pd.array(as_type(values, kind.pyarrow_dtype), dtype=kind)
    exact = getattr(kind, "numpy_dtype", kind)
    if exact.kind not in "biuf" or exact.itemsize > 8:  # as a long double, which only numpy has
        return values.astype(exact)
    return as_type(values, pa.from_numpy_dtype(exact)).to_numpy(zero_copy_only=False)


def _of_objects(observed: list[Any], values: Any) -> Any:
    """Return values as Python objects of the type of those that are there."""
    import pyarrow as pa

    kinds = {type(one) for one in observed}
    new: list[Any] = values.tolist()
    if str in kinds:
        new = [str(one) for one in new]
    elif len(kinds) == 1 and issubclass(kind := next(iter(kinds)), np.generic):
        new = list(as_type(values, pa.from_numpy_dtype(kind)).to_numpy(zero_copy_only=False))
    elif kinds == {bool}:
        new = [one > 0.5 for one in new]
    elif all(issubclass(kind, Integral) for kind in kinds):
        new = [round(one) for one in new]
    elif all(issubclass(kind, Integral | Decimal) for kind in kinds):
        exact = [one for one in observed if isinstance(one, Decimal)]
        digits = max(-int(one.as_tuple().exponent) for one in exact)
        with localcontext(prec=400):
            new = [round(Decimal(one), max(0, digits)) for one in new]
    objects = np.empty(len(new), object)
    objects[:] = new
    return objects


def _is_missing(value: Any) -> bool:
    import pandas as pd

    return bool(pd.isna(value))


def _refuse(name: Any, kind: str) -> NoReturn:
    raise DataError(
        f"column {name!r} must take new values to be filled, got {kind}; cast it to numbers or text"
    )


def _whole(values: Float64[ndarray, " row"], kind: np.dtype[Any]) -> ndarray:
    """Round into the range of a type, less what float64 would round out of it."""
    limits = np.iinfo(kind)
    high = limits.max if limits.max <= 2**53 else int(np.nextafter(float(limits.max), 0))
    return np.clip(np.round(values), float(limits.min), float(high)).astype(kind)


def _limits(kind: Any) -> tuple[int, int]:
    """Return the range of an integer type, less what float64 would round out of it."""
    low, high = (pl.select(getattr(kind, side)()).item() for side in ("min", "max"))
    return int(low), int(np.nextafter(float(high), 0)) if high > 2**53 else int(high)
