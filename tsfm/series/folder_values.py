"""Columns that the folders of a path say, as Hive writes them: ``item_id=A/part-0.parquet``."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import polars as pl

# What Hive writes for a missing value in the name of a folder.
HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"


def hive_values(name: str) -> dict[str, str]:
    """Return the columns that the folders of a path say.

    Examples
    --------
    >>> hive_values("exchange=XNYS/item_id=A%2FB/part-0.parquet")
    {'exchange': 'XNYS', 'item_id': 'A/B'}
    """
    pairs = [folder.partition("=") for folder in name.split("/")[:-1]]
    return {key: unquote(value) for key, sign, value in pairs if sign and value != HIVE_NULL}


def hive_nulls(name: str) -> set[str]:
    """Return the columns that have no value, as the folders of a path say.

    Examples
    --------
    >>> hive_nulls("exchange=XNYS/item_id=__HIVE_DEFAULT_PARTITION__/part-0.parquet")
    {'item_id'}
    """
    pairs = [folder.partition("=") for folder in name.split("/")[:-1]]
    return {key for key, _, value in pairs if value == HIVE_NULL}


def with_folder_values(frames: Sequence[pl.DataFrame], names: Sequence[str]) -> list[pl.DataFrame]:
    """Add to every frame what the folders of its path say, as text.

    A column that is in the file stays as it is; one that only other paths say is missing.
    """
    values = [hive_values(name) for name in names]
    keys = list(dict.fromkeys(key for found in values for key in found))
    return [
        frame.with_columns(
            pl.lit(found.get(key), pl.String).alias(key) for key in keys if key not in frame.columns
        )
        for frame, found in zip(frames, values, strict=True)
    ]


def names_in_file(
    columns: Mapping[str, Any], source: str | Path, found: Collection[str]
) -> dict[str, Any]:
    """Return the names of columns to ask a file for: its folders may say the id, which is then one.

    Parameters
    ----------
    columns
        Keywords such as ``id_column``.
    found
        Columns of the file.

    Examples
    --------
    >>> names_in_file({"id_column": "ticker"}, "lake/ticker=A/part-0.csv", ["timestamp", "target"])
    {}
    """
    asked = columns["id_column"]
    is_said = asked not in found and asked in hive_values(Path(source).as_posix())
    return {key: name for key, name in columns.items() if key != "id_column" or not is_said}
