"""Cards that describe data sets, and where their files are.

A card is `data/<name>/card.toml`. Cards travel with the package; files lie beside their card or in
the folder that the environment names as `TSFM_DATA`.
"""

import difflib
import hashlib
import os
import tomllib
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ConfigDict, Field, PositiveInt, ValidationError
from pydantic.dataclasses import dataclass

from tsfm.errors import DataError, problems_of

if TYPE_CHECKING:
    import polars as pl

CARD_FILE = "card.toml"
PACKAGE = Path(__file__).parents[1]
# In a wheel the cards are part of the package; in a checkout they lie beside it.
CARD_FOLDERS = (PACKAGE / "_data", PACKAGE.parent / "data")
HASH_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class ZeroShotProtocol:
    """How published zero-shot results score a set: the last window of every series.

    Parameters
    ----------
    prediction_length
        Steps of the window.
    seasonality
        Season of the naive forecast that scales MASE.
    published_name
        The set's name in published tables; None when its values are not the published ones.
    missing
        What the published form has for missing values: ``"keep"``, ``"zero"`` in the context
        while missing targets are not scored, or the ``"weekday_median"`` everywhere.
    """

    prediction_length: PositiveInt
    seasonality: PositiveInt
    published_name: str | None = None
    missing: Literal["keep", "zero", "weekday_median"] = "keep"


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class LtsfProtocol:
    """How long-term forecasts are scored: every window of the test rows.

    Parameters
    ----------
    split
        Rows for training, validation and test when whole numbers, else shares of all rows.
    """

    split: tuple[int, int, int] | tuple[float, float, float]
    horizons: tuple[int, ...] = (96, 192, 336, 720)


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class DatasetCard:
    """All that is known of a data set.

    Parameters
    ----------
    role
        What it is for; values of a benchmark are never trained on.
    non_commercial
        True where the licence excludes commercial use; such sets are never pretrained on by role.
    sha256
        Of the file.
    channels
        Value columns; other columns are keys or labels.
    freq
        pandas alias, ``"step"`` for whole numbers; None where series differ or stamps
        are irregular.
    seasonality
        Season length in steps; 1 for none, or where series differ.
    period
        First and last stamp.
    n_obs
        Values that are not missing, over all channels.

    Examples
    --------
    >>> load_card("el_nino").seasonality
    12
    """

    name: str
    title: str
    role: Literal["sample", "pretrain", "held_out", "benchmark", "stock"]
    source: str
    licence: str
    sha256: str
    file: str
    format: Literal["csv", "parquet"]
    item_id: str
    timestamp: str
    channels: tuple[str, ...] = Field(min_length=1)
    freq: str | None = None
    seasonality: PositiveInt = 1
    units: str = ""
    domain: str = ""
    non_commercial: bool = False
    period: tuple[str, ...] = ()
    n_series: int | None = None
    n_rows: int | None = None
    n_obs: int | None = None
    published_use: str = ""
    known_issues: str = ""
    zero_shot: ZeroShotProtocol | None = None
    ltsf: LtsfProtocol | None = None
    folder: Path = field(default=Path(), repr=False)


def list_cards() -> tuple[str, ...]:
    """Return the names of all cards.

    Examples
    --------
    >>> "mauna_loa_co2" in list_cards()
    True
    """
    folder = _card_folder()
    return tuple(sorted(file.parent.name for file in folder.glob(f"*/{CARD_FILE}")))


def load_card(name: str) -> DatasetCard:
    """Read the card of the data set `name`.

    Raises
    ------
    DataError
        When there is no such card, or it is malformed.
    """
    names = list_cards()
    if name not in names:
        near = difflib.get_close_matches(name, names, 3, 0.5)
        hint = f"did you mean {', '.join(near)}?" if near else "tsfm data list shows them all"
        if Path(name).exists():
            hint = (
                "files of your own are for tsfm.cross_validation, tsfm data build and --like of "
                "tsfm evaluate zero_shot and imputation"
            )
        raise DataError(f"a data set must have a card, got {name!r}; {hint}")
    return read_card(_card_folder() / name / CARD_FILE)


def read_card(file: Path) -> DatasetCard:
    """Read one card from its file; every problem of it is named."""
    try:
        values: dict[str, Any] = tomllib.loads(file.read_text(encoding="utf-8"))
        card = DatasetCard(**{**values, "folder": file.parent})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: a card must be valid TOML: {error}") from None
    except ValidationError as error:
        raise DataError(
            f"{file}: a card must have the fields of DatasetCard: {problems_of(error)}"
        ) from None
    if card.name != file.parent.name:
        raise DataError(
            f"{file}: the name on a card must be that of its folder, got {card.name!r}; rename one"
        )
    columns = [card.item_id, card.timestamp, *card.channels]
    if len(set(columns)) < len(columns):
        raise DataError(
            f"{file}: item_id, timestamp and channels must name columns once each, got {columns}; "
            "remove repeats"
        )
    return card


def find_file(card: DatasetCard) -> Path | None:
    """Return where the file of a card is, or None when it is not here."""
    places = [card.folder / card.file]
    if os.environ.get("TSFM_DATA"):
        places.append(Path(os.environ["TSFM_DATA"]) / card.file)
    return next((place for place in places if place.is_file()), None)


def require_file(card: DatasetCard) -> Path:
    """Return where the file of a card is.

    Raises
    ------
    DataError
        When it is not here, with the places where it was looked for.
    """
    file = find_file(card)
    if file is None:
        where = os.environ.get("TSFM_DATA") or "not set"
        raise DataError(
            f"{card.file} must be in {card.folder} or in the folder that TSFM_DATA names "
            f"({where}), got neither; its source is: {card.source}"
        )
    return file


def load_dataset(name: str) -> "pl.LazyFrame":
    """Open a data set that has a card, in long form with the columns that the card names.

    Raises
    ------
    DataError
        When there is no such card, its file is not here or cannot be read, or lacks a column.

    Examples
    --------
    >>> import tsfm
    >>> tsfm.load_dataset("el_nino").collect().columns
    ['item_id', 'timestamp', 'target']
    """
    card = load_card(name)
    frame = scan(card)
    found = frame.collect_schema().names()
    named = (card.item_id, card.timestamp, *card.channels)
    lacking = [column for column in named if column not in found]
    if lacking:
        raise DataError(
            f"{require_file(card)} must have the columns that its card names, got {found} without "
            f"{lacking}; correct the card or the file"
        )
    return frame


def scan(card: DatasetCard) -> "pl.LazyFrame":
    """Open the file of a card, whatever its columns are.

    Raises
    ------
    DataError
        When it is not here or cannot be read.
    """
    import polars as pl

    file = require_file(card)
    is_parquet = card.format == "parquet"
    try:
        frame = pl.scan_parquet(file) if is_parquet else pl.scan_csv(file, try_parse_dates=True)
        frame.collect_schema()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(
            f"{file} must be a readable {card.format} file, got: {str(error).splitlines()[0]}; "
            "write it again"
        ) from None
    return frame


def file_digest(file: Path) -> str:
    """Return the SHA-256 of a file, read block by block."""
    digest = hashlib.sha256()
    with file.open("rb") as opened:
        while block := opened.read(HASH_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def _card_folder() -> Path:
    return next((folder for folder in CARD_FOLDERS if folder.is_dir()), CARD_FOLDERS[-1])
