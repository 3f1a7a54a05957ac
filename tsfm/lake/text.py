"""Files of text: what a job does not fill comes out as the text that came in."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from tsfm.series.files import read_input, separator
from tsfm.series.validation import Columns, pick_columns


@dataclass(frozen=True)
class TextFile:
    """A CSV file twice: as it was written, and as a job reads it.

    Parameters
    ----------
    source
        Where it is.
    fields
        All columns as text; null where a field is empty.
    typed
        The same rows with stamps and targets as what they are, and ids as text, so that ``01`` and
        ``1`` are two items.
    separator
        Between two fields.
    line_end
        After every line.
    """

    source: str
    fields: pl.DataFrame
    typed: pl.DataFrame
    columns: Columns
    separator: str
    line_end: str

    def to_csv(self, frame: pl.DataFrame) -> bytes:
        """Return a frame as the content of such a file."""
        text = frame.write_csv(separator=self.separator, line_terminator=self.line_end)
        return text.encode()


def read_text_file(
    source: str | Path, *, id_column: str, timestamp_column: str, target: Any, **_: Any
) -> TextFile:
    """Read a CSV file.

    Raises
    ------
    DataError
        When it cannot be read, has no rows or lacks a column.
    """
    typed, sources = read_input([source])
    with warnings.catch_warnings():  # whoever reads the rows says it again
        warnings.simplefilter("ignore")
        columns = pick_columns(typed, id_column, timestamp_column, target, sources)
    mark = separator(Path(source))
    fields = pl.read_csv(source, separator=mark, infer_schema_length=0, glob=False)
    if columns.has_id:
        typed = typed.with_columns(fields[columns.id])
    with Path(source).open("rb") as lines:
        line_end = "\r\n" if lines.readline().endswith(b"\r\n") else "\n"
    return TextFile(str(source), fields, typed, columns, mark, line_end)
