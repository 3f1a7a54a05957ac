"""The training pool against every benchmark: the windows that are in both."""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tsfm.audits.near_copies import NearCopy, near_copies
from tsfm.audits.overlap import WINDOW, Benchmark, IndexBuilder, OverlapIndex
from tsfm.environment import ran_on
from tsfm.errors import DataError
from tsfm.jobs.audit_overlap_inputs import (
    cards_here,
    chunks_of,
    named_series,
    source_of,
    training_sets,
)
from tsfm.jobs.audit_overlap_tables import render
from tsfm.jobs.reports import REPORT_FILE, write_report
from tsfm.series.cards import DatasetCard
from tsfm.series.pool_builder import Shared
from tsfm.series.pool_sources import ROLES, SeriesChunk, find_sources
from tsfm.shapes import Bool, ndarray

log = logging.getLogger(__name__)
THRESHOLD = 0.01
"""Share of a benchmark's windows in one training set above which the pair is flagged."""
SERIES_SHARE, SERIES_WINDOWS = 0.5, 4
"""A pair is flagged too when a series has so large a share, and so many, of its windows there."""
SLOW = (4, 12)
"""Seasons of the benchmarks that are looked for in other revisions."""
FOLDER = Path("runs") / "audit" / "overlap"


@dataclass(frozen=True)
class Pair:
    """A benchmark and a training set with windows in common.

    Parameters
    ----------
    share
        Of the benchmark's compared windows.
    n_series, n_whole
        Series of the benchmark with a common window, and those mostly made of them.
    example
        One series of each.
    """

    benchmark: str
    training: str
    share: float
    n_windows: int
    n_series: int
    n_whole: int
    example: str

    @property
    def is_flagged(self) -> bool:
        """Whether it is more than chance, or a common fragment."""
        return self.share > THRESHOLD or self.n_whole > 0


def run(
    pool: str | None = None, *, near: Sequence[str] = (), output: str | Path = FOLDER
) -> dict[str, Any]:
    """Compare the cards for pre-training, or a pool, with the cards of benchmarks.

    Writes ``overlap.parquet``, ``overlap.md`` and, last, ``report.json``.

    Parameters
    ----------
    pool
        Folder of a pool; by default all cards of the role ``pretrain`` whose file is here.
    near
        Training sets whose series are also compared with the monthly and quarterly benchmarks in
        other revisions and at other rates.

    Raises
    ------
    DataError
        When there is no benchmark or nothing to compare it with.
    """
    started = time.perf_counter()
    benchmarks, absent = cards_here("benchmark")
    near_sets = _named(pool, near)
    index = _index(benchmarks)
    sets, missing = training_sets(pool)
    pairs: list[Pair] = []
    points: dict[str, int] = {}
    found = np.zeros(len(index.hashes), bool)
    for name, chunks in sets:
        log.info("comparing %s", name)
        matched, points[name], more = _compared(name, chunks, index)
        found |= matched
        pairs += more
    pairs.sort(key=lambda pair: (-pair.share, pair.benchmark, pair.training))
    report = {
        "pool": pool,
        "window": WINDOW,
        "threshold": THRESHOLD,
        "benchmarks": [_facts(one, found) for one in index.benchmarks],
        "training": points,
        "pairs": [asdict(pair) for pair in pairs],
        "flagged": [f"{one.benchmark} in {one.training}" for one in pairs if one.is_flagged],
        "near_sets": list(near),
        "near": [asdict(one) for one in _near(near_sets, benchmarks)],
        "absent": sorted([*absent, *missing]),
        **ran_on(),
        "seconds": time.perf_counter() - started,
    }
    report["table"] = render(report)
    _write(Path(output), pairs, report)
    return {**report, "message": f"{report['table']}\nresults: {output}"}


def shared_with(entries: Sequence[str]) -> Shared:
    """Return what says which series of a chunk have a window in common with some sets.

    Parameters
    ----------
    entries
        Names of cards, roles, whose cards with a file here are taken, or files, folders and globs.

    Raises
    ------
    DataError
        When nothing is found there.
    """
    builder = IndexBuilder()
    for entry in entries:
        found = map(source_of, cards_here(entry)[0]) if entry in ROLES else find_sources([entry])
        for source in found:
            builder.add(source.name, chunks_of(source))
    index = builder.build()

    def shared(chunk: SeriesChunk) -> Bool[ndarray, " item"]:
        _, series = index.find(chunk.values, chunk.offsets)
        return np.isin(np.arange(len(chunk.item_ids)), series)

    return shared


def _named(pool: str | None, names: Sequence[str]) -> dict[str, Iterator[SeriesChunk]]:
    """Return the training sets with these names."""
    found = {name: chunks for name, chunks in training_sets(pool)[0] if name in names}
    if unknown := [name for name in names if name not in found]:
        raise DataError(
            f"near must name training sets that are here, got {', '.join(unknown)}; leave them out"
        )
    return found


def _near(
    training: Mapping[str, Iterator[SeriesChunk]], cards: Sequence[DatasetCard]
) -> list[NearCopy]:
    """Return what some training sets tell of the slow benchmarks once more."""
    if not training:
        return []
    slow = [card for card in cards if card.seasonality in SLOW]
    sets = [named_series(card.name, chunks_of(source_of(card))) for card in slow]
    benchmarks = [one for series in sets for one in series]
    log.info("comparing %s with %d slow series", ", ".join(training), len(benchmarks))
    theirs = (one for name, chunks in training.items() for one in named_series(name, chunks))
    return near_copies(benchmarks, theirs)


def _index(cards: list[DatasetCard]) -> OverlapIndex:
    builder = IndexBuilder()
    for card in cards:
        log.info("reading %s", card.name)
        builder.add(card.name, chunks_of(source_of(card)))
    return builder.build()


def _compared(
    name: str, chunks: Iterator[SeriesChunk], index: OverlapIndex
) -> tuple[np.ndarray, int, list[Pair]]:
    """Return which hashes a training set has, its points, and its pairs."""
    owner = np.full(len(index.hashes), -1)
    names: list[str] = []
    n_points = 0
    for values, offsets, item_ids in chunks:
        rows, series = index.find(values, offsets)
        owner[rows] = series + len(names)
        names += item_ids
        n_points += int(np.isfinite(values).sum())
    matched = owner >= 0
    pairs = []
    for one in index.benchmarks:
        hit = matched[one.window]
        if hit.any():
            first = int(np.argmax(hit))
            n_hits = np.bincount(one.series[hit], minlength=len(one.names))
            of_series = np.bincount(one.series, minlength=len(one.names))
            is_whole = (n_hits >= SERIES_SHARE * of_series) & (n_hits >= SERIES_WINDOWS)
            pairs.append(
                Pair(
                    benchmark=one.name,
                    training=name,
                    share=float(hit.mean()),
                    n_windows=int(hit.sum()),
                    n_series=int((n_hits > 0).sum()),
                    n_whole=int(is_whole.sum()),
                    example=f"{one.names[one.series[first]]} = {names[owner[one.window[first]]]}",
                )
            )
    return matched, n_points, pairs


def _facts(one: Benchmark, found: np.ndarray) -> dict[str, Any]:
    return {
        "name": one.name,
        "n_series": len(one.names),
        "n_short": one.n_short,
        "n_windows": one.n_windows,
        "compared": len(one.window),
        "share": float(found[one.window].mean()) if len(one.window) else None,
    }


def _write(folder: Path, pairs: list[Pair], report: dict[str, Any]) -> None:
    """Write the results; `report.json` last, so that its presence means that all is there."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / REPORT_FILE).unlink(missing_ok=True)
    schema = {
        "benchmark": pl.String,
        "training": pl.String,
        "share": pl.Float64,
        "n_windows": pl.Int64,
        "n_series": pl.Int64,
        "n_whole": pl.Int64,
        "example": pl.String,
    }
    frame = pl.DataFrame([asdict(pair) for pair in pairs], schema=schema)
    frame.write_parquet(folder / "overlap.parquet")
    (folder / "overlap.md").write_text(report["table"], encoding="utf-8")
    write_report(folder / REPORT_FILE, report)
