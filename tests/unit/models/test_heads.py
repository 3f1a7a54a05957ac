"""Heads carry what a task has learned: a wrong order of tokens would go unnoticed until loaded."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tsfm.errors import CheckpointError, ConfigError, UnsupportedError
from tsfm.models.heads import (
    HEADS,
    ClassHead,
    ClassHeadConfig,
    ReconstructionHead,
    ReconstructionHeadConfig,
    TokenSizes,
    ValueHead,
    ValueHeadConfig,
    describe,
    token_inside,
)
from tsfm.models.model import Provenance, TimeSeriesModel
from tsfm.models.pretrained import load_pretrained, save_pretrained
from tsfm.models.timer import Timer
from tsfm.models.tst import Tst, TstConfig

SCALE: dict[str, Any] = {"loc": (0.5, 1 / 3), "scale": (2.0, 1e-7)}


def drawn(head: Any) -> Any:
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.normal_(generator=generator)
    return head


def tokens_of(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def tst() -> Tst:
    config = TstConfig(
        n_channels=2, context_length=10, d_model=8, n_heads=2, n_layers=1, d_ff=8, dropout=0.0
    )
    return drawn(Tst(config)).eval()


@pytest.fixture
def model() -> TimeSeriesModel:
    heads = {
        "reconstruction": drawn(ReconstructionHead.on(tst())),
        "class": drawn(
            ClassHead(ClassHeadConfig(d_model=8, n_tokens=10, classes=("b", "a", "c"), **SCALE))
        ),
        "ages": drawn(
            ValueHead(
                ValueHeadConfig(d_model=8, n_tokens=10, target_loc=0.1, target_scale=3.5, **SCALE)
            )
        ),
    }
    return TimeSeriesModel("tst", tst(), 10, Provenance(), heads)


@pytest.mark.parametrize(("groups", "n_channels"), [(1, 3), (3, 1), (2, 2)])
@pytest.mark.parametrize("time", [8, 6, 1])
def test_a_reconstruction_is_the_linear_map_of_the_token_of_a_step(
    groups: int, n_channels: int, time: int
) -> None:
    head = drawn(
        ReconstructionHead(
            ReconstructionHeadConfig(d_model=5, patch_length=2, n_channels=n_channels)
        )
    )
    tokens = tokens_of(2, groups, 4, 5)
    found = head(tokens, time)
    assert found.shape == (2, time, groups * n_channels)
    weight = head.linear.weight.reshape(n_channels, 2, 5)
    bias = head.linear.bias.reshape(n_channels, 2)
    for step in range(8 - time, 8):
        for group in range(groups):
            for channel in range(n_channels):
                expected = tokens[1, group, step // 2] @ weight[channel, step % 2]
                value = found[1, step - (8 - time), group * n_channels + channel]
                torch.testing.assert_close(value, expected + bias[channel, step % 2])


def class_head(**options: Any) -> ClassHead:
    sizes: dict[str, Any] = {"d_model": 5, "n_groups": 2, "n_tokens": 6, "classes": ("x", "y")}
    return drawn(ClassHead(ClassHeadConfig(**(sizes | SCALE | options))))


def test_tokens_are_read_side_by_side_and_end_together() -> None:
    head = class_head()
    tokens, inside = tokens_of(3, 2, 4, 5), torch.ones(3, 4).bool()
    full = torch.zeros(3, 2, 6, 5)
    full[:, :, 2:] = tokens
    expected = full.flatten(1) @ head.linear.weight.T + head.linear.bias
    torch.testing.assert_close(head(tokens, inside), expected)


def test_of_too_many_tokens_the_last_ones_are_read() -> None:
    head = class_head()
    tokens = tokens_of(3, 2, 9, 5)
    found = head(tokens, torch.ones(3, 9).bool())
    torch.testing.assert_close(found, head(tokens[:, :, 3:], torch.ones(3, 6).bool()))


@pytest.mark.parametrize("pooling", ["concat", "mean"])
def test_tokens_of_padding_are_zero_for_the_head(pooling: str) -> None:
    head = class_head(pooling=pooling)
    tokens, inside = tokens_of(3, 2, 6, 5), torch.ones(3, 6).bool()
    inside[1, :2] = False
    junk = tokens.clone()
    junk[1, :, :2] = float("nan")
    torch.testing.assert_close(head(tokens, inside), head(junk, inside))
    short = head(tokens[1:2, :, 2:], inside[1:2, 2:])
    torch.testing.assert_close(head(tokens, inside)[1:2], short)


def test_the_mean_is_over_the_tokens_inside() -> None:
    head = class_head(pooling="mean")
    tokens, inside = tokens_of(2, 2, 6, 5), torch.ones(2, 6).bool()
    inside[1] = torch.tensor([False, False, False, True, True, True])
    mean = tokens[1, :, 3:].mean(1).flatten()
    expected = mean @ head.linear.weight.T + head.linear.bias
    torch.testing.assert_close(head(tokens, inside)[1], expected)
    inside[1] = False
    torch.testing.assert_close(head(tokens, inside)[1], head.linear.bias)


def test_a_token_is_inside_when_one_of_its_steps_is() -> None:
    inside = torch.tensor([[False, False, False, True, True], [True] * 5])
    assert token_inside(inside, 3, 2).tolist() == [[False, False, True], [True] * 3]
    inside[0, 3] = False
    assert token_inside(inside, 3, 2).tolist()[0] == [False, False, True]
    assert token_inside(inside, 5, 1).tolist() == inside.tolist()


def test_a_new_head_says_nothing_yet() -> None:
    head = ValueHead(ValueHeadConfig(d_model=5, n_tokens=4, loc=(0.0,), scale=(1.0,)))
    assert not head(tokens_of(2, 1, 4, 5), torch.ones(2, 4).bool()).any()
    assert not ReconstructionHead.on(tst())(tokens_of(2, 1, 4, 8), 4).any()


def test_the_sizes_of_tokens_are_those_of_the_encoder(make_timer: Callable[..., Timer]) -> None:
    timer = make_timer()
    assert TokenSizes.of(timer) == (16, 4, 1)
    assert TokenSizes.of(tst()) == (8, 1, 2)


def test_heads_are_saved_and_loaded_exactly(model: TimeSeriesModel, tmp_path: Path) -> None:
    save_pretrained(model, tmp_path)
    loaded = load_pretrained(tmp_path)
    assert set(loaded.heads) == {"reconstruction", "class", "ages"}
    for name, head in model.heads.items():
        assert type(loaded.heads[name]) is type(head)
        assert loaded.heads[name].config == head.config
        for key, value in head.state_dict().items():
            assert torch.equal(loaded.heads[name].state_dict()[key], value)
    for key, value in model.backbone.state_dict().items():
        assert torch.equal(loaded.backbone.state_dict()[key], value)
    assert not loaded.training
    card = (tmp_path / "README.md").read_text()
    assert "- head: ages, value" in card
    assert "Made for 2 channels" in card
    assert {file.name for file in tmp_path.iterdir()} == {
        "config.json",
        "model.safetensors",
        "README.md",
    }


def test_a_head_named_like_a_module_of_the_backbone_is_kept_apart(tmp_path: Path) -> None:
    backbone = tst()
    heads = {"embedding": drawn(ReconstructionHead.on(backbone))}
    save_pretrained(TimeSeriesModel("tst", backbone, 10, Provenance(), heads), tmp_path)
    loaded = load_pretrained(tmp_path)
    assert torch.equal(loaded.backbone.embedding.weight, backbone.embedding.weight)
    assert torch.equal(loaded.heads["embedding"].linear.weight, heads["embedding"].linear.weight)


def test_a_checkpoint_from_before_there_were_heads_is_loaded(tmp_path: Path) -> None:
    save_pretrained(TimeSeriesModel("tst", tst(), 10, Provenance()), tmp_path)
    file = tmp_path / "config.json"
    config = json.loads(file.read_text())
    assert config.pop("heads") == {}
    file.write_text(json.dumps(config))
    assert len(load_pretrained(tmp_path).heads) == 0
    assert len(load_pretrained("tsfm-small").heads) == 0


def test_weights_of_a_head_that_is_not_described_are_refused(
    model: TimeSeriesModel, tmp_path: Path
) -> None:
    save_pretrained(model, tmp_path)
    file = tmp_path / "config.json"
    config = json.loads(file.read_text())
    del config["heads"]["ages"]
    file.write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=r"must match its config(?s:.*)heads:ages:linear"):
        load_pretrained(tmp_path)


def test_an_unknown_kind_of_head_lists_the_known_ones(
    model: TimeSeriesModel, tmp_path: Path
) -> None:
    save_pretrained(model, tmp_path)
    file = tmp_path / "config.json"
    file.write_text(file.read_text().replace('"kind": "value"', '"kind": "vlaue"'))
    with pytest.raises(CheckpointError, match=r"head must be one of \[.*'value'.*got 'vlaue'"):
        load_pretrained(tmp_path)


def test_a_head_of_a_class_without_a_name_is_not_saved() -> None:
    assert {"class", "reconstruction", "value"} <= set(HEADS)
    with pytest.raises(ConfigError, match=r"must be one of \[.*'value'\], got Linear; register"):
        describe(nn.Linear(1, 1))


def test_a_model_that_does_not_forecast_says_so(model: TimeSeriesModel) -> None:
    assert model.patch_length == 1
    with pytest.raises(UnsupportedError, match="predicts the next patch to forecast, got 'tst'"):
        model.quantile_levels  # noqa: B018
