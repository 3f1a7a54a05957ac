"""What fills the windows of an evaluation: models, and the interpolations that they must beat."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tsfm.models.backbone import NextPatchModel, count_parameters
from tsfm.models.model import TimeSeriesModel
from tsfm.models.pretrained import load_pretrained
from tsfm.objectives.denoise_segments import denoise
from tsfm.tasks.imputation import interpolation
from tsfm.tasks.imputation.arrays import fill_arrays
from tsfm.tasks.imputation.interpolation import Interpolation, Windows

WINDOWS_AT_ONCE = 512


@dataclass(frozen=True)
class Filler:
    """What fills windows, under the name it has in a table."""

    name: str
    label: str
    fill: Interpolation
    n_parameters: int | None = None
    trained_on: tuple[str, ...] = ()
    fill_seasonal: Callable[[Windows, int], Windows] | None = None

    def told(self, seasonality: int) -> "Filler":
        """Return the same, told the season of a frequency as a frame tells it, if it can be."""
        fill = self.fill_seasonal
        return replace(self, fill=lambda windows: fill(windows, seasonality)) if fill else self

    def facts(self) -> dict[str, Any]:
        """Return what a report says about a model."""
        return {"n_parameters": self.n_parameters, "trained_on": list(self.trained_on)}


def load_filler(name: str, *, device: str = "auto") -> Filler:
    """Load a model; one of Timer's, with whole-window statistics, fills segments as released."""
    del device  # windows of 192 steps are filled faster than they are moved
    model = load_pretrained(name)
    shown = Path(name).name if Path(name).is_dir() else name
    return filler_of(model, shown)


def filler_of(model: TimeSeriesModel, name: str) -> Filler:
    """Return a model as a filler."""
    backbone = model.backbone
    is_released = isinstance(backbone, NextPatchModel) and _is_windowed(backbone)
    facts = count_parameters(backbone), tuple(model.trained_on)
    if is_released:
        return Filler(name, "zero-shot", _denoising(model), *facts)
    fill = partial(_imputed, model)
    return Filler(name, "zero-shot", fill, *facts, fill_seasonal=fill)


def rivals(seasonality: int) -> list[Filler]:
    """Return what every model must beat."""
    made = {
        "linear": interpolation.linear,
        "cubic spline": interpolation.cubic_spline,
        "pchip": interpolation.monotone_cubic,
        f"seasonal linear, {seasonality}": interpolation.seasonal_linear(seasonality),
        "last value": interpolation.last_value,
    }
    return [Filler(name, "baseline", fill) for name, fill in made.items()]


def _is_windowed(backbone: Any) -> bool:
    return getattr(backbone.config, "normalization", "causal") == "window"


def _imputed(model: TimeSeriesModel, windows: Windows, seasonality: int = 1) -> Windows:
    offsets = np.arange(len(windows) + 1) * windows.shape[1]
    filled = fill_arrays(model, windows.reshape(-1, 1), offsets, seasonality=seasonality)
    return filled[0].reshape(windows.shape)


def _denoising(model: TimeSeriesModel) -> Interpolation:
    @torch.inference_mode()
    def some(windows: Windows) -> Windows:
        visible = torch.from_numpy(np.isfinite(windows))[..., None]
        values = torch.from_numpy(np.nan_to_num(windows).astype(np.float32))[..., None]
        inside = torch.ones(windows.shape, dtype=torch.bool)
        denoised = denoise(model.backbone, values, visible, inside)[..., 0].double().numpy()
        return np.where(np.isfinite(windows), windows, denoised)

    def fill(windows: Windows) -> Windows:
        cuts = np.arange(WINDOWS_AT_ONCE, len(windows), WINDOWS_AT_ONCE)
        return np.concatenate([some(part) for part in np.split(windows, cuts)])

    return fill
