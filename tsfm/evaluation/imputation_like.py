"""Imputation of a user's own file: values are hidden where its own gaps would lie at other times.

The pattern of gaps of an item, all columns together, is moved by a random number of steps, round
the end: lengths of gaps, and what is missing together, stay as they are. What falls on values that
are there is hidden, filled, and compared.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tsfm.errors import DataError
from tsfm.evaluation.imputation_config import ImputationConfig
from tsfm.evaluation.imputation_fillers import Filler, rivals
from tsfm.evaluation.own_file import read_series, season_of
from tsfm.evaluation.saits import saits_of_file
from tsfm.markdown import markdown_table
from tsfm.series.frame import SeriesFrame
from tsfm.shapes import Bool, Float64, Int, ndarray

# The shortest gap of every bin.
BINS = (1, 2, 4, 8, 16, 32, 64, 128)


@dataclass(frozen=True)
class GapFacts:
    """What the gaps of a file are like.

    Parameters
    ----------
    share
        Of values that are missing.
    lengths
        Of every gap of every column, in steps.
    together
        Share of the missing steps of a column at which another column is missing too; NaN with
        one column.
    """

    share: float
    lengths: Int[ndarray, " gap"]
    together: float


def evaluate(config: ImputationConfig, models: list[Filler]) -> pl.DataFrame:
    """Return one row per filler, seed of the masks and length of gaps.

    Raises
    ------
    DataError
        When the file cannot be read, has no gaps, or no values beside them.
    """
    path = Path(str(config.like))
    series = read_series(path, config)
    missing = ~np.isfinite(series.values)
    gaps = gaps_beside_values(missing, series.offsets)
    if not gaps.any():
        raise DataError(
            f"{path} must have gaps that can be mimicked, got none; score one of the benchmarks, "
            "which hide points and segments"
        )
    scaled = standardised(series)
    season = season_of(series)
    told = [model.told(season) for model in models]
    fillers = [*told, *rivals(config.seasonality or season)]
    rows: list[dict[str, Any]] = []
    for seed in config.mask_seeds:
        hidden = drawn_mask(gaps, series.offsets, np.random.default_rng(seed)) & ~missing
        shown = np.where(hidden, np.nan, scaled)
        lengths = gap_lengths(~np.isfinite(shown), series.offsets)
        trained = []
        if config.saits_minutes:
            minutes = config.saits_minutes
            trained = [saits_of_file(shown, series.offsets, minutes=minutes, seed=seed)]
        for filler in [*fillers, *trained]:
            started = time.perf_counter()
            error = fill(filler, shown, series.offsets) - scaled
            seconds = time.perf_counter() - started
            facts = {"dataset": path.name, "model": filler.name, "label": filler.label}
            rows += [
                {**facts, "mask_seed": seed, "seconds": seconds, **row}
                for row in by_length(error[hidden], lengths[hidden])
            ]
    return pl.DataFrame(rows)


def standardised(series: SeriesFrame) -> Float64[ndarray, "total_time channel"]:
    """Return every column of every item with mean 0 and deviation 1, as far as it is there."""
    scaled = np.full(series.values.shape, np.nan)
    for start, end in pairwise(series.offsets):
        for channel, values in enumerate(series.values[start:end].T):
            seen = np.isfinite(values)
            if seen.any():
                spread = values[seen].std()
                unit = spread if spread > 0 else 1.0
                scaled[start:end, channel] = (values - values[seen].mean()) / unit
    return scaled


def gaps_beside_values(
    missing: Bool[ndarray, "total_time channel"], offsets: Int[ndarray, " item_and_end"]
) -> Bool[ndarray, "total_time channel"]:
    """Return what is missing in columns of items that have a value; the others have no gap."""
    gaps = missing.copy()
    for start, end in pairwise(offsets):
        gaps[start:end, missing[start:end].all(axis=0)] = False
    return gaps


def drawn_mask(
    missing: Bool[ndarray, "total_time channel"],
    offsets: Int[ndarray, " item_and_end"],
    generator: np.random.Generator,
) -> Bool[ndarray, "total_time channel"]:
    """Return for every item the gaps of an item with gaps, moved by a random number of steps."""
    spans = list(pairwise(offsets.tolist()))
    givers = [span for span in spans if missing[span[0] : span[1]].any()]
    drawn = np.zeros_like(missing)
    for start, end in spans:
        first, last = givers[int(generator.integers(len(givers)))]
        pattern = missing[first:last]
        pattern = np.roll(pattern, int(generator.integers(len(pattern))), axis=0)
        repeats = -(-(end - start) // len(pattern))
        drawn[start:end] = np.tile(pattern, (repeats, 1))[: end - start]
    return drawn


def gap_lengths(
    missing: Bool[ndarray, "total_time channel"], offsets: Int[ndarray, " item_and_end"]
) -> Int[ndarray, "total_time channel"]:
    """Return at every missing step the length of its gap, 0 elsewhere; gaps end with the item."""
    lengths = np.zeros(missing.shape, np.int64)
    is_first = np.zeros(len(missing), bool)
    is_first[offsets[:-1]] = True
    for channel, gaps in enumerate(missing.T):
        opens = gaps & (is_first | ~np.append(False, gaps[:-1]))
        number = np.cumsum(opens)
        size = np.bincount(number[gaps], minlength=number[-1] + 1)
        lengths[gaps, channel] = size[number[gaps]]
    return lengths


def gap_facts(
    missing: Bool[ndarray, "total_time channel"], offsets: Int[ndarray, " item_and_end"]
) -> GapFacts:
    """Describe gaps: how many, how long, how often together."""
    lengths = gap_lengths(missing, offsets)
    found = [
        np.repeat(size, n // size)
        for size, n in zip(*np.unique(lengths[missing], return_counts=True), strict=True)
    ]
    others = missing.sum(1, keepdims=True) - missing > 0
    together = (
        float(others[missing].mean()) if missing.shape[1] > 1 and missing.any() else float("nan")
    )
    every = np.concatenate(found) if found else np.zeros(0, np.int64)
    return GapFacts(float(missing.mean()), every, together)


def fill(
    filler: Filler,
    shown: Float64[ndarray, "total_time channel"],
    offsets: Int[ndarray, " item_and_end"],
) -> Float64[ndarray, "total_time channel"]:
    """Fill every column of every item by itself; one without values is filled with 0, its mean."""
    filled = np.zeros(shown.shape)
    for start, end in pairwise(offsets):
        for channel in range(shown.shape[1]):
            values = shown[start:end, channel]
            if np.isfinite(values).any():
                found = filler.fill(values[None].copy())[0]
                filled[start:end, channel] = np.where(np.isfinite(found), found, 0.0)
    return filled


def by_length(
    error: Float64[ndarray, " hidden"], lengths: Int[ndarray, " hidden"]
) -> Iterator[dict[str, Any]]:
    """Yield errors of all gaps together, then by bins of their length."""
    if not len(error):
        raise DataError(
            "gaps of the file must fall on values when they are moved, got none; give a longer file"
        )
    yield {"gap_length": "all", "place": -1, **_errors(error)}
    place = np.searchsorted(BINS, lengths, side="right") - 1
    for number in np.unique(place):
        yield {
            "gap_length": bin_name(int(number)),
            "place": number,
            **_errors(error[place == number]),
        }


def bin_name(place: int) -> str:
    """Return the lengths of a bin.

    Examples
    --------
    >>> [bin_name(place) for place in (0, 1, 7)]
    ['1', '2-3', 'from 128']
    """
    first = BINS[place]
    if place == len(BINS) - 1:
        return f"from {first}"
    last = BINS[place + 1] - 1
    return str(first) if first == last else f"{first}-{last}"


def render(rows: pl.DataFrame, config: ImputationConfig) -> str:
    """Return the results as Markdown, with the gaps of the file and those that were drawn."""
    series = read_series(Path(str(config.like)), config)
    gaps = gaps_beside_values(~np.isfinite(series.values), series.offsets)
    lines = [_described("the file", gap_facts(gaps, series.offsets))]
    for seed in config.mask_seeds[:1]:
        drawn = drawn_mask(gaps, series.offsets, np.random.default_rng(seed))
        lines.append(_described(f"the masks of seed {seed}", gap_facts(drawn, series.offsets)))
    bins = rows.select("gap_length", "place").unique().sort("place")["gap_length"].to_list()
    body = []
    for (model, label), own in rows.group_by(["model", "label"], maintain_order=True):
        cells = [_cell(own.filter(gap_length=one)) for one in bins]
        body.append([str(model), str(label), *cells])
    counts = [rows.filter(gap_length=one, model=rows["model"][0])["n_hidden"].sum() for one in bins]
    header = [
        "model",
        "scores are",
        *(f"{one} ({n:,})" for one, n in zip(bins, counts, strict=True)),
    ]
    caption = (
        f"Mean absolute error of hidden values, in standard deviations of their column; ± standard "
        f"error over {len(config.mask_seeds)} draws. Columns are lengths of gaps in steps, with "
        "the number of hidden values. Lower is better."
    )
    title = f"# Imputation of {rows['dataset'][0]}"
    return "\n\n".join([title, "\n".join(lines), caption, markdown_table(header, body)]) + "\n"


def _described(name: str, facts: GapFacts) -> str:
    middle, high = np.percentile(facts.lengths, [50, 90]) if len(facts.lengths) else (0, 0)
    longest = facts.lengths.max(initial=0)
    text = (
        f"- Gaps of {name}: {len(facts.lengths):,}, {facts.share:.1%} of the values; median "
        f"{middle:.0f} steps, nine tenths up to {high:.0f}, the longest {longest}"
    )
    if np.isfinite(facts.together):
        text += f"; {facts.together:.0%} of missing values are missing in another column too"
    return text + "."


def _errors(error: Float64[ndarray, " hidden"]) -> dict[str, Any]:
    return {
        "n_hidden": len(error),
        "mae": float(np.abs(error).mean()),
        "mse": float((error**2).mean()),
    }


def _cell(scores: pl.DataFrame) -> str:
    values = scores["mae"].to_numpy()
    if not len(values):
        return ""
    spread = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else None
    return f"{values.mean():.4f}" + (f" ± {spread:.4f}" if spread is not None else "")
