"""Export to ONNX: the network of a forecaster as one file for ONNX Runtime, checked against torch.

The graph takes contexts of any length in whole patches and returns, for every token, the quantiles
of the steps that follow it, in the units of the context. Steps farther ahead than the network sees
in one pass are asked for as in `roll_out`: by appending patches of which nothing is known.
"""

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from einops import rearrange
from torch import nn

from tsfm import __version__
from tsfm.errors import CheckpointError, UnsupportedError
from tsfm.models.backbone import NextPatchModel, PatchForecast
from tsfm.models.model import Provenance, TimeSeriesModel
from tsfm.shapes import Inside, Observed, Tensor, Values
from tsfm.tasks.forecast import Forecaster

FORMAT = 1
GRAPH_FILE, SETTINGS_FILE, GUIDE_FILE = "model.onnx", "export.json", "README.md"
INPUTS, OUTPUT = ("values", "observed", "inside"), "quantiles"
PACKAGES = ("onnx", "onnxruntime", "onnxscript")
# Rows and tokens of the random contexts on which the file is compared with torch.
CHECKED = ((1, 1), (2, 5), (3, 32))
TOLERANCE = 1e-4


def export_onnx(model: TimeSeriesModel, folder: str | Path) -> dict[str, Any]:
    """Write ``model.onnx``, a guide, and ``export.json`` last.

    Returns
    -------
    settings
        What ``export.json`` holds: how the graph is called, and by how much it differs from torch.

    Raises
    ------
    UnsupportedError
        When the model does not forecast quantiles in one pass, the extra ``onnx`` is missing, or
        the file's forecasts are not those of torch.
    """
    _check_kind(model)
    _require_onnx()
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / SETTINGS_FILE).unlink(missing_ok=True)
    graph = _Graph(model.backbone).eval()
    with TemporaryDirectory(prefix="tsfm-", dir=folder) as scratch:
        file = Path(scratch) / GRAPH_FILE
        _write_graph(graph, model.patch_length, file)
        difference = _difference(graph, model.patch_length, _session(file))
        if not difference <= TOLERANCE:
            raise UnsupportedError(
                f"{GRAPH_FILE} must forecast what torch does within {TOLERANCE}, got a difference "
                f"of {difference:.2g}; use another version of onnxruntime or torch"
            )
        file.replace(folder / GRAPH_FILE)
    settings = {
        "format": FORMAT,
        "tsfm_version": __version__,
        "backbone": model.name,
        "patch_length": model.patch_length,
        "horizon": model.backbone.horizon,
        "quantile_levels": list(model.quantile_levels),
        "context_length": model.context_length,
        "inputs": {"values": "float32 batch time", "observed": "bool batch time"}
        | {"inside": "bool batch time"},
        "output": {OUTPUT: "float32 batch token quantile horizon"},
        "scaling": "running mean and deviation, inside the graph; standardise wide ranges first",
        "largest_difference": difference,
        **asdict(model.provenance),
    }
    guide = (files("tsfm") / "export_guide.md").read_text(encoding="utf-8")
    (folder / GUIDE_FILE).write_text(guide, encoding="utf-8")
    (folder / SETTINGS_FILE).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    return settings


def load_onnx(folder: str | Path) -> Forecaster:
    """Return a forecaster that reads an exported folder with ONNX Runtime.

    Frames, scaling and everything around the network are as for any other forecaster.

    Raises
    ------
    CheckpointError
        When the folder is no export of this format.
    UnsupportedError
        When the extra ``onnx`` is missing.
    """
    _require_onnx()
    folder = Path(folder)
    try:
        settings = json.loads((folder / SETTINGS_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"an export must have a readable {SETTINGS_FILE}, got {folder}: {error}; export again"
        ) from error
    if settings.get("format") != FORMAT:
        raise CheckpointError(
            f"export format must be {FORMAT}, got {settings.get('format')} in {folder}, written by "
            f"tsfm {settings.get('tsfm_version')}; load it with that version"
        )
    backbone = OnnxBackbone(_session(folder / GRAPH_FILE), settings)
    fields = ("training_cutoff", "licence", "synthetic_share", "details")
    provenance = Provenance(
        trained_on=tuple(settings["trained_on"]), **{name: settings[name] for name in fields}
    )
    model = TimeSeriesModel(settings["backbone"], backbone, settings["context_length"], provenance)
    return Forecaster(model, device="cpu")


class OnnxBackbone(nn.Module):
    """A backbone whose forecasts come from ONNX Runtime; it cannot be trained."""

    def __init__(self, session: Any, settings: dict[str, Any]) -> None:
        super().__init__()
        self.session = session
        self.patch_length = int(settings["patch_length"])
        self.horizon = int(settings["horizon"])
        self.quantile_levels = tuple(settings["quantile_levels"])
        # Where a model lives is asked of its parameters.
        self.place = nn.Parameter(torch.zeros(()), requires_grad=False)

    def forecast_patches(self, values: Values, observed: Observed, inside: Inside) -> PatchForecast:
        """Return, for every patch, the following patches, already in input units."""
        channels = values.shape[2]
        together = "batch time channel -> (batch channel) time"
        feed = {
            "values": rearrange(values, together),
            "observed": rearrange(observed, together),
            "inside": inside.repeat_interleave(channels, 0),
        }
        found = self.session.run(None, {name: part.numpy() for name, part in feed.items()})[0]
        quantiles = rearrange(
            torch.from_numpy(found),
            "(batch channel) token quantile horizon -> batch channel token quantile horizon",
            channel=channels,
        )
        loc = quantiles.new_zeros(quantiles.shape[:3])
        return PatchForecast(quantiles, loc, torch.ones_like(loc), is_arcsinh=False)

    def predict_next(self, values: Values, observed: Observed, inside: Inside) -> Values:
        """Return at the place of patch k the median forecast of patch k + 1."""
        forecast = self.forecast_patches(values, observed, inside)
        return forecast.next_steps(self.patch_length)[:, -values.shape[1] :]


class _Graph(nn.Module):
    """What is exported: one channel, quantiles in rising order and in input units."""

    def __init__(self, backbone: Any) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, values: Tensor, observed: Tensor, inside: Tensor) -> Tensor:
        one_channel = "batch time -> batch time 1"
        forecast = self.backbone.forecast_patches(
            rearrange(values, one_channel), rearrange(observed, one_channel), inside
        )
        quantiles = forecast.in_input_units().sort(3).values
        return rearrange(
            quantiles, "batch 1 token quantile horizon -> batch token quantile horizon"
        )


def _write_graph(graph: nn.Module, patch_length: int, file: Path) -> None:
    example = _contexts(2, 9, patch_length)
    axes = {0: torch.export.Dim("batch"), 1: patch_length * torch.export.Dim("token")}
    with _quiet():
        try:
            torch.onnx.export(
                graph,
                tuple(torch.from_numpy(example[name]) for name in INPUTS),
                file,
                input_names=INPUTS,
                output_names=[OUTPUT],
                dynamic_shapes=(axes,) * len(INPUTS),
                dynamo=True,
                external_data=False,
                verbose=False,
            )
        except Exception as error:
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise UnsupportedError(
                f"a model must be made of what ONNX knows to be exported, got: {reason}; load the "
                "checkpoint with torch instead"
            ) from error


def _difference(graph: nn.Module, patch_length: int, session: Any) -> float:
    """Return the largest difference between file and torch, relative above 1."""
    largest = 0.0
    for rows, tokens in CHECKED:
        feed = _contexts(rows, tokens, patch_length)
        with torch.inference_mode():
            expected = graph(*(torch.from_numpy(feed[name]) for name in INPUTS)).numpy()
        found = session.run(None, feed)[0]
        apart = np.abs(found - expected) / np.maximum(1, np.abs(expected))
        largest = max(largest, float(apart.max()))
    return largest


def _contexts(rows: int, tokens: int, patch_length: int) -> dict[str, np.ndarray]:
    """Draw standardised walks with gaps and, in the first patch, padding."""
    generator = np.random.default_rng(rows)
    walks = np.cumsum(generator.standard_normal((rows, tokens * patch_length)), 1)
    walks = (walks - walks.mean(1, keepdims=True)) / walks.std(1, keepdims=True)
    inside = np.ones(walks.shape, bool)
    inside[:, : patch_length // 3] = False
    observed = inside & (generator.random(walks.shape) > 0.1)
    values = np.where(observed, walks, 0).astype(np.float32)
    return {"values": values, "observed": observed, "inside": inside}


def _session(file: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])


def _check_kind(model: TimeSeriesModel) -> None:
    backbone = model.backbone
    is_forecaster = isinstance(backbone, NextPatchModel) and hasattr(backbone, "horizon")
    if not is_forecaster or not backbone.quantile_levels:
        raise UnsupportedError(
            f"a model must forecast quantiles in one pass to be exported, got {model.name!r} "
            f"{'without quantile levels' if is_forecaster else 'that does not forecast'}; export "
            "a forecaster such as 'tsfm-small'"
        )


def _require_onnx() -> None:
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise UnsupportedError(f"ONNX needs {missing}, got none; pip install 'tsfm-kit[onnx]'")


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide what the exporter tells its own developers: of other packages, and of itself."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)
