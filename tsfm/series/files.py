"""Files in, files out: CSV and Parquet, one clear error each."""

import csv
import os
from collections.abc import Collection, Sequence
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import polars as pl

from tsfm.errors import DataError
from tsfm.series.convert import refuse_twice, to_polars
from tsfm.series.find_files import NAMED_SUFFIXES, PARQUET_SUFFIXES, named_files
from tsfm.series.folder_values import with_folder_values
from tsfm.series.offsets import known_to_polars

SEPARATORS = ",;\t|"
# Columns that are ids by their name; see `tsfm.series.validation.pick_columns`.
ID_NAMES = ("item_id", "unique_id")


def read_input(
    inputs: Sequence[str | Path], *, id_columns: Collection[str] = ()
) -> tuple[pl.DataFrame, list[tuple[str, int]]]:
    """Read files, folders and globs of CSV or Parquet into one frame.

    What folders such as ``item_id=A`` say below the one that is named are columns of text.

    Parameters
    ----------
    id_columns
        Such a column of a CSV, in any case, stays text where numbers would not be the same: 007,
        1.10. So do ``item_id`` and ``unique_id``.

    Returns
    -------
    frame
        The rows of all files, in the order given.
    sources
        Name and number of rows of every file, so that an error can name the file of a row.

    Raises
    ------
    DataError
        When nothing matches, no file has rows, one is unreadable, or the columns of two differ.
    """
    named = named_files(inputs)
    files = [file for file, _ in named]
    if not files:
        raise DataError("input must name a file, a folder or a pattern, got none; name one")
    frames = with_folder_values(
        [_read(file, id_columns) for file in files], [name for _, name in named]
    )
    if not any(frame.height for frame in frames):
        others = f", like the {len(files) - 1} others" if len(files) > 1 else ""
        raise DataError(
            f"{files[0]} must have rows, got a header alone{others}; remove it from the input"
        )
    sources = [(str(file), frame.height) for file, frame in zip(files, frames, strict=True)]
    return _together(files, frames), sources


def _together(files: Sequence[Path], frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    first = frames[0]
    for file, frame in zip(files[1:], frames[1:], strict=True):
        if set(frame.columns) != set(first.columns):
            raise DataError(
                f"{file} must have the columns of {files[0]}, got {frame.columns} against "
                f"{first.columns}; pass files of one kind"
            )
    try:
        # Writers of many parts leave some empty; the types of such a CSV would be a guess.
        filled = [frame for frame in frames if frame.height]
        return pl.concat(_aligned(filled), how="vertical_relaxed")
    except pl.exceptions.PolarsError as error:
        raise DataError(
            f"{files[0]} and the files after it must have the same column types, got: "
            f"{_one_line(error)}; cast them"
        ) from None


def _aligned(frames: Sequence[pl.DataFrame]) -> list[pl.DataFrame]:
    """Give all frames the first one's order; a column that is text in one is text in all.

    So a text value among numbers reaches the check that names file, item and stamp.
    """
    columns = frames[0].columns
    text = [name for name in columns if any(frame[name].dtype == pl.String for frame in frames)]
    return [frame.select(columns).with_columns(pl.col(text).cast(pl.String)) for frame in frames]


def _read(file: Path, id_columns: Collection[str]) -> pl.DataFrame:
    if file.stat().st_size == 0:
        raise DataError(f"{file} must have rows, got an empty file; remove it from the input")
    try:
        # The name is a file's, found already: in brackets polars would see a pattern again.
        if file.name.lower().endswith(PARQUET_SUFFIXES):
            frame = _read_parquet(file)
        elif file.name.lower().endswith(NAMED_SUFFIXES):
            frame = _read_csv(file, id_columns)
        else:
            raise DataError(
                f"{file} must end in one of {', '.join(NAMED_SUFFIXES)}, got {file.name!r}; "
                "convert it"
            )
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        said = _long_row(file) if "more fields than defined" in str(error) else _one_line(error)
        remedy = "save it as UTF-8" if "utf-8" in said.lower() else "write it again"
        raise DataError(
            f"{file} must be a readable CSV or Parquet file, got: {said}; {remedy}"
        ) from None
    return frame


def _read_parquet(file: Path) -> pl.DataFrame:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        kinds = pq.read_schema(file).types
    except (pa.ArrowException, OSError):
        kinds = []  # polars says what is wrong
    if all(known_to_polars(kind) == kind for kind in kinds):
        return pl.read_parquet(file, glob=False)
    try:
        return to_polars(read_table(file), "")[0]
    except DataError as error:
        raise DataError(f"{file}: {error}") from None


def read_table(file: Path) -> Any:
    """Read a Parquet file as pyarrow does, which keeps every type and what is said of the schema.

    Raises
    ------
    DataError
        When it cannot be read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(file) as content:
            return content.read()
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            f"{file} must be a readable CSV or Parquet file, got: {_one_line(error)}; write it "
            "again"
        ) from None


def _read_csv(file: Path, id_columns: Collection[str]) -> pl.DataFrame:
    # All rows are looked at, so that one text value late in a file is found and named.
    # Stamps stay text: the check of frames reads them, and names what it cannot read.
    mark = separator(file)
    header = _header(file, mark)
    known = {name.lower() for name in (*id_columns, *ID_NAMES)}
    ids = {name for name in header if name.strip().lower() in known}
    frame = pl.read_csv(
        file,
        separator=mark,
        infer_schema_length=None,
        schema_overrides=dict.fromkeys(ids, pl.String),
        glob=False,
    )
    return frame.with_columns(_ids(frame[name]) for name in frame.columns if name in ids)


def _header(file: Path, mark: str) -> list[str]:
    """Return the names of columns as they are written, of which empty ones may be many."""
    first = pl.read_csv(
        file, separator=mark, has_header=False, n_rows=1, infer_schema_length=0, glob=False
    )
    names = [name for name in first.row(0) if name]
    try:
        refuse_twice(names)
    except DataError as error:
        raise DataError(f"{file}: {error}") from None
    return names


def _long_row(file: Path) -> str:
    """Say which line of a CSV file has more fields than the first one."""
    with _opened(file) as lines:
        text = TextIOWrapper(lines, encoding="utf-8", errors="replace", newline="")
        rows = csv.reader(text, delimiter=separator(file))
        width = len(next(rows))
        # Of quotes that never end everybody makes lines of their own.
        with suppress(csv.Error):
            for row in rows:
                if len(row) > width:
                    return f"{len(row)} fields in line {rows.line_num} and {width} in the first one"
    return "more fields in a line than in the first one"


def _ids(text: pl.Series) -> pl.Series:
    """Return ids as whole or decimal numbers where each is written as that number is."""
    for kind in (pl.Int64, pl.Float64):
        numbers = text.cast(kind, strict=False)
        if numbers.cast(pl.String).eq_missing(text).all():
            return numbers
    return text


def separator(file: Path) -> str:
    """Return the separator of a CSV file, as its first line tells."""
    with _opened(file) as lines:
        return separator_of(lines.readline(), file)


def _opened(file: Path) -> Any:
    """Open a file of text, which may be compressed, to read bytes."""
    import gzip

    return gzip.open(file) if file.suffix.lower() == ".gz" else file.open("rb")


def separator_of(header: bytes, file: str | Path) -> str:
    """Return the separator that the first line of a CSV file tells.

    Raises
    ------
    DataError
        When each letter takes two bytes or more, as some spreadsheets write them.
    """
    if b"\x00" in header:
        raise DataError(f"{file} must be text in UTF-8, got another encoding; save it as UTF-8")
    return max(SEPARATORS, key=lambda one: header.count(one.encode()))


def _one_line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__


def check_output(file: str | Path) -> None:
    """Raise at once what `write_output` would raise about the name of its file."""
    if Path(file).suffix not in (".parquet", ".csv"):
        raise DataError(f"output must end in .parquet or .csv, got {file}; rename it")


def write_output(frame: pl.DataFrame, file: str | Path) -> Path:
    """Write by suffix; the file appears under its name only when it is whole."""
    check_output(file)
    file = Path(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.partial")
    write = frame.write_parquet if file.suffix == ".parquet" else frame.write_csv
    try:
        write(temporary)
        os.replace(temporary, file)  # noqa: PTH105 (atomic on every platform)
    finally:
        temporary.unlink(missing_ok=True)
    return file


def place_of_row(sources: Sequence[tuple[str, int]], row: int) -> tuple[str, int]:
    """Return the file that row number `row` of the joined frame came from, and its number there."""
    for name, n_rows in sources:
        if row < n_rows:
            return name, row
        row -= n_rows
    return "", row
