"""What a Parquet file says of itself beside its schema: kept, also for those who add columns."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

ARROW = b"ARROW:schema"
# Spark reads the columns that are named here, and no other.
SPARK = b"org.apache.spark.sql.parquet.row.metadata"
SPARK_TYPES = {"bool": "boolean", "double": "double"}


def with_added(
    metadata: Mapping[bytes, bytes] | None, added: Sequence[tuple[str, str]]
) -> dict[bytes, bytes]:
    """Return metadata of a file, in which Spark finds added columns.

    Parameters
    ----------
    added
        Names, and types: ``"bool"`` or ``"double"``.

    Examples
    --------
    >>> found = with_added({SPARK: b'{"type": "struct", "fields": []}'}, [("score", "double")])
    >>> json.loads(found[SPARK])["fields"][0]["type"]
    'double'
    """
    kept = {key: value for key, value in (metadata or {}).items() if key != ARROW}
    try:
        schema = json.loads(kept.get(SPARK, b""))
        schema["fields"] += [
            {"name": name, "type": SPARK_TYPES[kind], "nullable": True, "metadata": {}}
            for name, kind in added
        ]
    except (ValueError, KeyError, TypeError):  # not there, or nothing that Spark reads
        return kept
    return kept | {SPARK: json.dumps(schema, separators=(",", ":")).encode()}


def beside_schema(
    metadata: Mapping[bytes, bytes] | None, schema: Any, added: Sequence[tuple[str, str]]
) -> dict[bytes, bytes]:
    """Return what a file says of itself that is not written with its schema of Arrow.

    Parameters
    ----------
    metadata
        Of the file.
    schema
        That is written; a file without one of Arrow's keeps nothing that is said in it.
    """
    is_said = set(schema.metadata or ()) if ARROW in (metadata or {}) else set()
    found = with_added(metadata, added)
    return {key: value for key, value in found.items() if key not in is_said}
