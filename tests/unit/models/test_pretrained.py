"""A checkpoint outlives its code: it must come back exactly, or say in one line why it cannot."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tsfm.errors import CheckpointError
from tsfm.mlflow_store import import_mlflow
from tsfm.models.model import Provenance, TimeSeriesModel
from tsfm.models.pretrained import bundled_models, load_pretrained, save_pretrained
from tsfm.models.timer import Timer

Make = Callable[..., Timer]

PROVENANCE = Provenance(
    trained_on=("el_nino", "m4_hourly"),
    training_cutoff="2024-12-31",
    licence="CC-BY-4.0",
    synthetic_share=0.25,
    details={"name": "tiny", "steps": 3},
)


@pytest.fixture
def model(make_timer: Make) -> TimeSeriesModel:
    return TimeSeriesModel("timer", make_timer(), 64, PROVENANCE)


@pytest.fixture
def folder(model: TimeSeriesModel, tmp_path: Path) -> Path:
    return save_pretrained(model, tmp_path / "checkpoint")


def change(folder: Path, **fields: Any) -> None:
    """Overwrite fields of the config; None takes one away."""
    file = folder / "config.json"
    config = json.loads(file.read_text()) | fields
    file.write_text(json.dumps({key: value for key, value in config.items() if value is not None}))


def test_what_is_saved_is_loaded_exactly(model: TimeSeriesModel, folder: Path) -> None:
    model.train()
    loaded = load_pretrained(folder)
    assert loaded.name == "timer"
    assert loaded.context_length == 64
    assert loaded.provenance == PROVENANCE
    assert loaded.backbone.config == model.backbone.config
    assert not loaded.training
    weights = loaded.backbone.state_dict()
    assert list(weights) == list(model.backbone.state_dict())
    for name, value in model.backbone.state_dict().items():
        assert torch.equal(weights[name], value)


def test_a_checkpoint_is_three_files_and_none_is_a_pickle(folder: Path) -> None:
    assert {file.name for file in folder.iterdir()} == {
        "config.json",
        "model.safetensors",
        "README.md",
    }
    config = json.loads((folder / "config.json").read_text())
    assert config["format"] == 1
    assert config["backbone"]["name"] == "timer"
    assert config["backbone"]["config"]["patch_length"] == 4


def test_who_can_read_the_config_can_read_the_weights(folder: Path) -> None:
    modes = {file.stat().st_mode for file in folder.iterdir()}
    assert len(modes) == 1


def test_the_card_says_what_the_config_says(model: TimeSeriesModel, folder: Path) -> None:
    card = (folder / "README.md").read_text()
    size = sum(parameter.numel() for parameter in model.backbone.parameters())
    for line in (
        "# tiny",
        f"- backbone: timer, {size:,} parameters",
        "- context: up to 64 steps",
        "- licence of the weights: CC-BY-4.0",
        "- training cut-off: 2024-12-31",
        "- share of synthetic training windows: 25%",
        "- `el_nino`",
        "- `m4_hourly`",
    ):
        assert line in card.splitlines()


def test_a_checkpoint_is_replaced_by_the_next(make_timer: Make, folder: Path) -> None:
    other = TimeSeriesModel("timer", make_timer(n_layers=1), 32, Provenance())
    save_pretrained(other, folder)
    loaded = load_pretrained(str(folder))
    assert loaded.context_length == 32
    assert loaded.trained_on == ()


def test_an_interrupted_save_leaves_no_config(model: TimeSeriesModel, folder: Path) -> None:
    (folder / "README.md").unlink()
    (folder / "README.md").mkdir()  # so that the card cannot be written
    with pytest.raises(OSError, match="README"):
        save_pretrained(model, folder)
    with pytest.raises(CheckpointError, match=r"must have a readable config\.json"):
        load_pretrained(folder)


def test_an_unknown_name_lists_the_bundled_ones() -> None:
    assert "tsfm-small" in bundled_models()
    with pytest.raises(CheckpointError, match=r"bundled name \[.*'tsfm-small'.*\], a .*got 'smal'"):
        load_pretrained("smal")


@pytest.mark.parametrize("content", [None, "{", "\x00\x80"])
def test_a_missing_or_broken_config_is_named(folder: Path, content: str | None) -> None:
    file = folder / "config.json"
    if content is None:
        file.unlink()
    else:
        file.write_bytes(content.encode("latin-1"))
    with pytest.raises(CheckpointError, match=r"must have a readable config\.json, got .*checkpoi"):
        load_pretrained(folder)


def test_another_format_names_the_version_that_reads_it(folder: Path) -> None:
    change(folder, format=2, tsfm_version="9.1")
    with pytest.raises(CheckpointError, match=r"must be 1, got 2 in .*by tsfm 9\.1; load it with"):
        load_pretrained(folder)


def test_json_that_is_no_config_is_another_format(folder: Path) -> None:
    (folder / "config.json").write_text("[]")
    with pytest.raises(CheckpointError, match="format must be 1, got None"):
        load_pretrained(folder)


@pytest.mark.parametrize("field", ["backbone", "context_length", "trained_on", "licence"])
def test_a_field_that_is_missing_is_named(folder: Path, field: str) -> None:
    change(folder, **{field: None})
    with pytest.raises(CheckpointError, match=f"config.json must have '{field}', got none in"):
        load_pretrained(folder)


def test_an_unknown_backbone_lists_the_known_ones(folder: Path) -> None:
    change(folder, backbone={"name": "timr", "config": {}})
    with pytest.raises(CheckpointError, match=r"backbone must be one of \[.*'timer'.*got 'timr'"):
        load_pretrained(folder)


def test_an_option_that_the_backbone_does_not_know_is_named(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())["backbone"]["config"]
    change(folder, backbone={"name": "timer", "config": config | {"width": 3}})
    with pytest.raises(CheckpointError, match=r"must match its config, got (?s:.*)width"):
        load_pretrained(folder)


def test_weights_of_another_size_are_refused(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())["backbone"]["config"]
    change(folder, backbone={"name": "timer", "config": config | {"d_ff": 48}})
    with pytest.raises(CheckpointError, match=r"must match its config(?s:.*)size mismatch for"):
        load_pretrained(folder)


def test_weights_for_fewer_layers_are_refused(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())["backbone"]["config"]
    change(folder, backbone={"name": "timer", "config": config | {"n_layers": 3}})
    with pytest.raises(
        CheckpointError, match=r"must match its config(?s:.*)Missing key.*blocks\.2"
    ):
        load_pretrained(folder)


@pytest.mark.parametrize("damage", ["missing", "cut", "noise"])
def test_missing_or_broken_weights_are_refused(folder: Path, damage: str) -> None:
    file = folder / "model.safetensors"
    content = file.read_bytes()
    file.unlink()
    if damage != "missing":
        file.write_bytes(content[: len(content) // 2] if damage == "cut" else b"\x80" * 99)
    with pytest.raises(CheckpointError, match=r"must match its config, got .*save the model again"):
        load_pretrained(folder)


def test_a_folder_may_be_below_the_home_of_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    folder = save_pretrained(load_pretrained("tsfm-small"), "~/mine")
    assert folder == tmp_path / "mine"
    assert load_pretrained("~/mine").name == "timer"
    assert not (tmp_path / "~").exists()


def test_a_bundled_model_is_found_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_pretrained("tsfm-small").name == "timer"


@pytest.fixture
def logged(tracking_uri: str, folder: Path) -> str:
    """A run with a checkpoint, registered as `loads` with the alias `champion`; its id."""
    client = import_mlflow().MlflowClient(tracking_uri)
    found = client.get_experiment_by_name("checkpoints")
    experiment = found.experiment_id if found else client.create_experiment("checkpoints")
    run_id: str = client.create_run(experiment).info.run_id
    client.log_artifacts(run_id, str(folder), "checkpoint")
    client.log_artifacts(run_id, str(folder), "all/one")
    client.log_artifacts(run_id, str(folder), "all/two")
    client.log_artifact(run_id, str(folder / "config.json"), "empty")
    if not client.search_registered_models("name = 'loads'"):
        client.create_registered_model("loads")
    version = client.create_model_version("loads", f"runs:/{run_id}/checkpoint", run_id)
    client.set_registered_model_alias("loads", "champion", version.version)
    return run_id


@pytest.mark.parametrize(
    "uri", ["models:/loads@champion", "models:/loads/1", "runs:/{run_id}/checkpoint"]
)
def test_a_checkpoint_is_loaded_from_mlflow(
    model: TimeSeriesModel, logged: str, uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    loaded = load_pretrained(uri.format(run_id=logged))
    assert loaded.provenance == PROVENANCE
    for name, value in model.backbone.state_dict().items():
        assert torch.equal(loaded.backbone.state_dict()[name], value)
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("models:/loads@nobody", "nobody not found"),
        ("models:/nothing/1", "name=nothing not found"),
        ("runs:/{run_id}/nothing", "'nothing'"),
        ("runs:/000/checkpoint", "id=000 not found"),
    ],
)
def test_what_is_not_in_the_store_is_named_with_the_store(
    logged: str, tracking_uri: str, uri: str, reason: str
) -> None:
    with pytest.raises(CheckpointError, match=f"must exist in the .*, got: .*{reason}") as caught:
        load_pretrained(uri.format(run_id=logged))
    assert tracking_uri in str(caught.value)


@pytest.mark.parametrize(("path", "found"), [("all", "all/one', 'all/two"), ("empty", "")])
def test_an_address_must_hold_one_checkpoint(logged: str, path: str, found: str) -> None:
    with pytest.raises(CheckpointError, match=f"must hold one folder .*got .*{found}.*; name the"):
        load_pretrained(f"runs:/{logged}/{path}")


@pytest.mark.parametrize("uri", ["models:/loads@champion", "runs:/1/checkpoint"])
def test_a_server_that_is_down_is_an_error_within_seconds(
    monkeypatch: pytest.MonkeyPatch, uri: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    start = time.monotonic()
    with pytest.raises(CheckpointError, match=r"store http://127\.0\.0\.1:9, got: nothing listens"):
        load_pretrained(uri)
    assert time.monotonic() - start < 6


def test_looking_for_a_model_makes_no_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(import_mlflow(), "is_tracking_uri_set", lambda: False)
    with pytest.raises(CheckpointError, match=r"sqlite:///mlflow\.db, got: there is no such file"):
        load_pretrained("models:/loads@champion")
    assert list(tmp_path.iterdir()) == []


def test_loading_leaves_the_random_numbers_of_the_caller_as_they_were() -> None:
    before = torch.random.get_rng_state()
    load_pretrained("tsfm-small")
    assert torch.equal(torch.random.get_rng_state(), before)
