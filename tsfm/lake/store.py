"""Where files are: local paths and addresses such as s3://, all by way of pyarrow's filesystems."""

import fnmatch
import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from tsfm.errors import ConfigError, DataError
from tsfm.series.find_files import is_hidden

# An address may end in options, such as ?region=eu-west-1; any other question mark is a pattern.
OPTIONS = re.compile(r"\?(?=\w+=)")
WILDCARD = re.compile(r"[*?\[]")
SUFFIX = ".parquet"
PARTIAL = ".partial"
CHUNK_BYTES = 4 * 1024**2


def is_address(entry: str | Path) -> bool:
    """Say whether this is an address rather than a local path.

    Examples
    --------
    >>> is_address("s3://lake/prices"), is_address("lake/prices")
    (True, False)
    """
    return "://" in str(entry)


def is_parquet(address: str) -> bool:
    """Say whether this is the name of a Parquet file, whatever signs are in it.

    Examples
    --------
    >>> is_parquet("s3://lake/a.parquet?region=eu-west-1"), is_parquet("a?.parquet")
    (True, True)
    """
    return _split(address)[0].endswith(SUFFIX)


def join(address: str, name: str) -> str:
    """Return the address of something below a folder; options stay at the end.

    Examples
    --------
    >>> join("s3://lake/prices?region=eu-west-1", "a.parquet")
    's3://lake/prices/a.parquet?region=eu-west-1'
    """
    folder, options = _split(address)
    return f"{folder.rstrip('/')}/{name}{options}"


def locate(address: str) -> tuple[Any, str]:
    """Return the filesystem of an address, and its path there.

    Credentials, region and endpoint of S3 are the environment's: ``AWS_ACCESS_KEY_ID``,
    ``AWS_SECRET_ACCESS_KEY``, ``AWS_REGION``, ``AWS_ENDPOINT_URL``.

    Raises
    ------
    ConfigError
        When nothing that is installed knows such an address.
    """
    from pyarrow.fs import LocalFileSystem

    if not is_address(address):
        return LocalFileSystem(), os.path.abspath(address)  # noqa: PTH100 (a link stays a link)
    folder, options = _split(address)
    parts = urlsplit(folder)
    if parts.scheme == "s3" and not options:
        return _s3(), f"{parts.netloc}{parts.path}"
    return _from_address(folder, options, parts.scheme)


def _s3() -> Any:
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    return _s3_at(endpoint, region)


@lru_cache
def _s3_at(endpoint: str | None, region: str | None) -> Any:
    from pyarrow.fs import S3FileSystem

    where = {"endpoint_override": endpoint, "scheme": urlsplit(endpoint).scheme} if endpoint else {}
    return S3FileSystem(region=region, **where)


def _from_address(folder: str, options: str, scheme: str) -> tuple[Any, str]:
    from pyarrow import ArrowInvalid
    from pyarrow.fs import FileSystem, FSSpecHandler, PyFileSystem

    with suppress(ArrowInvalid):  # which says that it does not know this scheme
        filesystem, path = FileSystem.from_uri(folder + options)
        return filesystem, path
    try:
        import fsspec

        known, path = fsspec.core.url_to_fs(folder)
    except (ImportError, ValueError) as error:
        raise ConfigError(
            f"an address must be of a known kind such as s3://, got {scheme}://: {error}; install "
            "its fsspec package"
        ) from None
    return PyFileSystem(FSSpecHandler(known)), path


def find_remote(address: str) -> list[tuple[str, str]]:
    """Return address and place of every Parquet file that an address names, sorted.

    The place is the path below the folder, or below the part of a pattern that is fixed. What is
    hidden below a folder is left out, as `tsfm.series.find_files.is_hidden` says.

    Raises
    ------
    DataError
        When there is none.
    """
    from pyarrow.fs import FileSelector, FileType

    folder, options = _split(address)
    pattern = WILDCARD.search(folder)
    root = folder[: pattern.start()].rpartition("/")[0] if pattern else folder
    filesystem, path = locate(root + options)
    (info,) = filesystem.get_file_info([path])
    if info.type == FileType.File:
        return [(address, path.rpartition("/")[2])]
    selector = FileSelector(path, allow_not_found=True, recursive=True)
    prefix = path.rstrip("/") + "/"
    found = filesystem.get_file_info(selector)
    names = sorted(one.path.removeprefix(prefix) for one in found if one.type == FileType.File)
    wanted = folder[len(root) + 1 :] if pattern else "**"
    names = [name for name in names if name.endswith(SUFFIX) and _matches(name, wanted)]
    if not pattern:
        names = [name for name in names if not is_hidden(name)]
    if not names:
        raise DataError(f"{address} must name Parquet files, got nothing there; check the address")
    return [(join(root + options, name), name) for name in names]


def _matches(name: str, pattern: str) -> bool:
    """Match a path against a pattern in which ``**`` stands for any number of folders."""
    texts, parts = name.split("/"), pattern.split("/")

    def fits(text: int, part: int) -> bool:
        if part == len(parts):
            return text == len(texts)
        if parts[part] == "**":
            is_last = part + 1 == len(parts)
            return is_last or any(fits(t, part + 1) for t in range(text, len(texts) + 1))
        is_there = text < len(texts) and fnmatch.fnmatchcase(texts[text], parts[part])
        return is_there and fits(text + 1, part + 1)

    return fits(0, 0)


def digest(address: str) -> str:
    """Return the SHA-256 of a file."""
    filesystem, path = locate(address)
    found = hashlib.sha256()
    with filesystem.open_input_stream(path) as content:
        while block := content.read(CHUNK_BYTES):
            found.update(block)
    return found.hexdigest()


def exists(address: str) -> bool:
    """Say whether there is such a file."""
    from pyarrow.fs import FileType

    filesystem, path = locate(address)
    (info,) = filesystem.get_file_info([path])
    return bool(info.type == FileType.File)


def read(address: str) -> bytes:
    """Return the content of a file."""
    filesystem, path = locate(address)
    with filesystem.open_input_stream(path) as content:
        return bytes(content.read())


@contextmanager
def replacing(address: str) -> Iterator[str]:
    """Give an address to write to; what is there takes the place of `address` when all went well.

    Otherwise it is removed, so nobody ever sees half a file under its name.
    """
    folder, options = _split(address)
    parent, _, name = folder.rpartition("/")
    temporary = f"{parent}{'/' if parent else ''}.{name}.{uuid4().hex[:8]}{PARTIAL}{options}"
    filesystem, path = locate(address)
    _, beside = locate(temporary)
    if filesystem.type_name != "s3":  # which has no folders
        filesystem.create_dir(path.rpartition("/")[0], recursive=True)
    try:
        yield temporary
        filesystem.move(beside, path)
    except BaseException:
        with suppress(OSError):
            filesystem.delete_file(beside)
        raise


def write(address: str, content: bytes) -> None:
    """Write a small file whole."""
    with replacing(address) as temporary:
        filesystem, path = locate(temporary)
        with filesystem.open_output_stream(path) as sink:
            sink.write(content)


def list_below(address: str) -> list[str]:
    """Return the paths, below a folder, of all files there; none where there is no folder."""
    from pyarrow.fs import FileSelector, FileType

    filesystem, path = locate(address)
    found = filesystem.get_file_info(FileSelector(path, allow_not_found=True, recursive=True))
    prefix = path.rstrip("/") + "/"
    return sorted(one.path.removeprefix(prefix) for one in found if one.type == FileType.File)


def remove(address: str, name: str = "") -> None:
    """Remove a file, or a file below a folder; one that is not there is no matter."""
    filesystem, path = locate(join(address, name) if name else address)
    with suppress(FileNotFoundError):
        filesystem.delete_file(path)


def remove_leftovers(address: str) -> None:
    """Remove what writers that were killed left behind."""
    for name in list_below(address):
        base = name.rpartition("/")[2]
        if base.startswith(".") and base.endswith(PARTIAL):
            remove(address, name)


def _split(address: str) -> tuple[str, str]:
    """Return an address without its options, and the options."""
    found = OPTIONS.search(address) if is_address(address) else None
    return (address[: found.start()], address[found.start() :]) if found else (address, "")
