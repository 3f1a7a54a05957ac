"""The look-ahead audit of recipes that learn to forecast: the pool, its windows, every position.

They are asked with series that are made here: what is audited is the code that a recipe chooses,
and that does not depend on the data.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
import torch
from einops import rearrange

from tsfm.audits.comparison import canonical
from tsfm.audits.cutoffs import choose_cutoffs
from tsfm.audits.perturbation import PERTURBATIONS, VALUES_ONLY, Keys
from tsfm.config import Recipe
from tsfm.errors import UnsupportedError
from tsfm.jobs import pretrain
from tsfm.jobs.audit_checks import Check, ask
from tsfm.models.backbone import BACKBONES, NextPatchModel
from tsfm.series.pool import SingleSeriesPool
from tsfm.series.windows import WindowSampler
from tsfm.shapes import Float32, Float64, ndarray

KEYS = Keys("item_id", "timestamp")
N_SERIES, N_STEPS, TRAIN_SHARE = 8, 400, 0.75
N_WINDOWS, WINDOW = 32, 64
N_PATCHES = 6
FATES = tuple(kind for kind in PERTURBATIONS if kind != "appear")


def checks(recipe: Recipe, n_cutoffs: int) -> list[Check]:
    """Audit a recipe of pre-training whose objective is ``next_patch``.

    Raises
    ------
    UnsupportedError
        For other objectives: they read the whole window, whose target is a part of it.
    """
    parts = pretrain.sections(recipe)
    if parts["objective"].name != "next_patch":
        raise UnsupportedError(
            "tsfm audit asks recipes of next_patch, of ltsf and of stocks, got the objective "
            f"{parts['objective'].name!r}, which may see all of a window; audit what uses it"
        )
    found = [_pool(n_cutoffs), _windows()] if parts["data"].name == "pool" else []
    return [*found, _positions(parts, n_cutoffs)]


def _series(n_series: int, n_steps: int) -> pl.DataFrame:
    values = np.random.default_rng(0).normal(size=(n_series, n_steps)).cumsum(axis=1)
    return pl.DataFrame(
        {
            "item_id": np.repeat([f"series {number}" for number in range(n_series)], n_steps),
            "timestamp": np.tile(np.arange(n_steps), n_series),
            "target": values.ravel(),
        }
    )


def _read_pool(known: pl.DataFrame) -> SingleSeriesPool:
    rows = known.sort("item_id", "timestamp")["target"].to_numpy()
    return SingleSeriesPool.from_series(list(rows.reshape(N_SERIES, -1)), train_share=TRAIN_SHARE)


def _last_training_step() -> int:
    return int(N_STEPS * TRAIN_SHARE) - 1


def _pool(n_cutoffs: int) -> Check:
    """Ask whether the scale of a series knows what follows its training part."""
    frame = _series(N_SERIES, N_STEPS)

    def observe(known: pl.DataFrame, _: pl.Series | None) -> pl.DataFrame:
        scaled = known.sort("item_id", "timestamp").with_columns(
            target=pl.Series(_read_pool(known).values)
        )
        return canonical(scaled, KEYS, pl.Int64)

    cutoffs = choose_cutoffs(frame["timestamp"], n_cutoffs, 0, start=_last_training_step())
    return ask(
        "scale of the pool",
        "made series",
        observe,
        frame,
        KEYS,
        ["target"],
        cutoffs,
        perturbations=VALUES_ONLY,
    )


def _windows() -> Check:
    """Ask whether a window of training shows a step of validation."""
    frame = _series(N_SERIES, N_STEPS)

    def observe(known: pl.DataFrame, _: pl.Series | None) -> pl.DataFrame:
        drawn = WindowSampler(_read_pool(known)).sample(N_WINDOWS, WINDOW, np.random.default_rng(0))
        # Steps of windows, all of which must lie in the past.
        windows = pl.DataFrame(
            {
                "item_id": np.repeat([f"window {n}" for n in range(N_WINDOWS)], WINDOW),
                "timestamp": np.tile(np.arange(WINDOW), N_WINDOWS),
                "value": drawn.values.ravel(),
            }
        )
        return canonical(windows, KEYS, pl.Int64)

    cutoffs = pl.Series([_last_training_step()])
    return ask(
        "windows of training",
        "made series",
        observe,
        frame,
        KEYS,
        ["target"],
        cutoffs,
        perturbations=VALUES_ONLY,
    )


def _positions(parts: Mapping[str, Any], n_cutoffs: int) -> Check:
    """Ask whether what a model says at a patch knows a later one, as its loss assumes it does not.

    The weights are random: what can be known depends on where a value goes, not on its weight.
    """
    backbone = BACKBONES[parts["model"].name](parts["model.config"])
    if not isinstance(backbone, NextPatchModel):
        raise UnsupportedError(
            f"next_patch needs a NextPatchModel, got {parts['model'].name}; choose timer or gpht"
        )
    model: Any = backbone
    model.reset_parameters(torch.Generator().manual_seed(0))
    # Heads may start at zero, and would say nothing whatever they see.
    with torch.no_grad():
        for parameter in model.parameters():
            if not parameter.any():
                parameter.normal_(0.0, 0.1, generator=torch.Generator().manual_seed(1))
    model.eval()
    n_steps = N_PATCHES * backbone.patch_length
    frame = _series(2, n_steps)
    names = frame["item_id"].unique(maintain_order=True).to_list()

    def observe(known: pl.DataFrame, _: pl.Series | None) -> pl.DataFrame:
        values = np.full((len(names), n_steps), np.nan, np.float32)
        row = known["item_id"].replace_strict(names, range(len(names))).to_numpy()
        values[row.astype(np.int64), known["timestamp"].to_numpy()] = known["target"].to_numpy()
        return canonical(_said(model, values, names), KEYS, pl.Int64)

    return ask(
        "every patch of a window",
        f"{parts['model'].name}, random weights",
        observe,
        frame,
        KEYS,
        ["target"],
        choose_cutoffs(frame["timestamp"], n_cutoffs, 0),
        perturbations=FATES,
    )


@torch.no_grad()
def _said(model: Any, values: Float32[ndarray, "series time"], names: list[str]) -> pl.DataFrame:
    """Return location, scale and forecast at the end of every patch."""
    observed = torch.from_numpy(np.isfinite(values))[..., None]
    shown = torch.from_numpy(np.nan_to_num(values))[..., None]
    said = model.forecast_patches(shown, observed, torch.ones(values.shape, dtype=torch.bool))
    middle = said.values.shape[-2] // 2
    forecast = rearrange(said.values[..., middle, :], "b c token h -> (b c token) h").double()

    def flat(part: torch.Tensor) -> Float64[ndarray, " row"]:
        numbers: ndarray = rearrange(part, "b c token -> (b c token)").double().numpy()
        return numbers

    n_tokens = said.loc.shape[-1]
    ends = values.shape[1] - 1 - model.patch_length * np.arange(n_tokens)[::-1]
    return pl.DataFrame(
        {
            "item_id": np.repeat(names, n_tokens),
            "timestamp": np.tile(ends, len(names)),
            "location": flat(said.loc),
            "scale": flat(said.scale),
            "first step of the forecast": forecast[:, 0].numpy(),
            "last step of the forecast": forecast[:, -1].numpy(),
        }
    )
