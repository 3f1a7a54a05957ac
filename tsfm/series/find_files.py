"""Which files of data a file, a folder or a pattern names."""

import glob
import os
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

from tsfm.errors import DataError
from tsfm.series.folder_values import hive_values

PARQUET_SUFFIXES = (".parquet", ".pq")
FOLDER_SUFFIXES = (".csv", ".csv.gz", ".parquet")
SUFFIXES = (".csv", ".csv.gz", ".tsv", *PARQUET_SUFFIXES)
# Below a folder a text file may as well be a note.
NAMED_SUFFIXES = (*SUFFIXES, ".txt")


class FilesLeftOutWarning(UserWarning):
    """Says that text files below a folder were not read."""


def find_files(entry: str | Path) -> list[Path]:
    """Return the files that a file, a folder or a pattern names, sorted.

    What is hidden below a folder is left out; see `is_hidden`.

    Raises
    ------
    DataError
        When there is none.
    """
    entry, path = str(entry), Path(entry)
    if path.is_dir():
        found = files_below(path)
    elif path.is_file():
        found = [path]
    else:
        found = sorted(Path(match) for match in glob.glob(entry, recursive=True))  # noqa: PTH207
    found = [file for file in found if file.is_file()]
    for file in found:
        _check_name(file)
    if not found:
        raise DataError(f"{entry} must be a file, a folder or a pattern of CSV or Parquet files, "
                        "got nothing there; check the path")  # fmt: skip
    return found


def _check_name(file: Path) -> None:
    """Refuse a name that is no text, which could neither be read by libraries nor reported."""
    try:
        str(file).encode()
    except UnicodeEncodeError:
        raise DataError(
            f"files must have names in UTF-8, got {os.fsencode(file)!r}; rename it"
        ) from None


def files_below(folder: Path) -> list[Path]:
    """Return the files of data below a folder, sorted, without what is hidden there.

    Those are .csv, .csv.gz and .parquet. Others that may be data, such as .tsv or .CSV, are taken
    where there is nothing else; beside them they are left out, and a warning says so. A .txt may be
    a note, and is only read when it is named.
    """
    known: list[Path] = []
    others: list[Path] = []
    for file in sorted(_all_below(folder, [folder.resolve()])):
        if file.name.lower().endswith(NAMED_SUFFIXES) and not is_hidden(
            file.relative_to(folder).as_posix()
        ):
            (known if file.name.endswith(FOLDER_SUFFIXES) else others).append(file)
    others = [file for file in others if file.is_file()]
    left_out = others
    if not known:
        known = [file for file in others if file.name.lower().endswith(SUFFIXES)]
        left_out = [file for file in others if not file.name.lower().endswith(SUFFIXES)]
    if left_out:
        warnings.warn(
            f"{left_out[0]} is left out ({len(left_out)} such file"
            f"{'' if len(left_out) == 1 else 's'}); name it, or rename it to .csv or .parquet, if "
            "it is data",
            FilesLeftOutWarning,
            stacklevel=2,
        )
    return known


def _all_below(folder: Path, tops: list[Path]) -> Iterator[Path]:
    """Yield what is below a folder, and behind links that lead out of it, once each.

    Parameters
    ----------
    tops
        Folders whose content is found anyway, so that a link into or above one is not followed.
    """
    try:
        inside = sorted(folder.iterdir())
    except PermissionError:
        return
    for path in inside:
        yield path
        if path.is_dir():
            if path.is_symlink():
                real = path.resolve()
                if any(real.is_relative_to(top) or top.is_relative_to(real) for top in tops):
                    continue
                tops.append(real)
            yield from _all_below(path, tops)


def is_hidden(name: str) -> bool:
    """Say whether a path below a folder is a program's own record rather than data.

    So are names that begin with a dot (``.ipynb_checkpoints``, ``._a.csv``) and folders that begin
    with an underscore (``_delta_log``, ``_temporary``, our ``_manifest``).

    Examples
    --------
    >>> is_hidden("year=2024/a.parquet"), is_hidden("_delta_log/1.parquet"), is_hidden("_a.csv")
    (False, True, False)
    """
    *folders, _ = parts = name.split("/")
    return any(part.startswith(".") for part in parts) or any(
        folder.startswith("_") for folder in folders
    )


def named_files(inputs: Sequence[str | Path]) -> list[tuple[Path, str]]:
    """Return files, and the path of each whose folders say something of its rows."""
    alone = [Path(entry).parent.absolute() for entry in inputs if Path(entry).is_file()]
    above = Path(os.path.commonpath(alone)) if alone else Path()
    return [
        (file, file.absolute().relative_to((fixed_root(entry) or above).absolute()).as_posix())
        for entry in inputs
        for file in find_files(entry)
    ]


def fixed_root(entry: str | Path) -> Path | None:
    """Return the folder that files keep their place below; None for a file.

    Examples
    --------
    >>> fixed_root("prices/year=*/part-0.parquet").as_posix()
    'prices'
    """
    if Path(entry).is_dir():
        return Path(entry)
    if Path(entry).is_file() or not glob.has_magic(str(entry)):
        return None
    parts = Path(entry).parts
    fixed = next(number for number, part in enumerate(parts) if glob.has_magic(part))
    return Path(*parts[:fixed])


def folder_columns(inputs: Sequence[str | Path]) -> set[str]:
    """Return the columns that folders say, below what is named; see `read_input`."""
    return {key for _, name in named_files(inputs) for key in hive_values(name)}
