"""What the overlap audit compares: cards, files and pools as chunks of single series."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tsfm.audits.near_copies import NamedSeries
from tsfm.errors import DataError
from tsfm.series.cards import DatasetCard, find_file, list_cards, load_card, require_file
from tsfm.series.pool import SingleSeriesPool
from tsfm.series.pool_sources import CHUNK_VALUES, PoolSource, SeriesChunk, series_chunks

NamedChunks = Iterator[tuple[str, Iterator[SeriesChunk]]]


def cards_here(role: str) -> tuple[list[DatasetCard], list[str]]:
    """Return the cards of a role whose file is here, and the names of the others.

    Raises
    ------
    DataError
        When no file is here.
    """
    cards = [card for card in map(load_card, list_cards()) if card.role == role]
    present = [card for card in cards if find_file(card)]
    if not present:
        raise DataError(
            f"a card of role {role} must have its file here, got none of {len(cards)}; set "
            "TSFM_DATA to the folder of the files"
        )
    return present, [card.name for card in cards if card not in present]


def training_sets(pool: str | None) -> tuple[NamedChunks, list[str]]:
    """Return the sets of a pool, or those for pre-training, and the names of absent ones."""
    if pool is not None:
        return _of_pool(SingleSeriesPool.open(pool)), []
    cards, missing = cards_here("pretrain")
    return ((card.name, chunks_of(source_of(card))) for card in cards), missing


def source_of(card: DatasetCard) -> PoolSource:
    """Return where the series of a card are."""
    return PoolSource(card.name, require_file(card), card.item_id, card.timestamp, card.channels)


def chunks_of(source: PoolSource) -> Iterator[SeriesChunk]:
    """Yield the single series of a set, some items at a time."""
    with tempfile.TemporaryDirectory() as scratch:
        yield from series_chunks(source, Path(scratch))


def _of_pool(pool: SingleSeriesPool) -> NamedChunks:
    """Yield the sets of a pool; its series lie set by set."""
    for number, name in enumerate(pool.datasets):
        items = np.flatnonzero(pool.dataset == number)
        yield name, _pool_chunks(pool, items)


def _pool_chunks(pool: SingleSeriesPool, items: np.ndarray) -> Iterator[SeriesChunk]:
    group = np.cumsum(pool.lengths[items]) // CHUNK_VALUES
    for part in np.split(items, np.flatnonzero(np.diff(group)) + 1):
        if not len(part):
            continue
        rows = [slice(pool.offsets[item], pool.offsets[item + 1]) for item in part]
        values = np.concatenate([pool.values[row] for row in rows]).astype(np.float64)
        observed = np.concatenate([pool.observed[row] for row in rows])
        offsets = np.concatenate([[0], np.cumsum(pool.lengths[part])])
        names = tuple(pool.item_ids[item] for item in part)
        yield SeriesChunk(np.where(observed, values, np.nan), offsets, names)
        pool.release()


def named_series(name: str, chunks: Iterator[SeriesChunk]) -> Iterator[NamedSeries]:
    """Yield the series of a set one by one."""
    for values, offsets, item_ids in chunks:
        for number, item_id in enumerate(item_ids):
            yield NamedSeries(name, item_id, values[offsets[number] : offsets[number + 1]])
