"""A Parquet file to read: what is wrong with the file is told apart from what its reader does."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tsfm.errors import DataError
from tsfm.lake.store import locate


@dataclass(frozen=True)
class OpenFile:
    """A Parquet file that is open.

    Parameters
    ----------
    source
        Where it is.
    file
        Of pyarrow.
    """

    source: str
    file: Any

    @property
    def schema_arrow(self) -> Any:
        """The schema, as pyarrow gives it."""
        return self.file.schema_arrow

    @property
    def metadata(self) -> Any:
        """The metadata of the file and its row groups."""
        return self.file.metadata

    @property
    def num_row_groups(self) -> int:
        """How many row groups there are."""
        return int(self.file.num_row_groups)

    def read_row_group(self, number: int, columns: Sequence[str] | None = None) -> Any:
        """Read a row group; a `DataError` where that cannot be done."""
        with _readable(self.source):
            return self.file.read_row_group(number, columns=columns)


@contextmanager
def opened(source: str, *, dictionary: Sequence[str] = ()) -> Iterator[OpenFile]:
    """Open a Parquet file.

    Parameters
    ----------
    dictionary
        Columns of text to read as dictionaries, which none of a delta encoding can be.

    Raises
    ------
    DataError
        When it is gone or cannot be read.
    """
    import pyarrow.parquet as pq

    filesystem, path = locate(source)
    with _readable(source):
        content = filesystem.open_input_file(path)
    with content:
        with _readable(source):
            file = pq.ParquetFile(content, read_dictionary=list(dictionary))
        with file:
            yield OpenFile(source, file)


@contextmanager
def _readable(source: str) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except FileNotFoundError:
        raise DataError(
            f"{source} must be there until the job ends, got nothing; restore it and pass --resume"
        ) from None
    except (pa.ArrowException, OSError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise DataError(
            f"{source} must be a readable Parquet file, got: {reason}; write it again"
        ) from None
