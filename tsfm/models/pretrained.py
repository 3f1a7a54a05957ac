"""Checkpoints: a folder with `config.json` and `model.safetensors`, readable without this package.

No pickle, no network unless the caller's own URI asks for one.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from pydantic import TypeAdapter
from pydantic_core import to_jsonable_python
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from tsfm.errors import CheckpointError, ConfigError
from tsfm.mlflow_store import DEFAULT_URI, answers, import_mlflow
from tsfm.models.backbone import BACKBONES, count_parameters
from tsfm.models.checkpoint_card import CARD_NOTE, checkpoint_card
from tsfm.models.heads import HEADS, describe
from tsfm.models.model import Provenance, TimeSeriesModel
from tsfm.registry import discover
from tsfm.shapes import Tensor

FORMAT = 1
CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
CARD_FILE = "README.md"
# No module can have such a name, so a weight of a head is never taken for one of the backbone.
HEAD_KEY = "heads:{name}:{key}"


def bundled_models() -> tuple[str, ...]:
    """Return the names of the checkpoints inside this package."""
    folder = files("tsfm") / "checkpoints"
    return tuple(
        sorted(entry.name for entry in folder.iterdir() if (entry / CONFIG_FILE).is_file())
    )


def save_pretrained(model: TimeSeriesModel, folder: str | Path) -> Path:
    """Write model card, weights and config to `folder`; the config last.

    A folder without `config.json` is therefore a broken one, never a half-true one.

    Raises
    ------
    ConfigError
        When the folder has files of these names that are of no checkpoint, or cannot be made.
    """
    from tsfm import __version__

    folder = Path(folder).expanduser()
    check_checkpoint_place(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"a checkpoint must be saved to a folder that can be made, got {folder}: "
            f"{error.strerror}; name another folder"
        ) from None
    config = {
        "format": FORMAT,
        "tsfm_version": __version__,
        "backbone": {"name": model.name, "config": to_jsonable_python(model.backbone.config)},
        "heads": {name: to_jsonable_python(describe(head)) for name, head in model.heads.items()},
        "context_length": model.context_length,
        **asdict(model.provenance),
    }
    weights = {key: value.detach().contiguous().cpu() for key, value in _weights(model).items()}
    (folder / CONFIG_FILE).unlink(missing_ok=True)
    card = checkpoint_card(config, count_parameters(model.backbone))
    (folder / CARD_FILE).write_text(card, encoding="utf-8")
    # `save_file` would make a file that nobody else can read, whatever the umask.
    (folder / WEIGHTS_FILE).write_bytes(save(weights))
    (folder / CONFIG_FILE).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    return folder


def check_checkpoint_place(folder: Path) -> None:
    """Refuse to write over what somebody else keeps under the names of a checkpoint's files.

    Raises
    ------
    ConfigError
        Naming these files.
    """
    names = (CONFIG_FILE, WEIGHTS_FILE, CARD_FILE)
    taken = [name for name in names if (folder / name).exists()]
    # A save that was cut short has left its card.
    card = folder / CARD_FILE
    is_ours = card.is_file() and CARD_NOTE in card.read_text(encoding="utf-8", errors="replace")
    with suppress(OSError, ValueError):
        config = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
        is_ours = isinstance(config, dict) and {"format", "backbone"} <= set(config)
    if taken and not is_ours:
        raise ConfigError(
            f"a checkpoint must be saved to a folder of its own, got {folder}, where {taken} "
            f"{'is' if len(taken) == 1 else 'are'} of no checkpoint; name another folder"
        )


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
    with checkpoint_folder(name) as folder:
        config = _read_config(folder, name)
        discover("tsfm.models")
        try:
            # What is drawn before the weights are read must not move the caller's generator.
            with torch.random.fork_rng(devices=[]):
                return _build(config, folder / WEIGHTS_FILE).eval()
        except KeyError as error:
            raise CheckpointError(
                f"{CONFIG_FILE} must have {error}, got none in {name}; save the model again"
            ) from error
        # A wrong type, value or backbone; a missing or broken file; weights of other shapes.
        except (TypeError, ValueError, OSError, SafetensorError, RuntimeError) as error:
            raise CheckpointError(
                f"checkpoint must match its config, got {name} with: {error}; save the model again"
            ) from error


@contextmanager
def checkpoint_folder(name: str | Path) -> Iterator[Path]:
    """Give the folder of a checkpoint; what is downloaded for it is gone afterwards.

    Parameters
    ----------
    name
        See `load_pretrained`.

    Raises
    ------
    CheckpointError
        When there is no such checkpoint.
    """
    with TemporaryDirectory(prefix="tsfm-", ignore_cleanup_errors=True) as scratch:
        yield _find(str(name), Path(scratch))


def _build(config: dict[str, Any], weights: Path) -> TimeSeriesModel:
    name = config["backbone"]["name"]
    backbone_class = BACKBONES[name]
    settings = TypeAdapter(backbone_class.Config).validate_python(config["backbone"]["config"])
    # The type of all weights, whatever the caller has made the default one of torch.
    backbone = backbone_class(settings).float()
    heads = {}
    for head, described in config.get("heads", {}).items():
        head_class = HEADS[described["kind"]]
        heads[head] = head_class(
            TypeAdapter(head_class.Config).validate_python(described["config"])
        ).float()
    provenance = Provenance(
        trained_on=tuple(config["trained_on"]),
        training_cutoff=config["training_cutoff"],
        licence=config["licence"],
        synthetic_share=config["synthetic_share"],
        details=config["details"],
    )
    model = TimeSeriesModel(name, backbone, config["context_length"], provenance, heads)
    content = load_file(weights)
    for head, module in heads.items():
        prefix = HEAD_KEY.format(name=head, key="")
        own = {key: content.pop(key) for key in list(content) if key.startswith(prefix)}
        module.load_state_dict({key.removeprefix(prefix): one for key, one in own.items()})
    backbone.load_state_dict(content)
    return model


def _weights(model: TimeSeriesModel) -> dict[str, Tensor]:
    """Return the backbone's weights under their own names, and those of the heads."""
    weights: dict[str, Tensor] = dict(model.backbone.state_dict())
    for name, head in model.heads.items():
        weights |= {HEAD_KEY.format(name=name, key=k): v for k, v in head.state_dict().items()}
    return weights


def _read_config(folder: Path, name: str | Path) -> dict[str, Any]:
    try:
        config = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"a checkpoint must have a readable {CONFIG_FILE}, got {name}: {error}"
        ) from error
    found = config if isinstance(config, dict) else {}
    if found.get("format") != FORMAT:
        raise CheckpointError(
            f"checkpoint format must be {FORMAT}, got {found.get('format')} in {name}, written "
            f"by tsfm {found.get('tsfm_version')}; load it with that version"
        )
    return found


def _find(name: str, scratch: Path) -> Path:
    if name.startswith(("models:/", "runs:/")):
        return _download(name, scratch)
    if Path(name).expanduser().is_dir():
        return Path(name).expanduser()
    if name in bundled_models():
        return Path(str(files("tsfm") / "checkpoints" / name))
    raise CheckpointError(
        f"model must be a bundled name {list(bundled_models())}, a folder, 'models:/name@alias' or "
        f"'runs:/id/path', got {name!r}"
    )


def _download(uri: str, scratch: Path) -> Path:
    """Fetch a model from MLflow; a logged one keeps its checkpoint in a folder of its own."""
    fetch(uri, scratch)
    found = sorted(path.parent for path in scratch.rglob(CONFIG_FILE))
    found = [folder for folder in found if (folder / WEIGHTS_FILE).is_file()]
    if len(found) != 1:
        places = [folder.relative_to(scratch).as_posix() for folder in found]
        raise CheckpointError(
            f"model {uri!r} must hold one folder with {CONFIG_FILE} and {WEIGHTS_FILE}, got "
            f"{places}; name the folder of the checkpoint"
        )
    return found[0]


def fetch(uri: str, folder: Path) -> None:
    """Copy what lies at an address of MLflow to a folder.

    Raises
    ------
    CheckpointError
        When there is nothing, or no such store.
    """
    mlflow = import_mlflow()
    # What the user chose; only without a choice the default, which differs between versions.
    default = None if mlflow.is_tracking_uri_set() else DEFAULT_URI
    is_registered = uri.startswith("models:/")
    store = default or (mlflow.get_registry_uri() if is_registered else mlflow.get_tracking_uri())
    reason = _absence(store)
    try:
        if not reason:
            mlflow.artifacts.download_artifacts(
                artifact_uri=uri, dst_path=str(folder), tracking_uri=default, registry_uri=default
            )
    except Exception as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
    if reason:
        raise CheckpointError(
            f"model {uri!r} must exist in the tracking store {store}, got: {reason}; correct the "
            "name or MLFLOW_TRACKING_URI"
        )


def _absence(store: str) -> str:
    """Why `store` cannot be asked: MLflow would make an empty database, or try for minutes."""
    file = Path(store.removeprefix("sqlite:///").partition("?")[0])
    if store.startswith("sqlite:///") and not file.is_file():
        return "there is no such file"
    return "" if answers(store) else "nothing listens there"
