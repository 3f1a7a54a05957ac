"""Checkpoints: a folder with `config.json` and `model.safetensors`, readable without this package.

No pickle, no network unless the caller's own URI asks for one.
"""

import json
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_jsonable_python
from safetensors.torch import load_file, save_file

from tsfm.errors import CheckpointError
from tsfm.models.backbone import BACKBONES
from tsfm.models.model import Provenance, TimeSeriesModel
from tsfm.registry import discover

FORMAT = 1
CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
CARD_FILE = "README.md"


def bundled_models() -> tuple[str, ...]:
    """Return the names of the checkpoints inside this package."""
    folder = files("tsfm") / "checkpoints"
    return tuple(
        sorted(entry.name for entry in folder.iterdir() if (entry / CONFIG_FILE).is_file())
    )


def save_pretrained(model: TimeSeriesModel, folder: str | Path) -> Path:
    """Write config, weights and model card to `folder`; the config last.

    A folder without `config.json` is therefore a broken one, never a half-true one.
    """
    from tsfm import __version__

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "format": FORMAT,
        "tsfm_version": __version__,
        "backbone": {"name": model.name, "config": to_jsonable_python(model.backbone.config)},
        "context_length": model.context_length,
        **asdict(model.provenance),
    }
    weights = {
        key: value.detach().contiguous().cpu() for key, value in model.backbone.state_dict().items()
    }
    (folder / CONFIG_FILE).unlink(missing_ok=True)
    save_file(weights, folder / WEIGHTS_FILE)
    (folder / CARD_FILE).write_text(_card(config, sum(w.numel() for w in weights.values())))
    (folder / CONFIG_FILE).write_text(json.dumps(config, indent=2) + "\n")
    return folder


def load_pretrained(name: str | Path) -> TimeSeriesModel:
    """Load a checkpoint in evaluation mode on the CPU.

    Parameters
    ----------
    name
        A bundled name, a folder, or an MLflow address: ``models:/name@alias``,
        ``models:/name/3``, ``runs:/run_id/path``.

    Raises
    ------
    CheckpointError
        When there is no such checkpoint, or it does not fit this version.
    """
    folder = _find(str(name))
    config = _read_config(folder)
    discover("tsfm.models")
    backbone_class = BACKBONES[config["backbone"]["name"]]
    try:
        backbone_config = TypeAdapter(backbone_class.Config).validate_python(
            config["backbone"]["config"]
        )
        backbone = backbone_class(backbone_config)
        backbone.load_state_dict(load_file(folder / WEIGHTS_FILE), strict=True)
    except (ValidationError, RuntimeError, OSError) as error:
        raise CheckpointError(
            f"checkpoint must match its config, got {folder} with: {error}; save it again"
        ) from error
    provenance = Provenance(
        trained_on=tuple(config["trained_on"]),
        training_cutoff=config["training_cutoff"],
        licence=config["licence"],
        synthetic_share=config["synthetic_share"],
        details=config["details"],
    )
    model = TimeSeriesModel(
        config["backbone"]["name"], backbone, config["context_length"], provenance
    )
    return model.eval()


def _read_config(folder: Path) -> dict[str, Any]:
    try:
        config: dict[str, Any] = json.loads((folder / CONFIG_FILE).read_text())
    except (OSError, json.JSONDecodeError) as error:
        raise CheckpointError(
            f"a checkpoint must have a readable {CONFIG_FILE}, got {folder}: {error}"
        ) from error
    if config.get("format") != FORMAT:
        raise CheckpointError(
            f"checkpoint format must be {FORMAT}, got {config.get('format')} in {folder}, written "
            f"by tsfm {config.get('tsfm_version')}; load it with that version"
        )
    return config


def _find(name: str) -> Path:
    if name.startswith(("models:/", "runs:/")):
        return _download(name)
    if Path(name).is_dir():
        return Path(name)
    if name in bundled_models():
        return Path(str(files("tsfm") / "checkpoints" / name))
    raise CheckpointError(
        f"model must be a bundled name {list(bundled_models())}, a folder, 'models:/name@alias' or "
        f"'runs:/id/path', got {name!r}"
    )


def _download(uri: str) -> Path:
    """Fetch an MLflow artifact; a logged model keeps its checkpoint in a folder of its own."""
    import mlflow

    try:
        folder = Path(mlflow.artifacts.download_artifacts(artifact_uri=uri))
    except Exception as error:
        raise CheckpointError(
            f"model {uri!r} must exist in the tracking store "
            f"{mlflow.get_tracking_uri()}, got: {error}"
        ) from error
    found = sorted(folder.rglob(CONFIG_FILE))
    if not found:
        raise CheckpointError(f"model {uri!r} must hold a {CONFIG_FILE}, got none in {folder}")
    return found[0].parent


def _card(config: dict[str, Any], n_parameters: int) -> str:
    """Write the model card from the config, so that the two cannot disagree."""
    backbone = config["backbone"]
    lines = [
        f"# {config['details'].get('name', backbone['name'])}",
        "",
        f"- backbone: {backbone['name']}, {n_parameters:,} parameters",
        f"- context: up to {config['context_length']} steps",
        f"- licence of the weights: {config['licence']}",
        f"- training cut-off: {config['training_cutoff'] or 'unknown'}",
        f"- share of synthetic training windows: {config['synthetic_share']:.0%}",
        "",
        "## Training data",
        "",
        *(f"- `{card}`" for card in config["trained_on"]),
        "",
        "Every name is a card under `data/`, with source and licence. Forecasts of these series",
        "are not zero-shot.",
        "",
        "## Limits",
        "",
        "Univariate: every channel is forecast by itself, without covariates or stamps. Steps must",
        "be regular. Quantiles outside the trained levels are extrapolated.",
        "",
    ]
    return "\n".join(lines)
