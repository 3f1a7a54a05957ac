"""Imputation: MSE and MAE of values hidden in windows of the test rows, of standardised values.

Windows lie within the test rows, and every channel is filled by itself. What is hidden depends on
the seed, the kind of gap, the share and the number of windows alone, so every model and rival fills
the very same gaps; the digest of a mask stands beside its scores.

References
----------
Liu et al. (ICML 2024), "Timer", section 4, for segments of 24 in windows of 192 of which the first
segment is always there.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Any

import numpy as np
import polars as pl
import torch
from einops import rearrange

from tsfm.errors import DataError
from tsfm.evaluation import imputation_like
from tsfm.evaluation.imputation_config import ImputationConfig, Kind
from tsfm.evaluation.imputation_fillers import Filler, load_filler, rivals
from tsfm.evaluation.protocols import Evaluation, Protocol
from tsfm.evaluation.saits import cut_windows, train_saits
from tsfm.markdown import markdown_table
from tsfm.objectives.gap_masks import aligned_segments, random_points
from tsfm.series.frequency import seasonality
from tsfm.series.ltsf_set import LtsfSet, read_ltsf_set
from tsfm.shapes import Bool, Float64, ndarray
from tsfm.tasks.imputation.interpolation import Windows


def evaluate(config: ImputationConfig, models: list[Filler]) -> pl.DataFrame:
    """Return one row per set, window length, kind of gap, share, filler and seed of the masks."""
    rows: list[dict[str, Any]] = []
    for name in config.datasets:
        data = read_ltsf_set(name, config.splits.get(name), missing="keep")
        told = [model.told(seasonality(data.freq)) for model in models]
        fillers = [*told, *rivals(data.seasonality)]
        for length in config.window_lengths:
            windows = scored_windows(data, length, config)
            trained = [saits_of_set(data, length, config)] if config.saits_minutes else []
            for filler in [*fillers, *trained]:
                seen = name in filler.trained_on and filler.label != "fine-tuned"
                facts = {
                    "dataset": name,
                    "window_length": length,
                    "model": filler.name,
                    "label": "seen" if seen else filler.label,
                }
                rows += [{**facts, **score} for score in scores(filler, windows, config)]
    return pl.DataFrame(rows)


def saits_of_set(data: LtsfSet, length: int, config: ImputationConfig) -> Filler:
    """Train SAITS on the training rows; gaps like those that are scored choose its weights."""
    held = replace(config, part="validation", stride=max(config.stride, length // 4))
    rows = scored_windows(data, length, held)
    gaps = rows.copy()
    draws = [(gap, share) for gap in kinds_of_gaps(config) for share in config.hidden_shares]
    for number, ((kind, steps), share) in enumerate(draws):
        own = slice(number, None, len(draws))
        hidden = hidden_values(kind, share, rows[own], steps, number)
        gaps[own] = np.where(hidden, np.nan, rows[own])
    pattern, n_channels = "(window channel) time -> window time channel", data.values.shape[1]
    return train_saits(
        cut_windows(data.values[: data.train_end], length, max(1, length // 8)),
        rearrange(rows, pattern, channel=n_channels),
        rearrange(gaps, pattern, channel=n_channels),
        minutes=config.saits_minutes,
        seed=config.mask_seeds[0],
    )


def scored_windows(data: LtsfSet, length: int, config: ImputationConfig) -> Windows:
    """Return every scored window of every channel, as rows."""
    is_test = config.part == "test"
    part = (
        data.values[data.test_start :] if is_test else data.values[data.train_end : data.test_start]
    )
    if len(part) < length:
        raise DataError(
            f"{data.name} must have a window of {length} steps in its {config.part} rows, got "
            f"{len(part)}; shorten window_lengths"
        )
    views = np.lib.stride_tricks.sliding_window_view(part, length, axis=0)[:: config.stride]
    windows: ndarray = views.reshape(-1, length).copy()
    return windows


def kinds_of_gaps(config: ImputationConfig) -> list[tuple[Kind, int]]:
    """Return every kind of gap with its steps."""
    steps = {"points": (1,), "segments": config.segment_lengths}
    return [(kind, length) for kind in config.kinds for length in steps[kind]]


def hidden_values(
    kind: Kind, share: float, windows: Windows, segment_length: int, seed: int
) -> Bool[ndarray, "window time"]:
    """Draw what is hidden of what is there; nothing of the values has a say."""
    n_windows, length = windows.shape
    generator = torch.Generator().manual_seed(seed)
    shares = torch.full((n_windows,), share)
    if kind == "points":
        drawn = random_points(n_windows, length, shares, generator)
    else:
        drawn = aligned_segments(n_windows, length, shares, segment_length, generator)
    hidden: ndarray = drawn.numpy() & np.isfinite(windows)
    return hidden


def scores(
    filler: Filler, windows: Float64[ndarray, "window time"], config: ImputationConfig
) -> Iterator[dict[str, Any]]:
    """Yield one row per kind of gap, share and seed."""
    for kind, steps in kinds_of_gaps(config):
        for share in config.hidden_shares:
            for seed in config.mask_seeds:
                hidden = hidden_values(kind, share, windows, steps, seed)
                started = time.perf_counter()
                filled = filler.fill(np.where(hidden, np.nan, windows))
                seconds = time.perf_counter() - started
                # A window of which nothing is visible is filled with nothing: the mean, here 0.
                error = np.where(np.isfinite(filled), filled, 0.0)[hidden] - windows[hidden]
                yield {
                    "gaps": kind,
                    "segment_length": steps,
                    "share": share,
                    "mask_seed": seed,
                    "mask_digest": sha256(np.packbits(hidden).tobytes()).hexdigest()[:12],
                    "mse": float(np.mean(error**2)) if hidden.any() else None,
                    "mae": float(np.mean(np.abs(error))) if hidden.any() else None,
                    "n_windows": len(windows),
                    "n_hidden": int(hidden.sum()),
                    "seconds": seconds,
                }


def render(rows: pl.DataFrame, config: ImputationConfig) -> str:
    """Return the results as Markdown."""
    caption = (
        f"MSE / MAE of hidden values, standardised by the training rows; {config.part} rows, a "
        f"window every {config.stride} rows; ± standard error over {len(config.mask_seeds)} draws "
        "of the masks. The first segment of a window is never hidden. Lower is better."
    )
    parts = ["# Imputation", caption, *beside_rivals(rows)]
    keys = ["dataset", "window_length", "gaps", "segment_length"]
    for (dataset, length, kind, steps), part in rows.group_by(keys, maintain_order=True):
        parts.append(f"## {dataset}, windows of {length}: {gap_name(str(kind), steps)}")
        shares = list(dict.fromkeys(part["share"]))
        body = []
        for (model, label), own in part.group_by(["model", "label"], maintain_order=True):
            cells = [_cell(own.filter(share=share)) for share in shares]
            body.append(
                [
                    f"{model}",
                    f"{label}",
                    *cells,
                    _cell(own.group_by("mask_seed").agg(pl.col("mse", "mae").mean())),
                ]
            )
        header = ["model", "scores are", *(f"{share:.1%}" for share in shares), "mean"]
        parts.append(markdown_table(header, body))
    return "\n\n".join(parts) + "\n"


def beside_rivals(rows: pl.DataFrame) -> list[str]:
    """Return a table of every model beside the best of its rivals, over all shares and masks."""
    keys = ["dataset", "window_length", "gaps", "segment_length"]
    means = rows.group_by([*keys, "model", "label"], maintain_order=True).agg(pl.col("mae").mean())
    rival = means.filter(label="baseline").sort("mae", maintain_order=True)
    best = (
        rival.group_by(keys, maintain_order=True).first().select(*keys, rival="model", least="mae")
    )
    models = means.filter(pl.col("label") != "baseline").join(best, on=keys, how="left")
    body = [
        [
            f"{row['dataset']}, {row['window_length']}",
            gap_name(row["gaps"], row["segment_length"]),
            f"{row['model']} ({row['label']})",
            f"{row['mae']:.3f}",
            f"{row['rival']}: {row['least']:.3f}",
            f"{row['mae'] / row['least']:.2f}",
        ]
        for row in models.drop_nulls("mae").iter_rows(named=True)
    ]
    header = ["set, window", "gaps", "model", "MAE", "best rival", "ratio"]
    return ["## Beside the best rival", markdown_table(header, body)] if body else []


def gap_name(kind: str, steps: object) -> str:
    """Return how a table calls a kind of gap."""
    return kind if kind == "points" else f"{kind} of {steps}"


def _cell(scores: pl.DataFrame) -> str:
    texts = []
    for metric in ("mse", "mae"):
        values = scores[metric].drop_nulls().to_numpy()
        if not len(values):
            return "nothing hidden"
        spread = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else None
        texts.append(f"{values.mean():.4f}" + (f" ± {spread:.4f}" if spread is not None else ""))
    return " / ".join(texts)


def _evaluate(config: ImputationConfig, models: list[Filler], _: np.random.Generator) -> Evaluation:
    if config.like is not None:
        rows = imputation_like.evaluate(config, models)
        return Evaluation(rows, {"table": imputation_like.render(rows, config)})
    rows = evaluate(config, models)
    return Evaluation(rows, {"table": render(rows, config)})


def _metrics(found: Evaluation) -> Iterator[tuple[str, Mapping[str, float | None]]]:
    keys = ["dataset", "window_length", "gaps", "segment_length", "share", "model"]
    if "gap_length" in found.rows.columns:
        keys = ["gap_length", "model"]  # the name of a file may be no name of a metric
    means: Callable[..., Any] = found.rows.group_by(keys, maintain_order=True).agg
    for row in means(pl.col("mse", "mae").mean()).iter_rows(named=True):
        place = "/".join(str(row[key]) for key in keys)
        yield place, {metric: row[metric] for metric in ("mse", "mae")}


PROTOCOL = Protocol(config=ImputationConfig, evaluate=_evaluate, metrics=_metrics, load=load_filler)
