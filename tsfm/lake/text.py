"""Files of text: what a job does not fill comes out as the text that came in."""

import warnings
from codecs import BOM_UTF8
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import polars as pl

from tsfm.errors import DataError
from tsfm.lake.store import read
from tsfm.series.files import read_input, separator_of
from tsfm.series.folder_values import names_in_file
from tsfm.series.validation import Columns, pick_columns


@dataclass(frozen=True)
class Written:
    """A CSV file as it was written.

    Parameters
    ----------
    fields
        All columns as text; null where a field is empty.
    separator
        Between two fields.
    line_end
        After every line.
    has_mark
        Whether it begins with a byte-order mark, by which spreadsheets know UTF-8.
    """

    fields: pl.DataFrame
    separator: str
    line_end: str
    has_mark: bool

    def to_csv(self, frame: pl.DataFrame) -> bytes:
        """Return a frame as the content of such a file."""
        text = frame.write_csv(
            separator=self.separator, line_terminator=self.line_end, include_bom=self.has_mark
        )
        return text.encode()


@dataclass(frozen=True)
class TextFile(Written):
    """A CSV file twice: as it was written, and as a job reads it.

    Parameters
    ----------
    typed
        The same rows with stamps and targets as what they are, and ids as text, so that ``01`` and
        ``1`` are two items.
    asked
        The names of columns as keywords, see `names_in_file`.
    """

    typed: pl.DataFrame
    columns: Columns
    asked: dict[str, Any]


def read_written(address: str) -> Written:
    """Read a CSV file as it was written.

    Raises
    ------
    DataError
        When it is not there or cannot be read.
    """
    try:
        content = read(address)
        header = content.partition(b"\n")[0]
        mark = separator_of(header, address)
        fields = pl.read_csv(BytesIO(content), separator=mark, infer_schema_length=0)
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise DataError(
            f"{address} must be a readable CSV file, got: {reason}; write it again"
        ) from None
    line_end = "\r\n" if header.endswith(b"\r") else "\n"
    return Written(fields, mark, line_end, header.startswith(BOM_UTF8))


def read_text_file(source: str | Path, asked: Mapping[str, Any]) -> TextFile:
    """Read a CSV file of this machine.

    Raises
    ------
    DataError
        When it cannot be read, has no rows or lacks a column.
    """
    typed, sources = read_input([source])
    asked = names_in_file(asked, source, typed.columns)
    id_column = asked.get("id_column", "item_id")
    with warnings.catch_warnings():  # whoever reads the rows says it again
        warnings.simplefilter("ignore")
        columns = pick_columns(
            typed, id_column, asked["timestamp_column"], asked["target"], sources
        )
    written = read_written(str(source))
    if columns.has_id:
        typed = typed.with_columns(written.fields[columns.id])
    return TextFile(**vars(written), typed=typed, columns=columns, asked=asked)
