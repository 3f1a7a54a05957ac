"""What every backbone must keep, so that objectives, tasks and checkpoints need to know none.

A backbone that is registered is tested here; one whose config has words that are not in `WORDS`
adds them, or gives its own in `OPTIONS`.
"""

import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tsfm.models.backbone import BACKBONES, Encoder, GapFiller, NextPatchModel
from tsfm.models.model import Provenance, TimeSeriesModel
from tsfm.models.pretrained import load_pretrained, save_pretrained
from tsfm.registry import discover

discover("tsfm.models")
NAMES = list(BACKBONES)
# One concept, one word: small values of the words that configs share.
WORDS: dict[str, Any] = {
    "patch_length": 4,
    "context_length": 40,
    "n_channels": 2,
    "d_model": 16,
    "d_ff": 24,
    "n_heads": 2,
    "n_layers": 2,
    "n_output_patches": 2,
    "quantile_levels": (0.1, 0.5, 0.9),
    "normalization": "causal",
    "dropout": 0.0,
}
OPTIONS: dict[str, dict[str, Any]] = {"gpht": {"pools": (4, 2, 1)}, "tst": {"n_channels": 2}}
LONGEST = WORDS["context_length"]


class Windows(NamedTuple):
    values: Tensor
    observed: Tensor
    inside: Tensor

    def rows(self, index: Any) -> "Windows":
        return Windows(*(x[index] for x in self))

    def with_values(self, values: Tensor) -> "Windows":
        return self._replace(values=values)


def make(name: str) -> Any:
    """A small backbone in evaluation mode, none of whose weights is zero."""
    backbone_class = BACKBONES[name]
    words = {field.name for field in dataclasses.fields(backbone_class.Config)}
    config = {word: value for word, value in WORDS.items() if word in words}
    backbone = backbone_class(backbone_class.Config(**config | OPTIONS.get(name, {})))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in backbone.parameters():
            parameter.normal_(0.0, 0.3, generator=generator)
    return backbone.eval()


def draw(backbone: Any, batch: int = 3, length: int = 30, channels: int = 2) -> Windows:
    """Random walks with missing values; every other row starts late."""
    # What mixes channels is made for a number of them.
    channels = getattr(backbone.config, "n_channels", channels)
    generator = torch.Generator().manual_seed(100 * length + batch)
    values = torch.randn(batch, length, channels, generator=generator).cumsum(1)
    inside = torch.ones(batch, length, dtype=torch.bool)
    inside[1::2, : length // 3] = False
    observed = torch.rand(values.shape, generator=generator) < 0.8
    observed &= inside[..., None]
    return Windows(values * observed, observed, inside)


def outputs(backbone: Any, windows: Windows) -> dict[str, Tensor]:
    """Everything that a backbone says about windows, batch first."""
    said: dict[str, Tensor] = {}
    if isinstance(backbone, Encoder):
        said["tokens"] = backbone.encode(*windows)
    if isinstance(backbone, NextPatchModel):
        forecast = backbone.forecast_patches(*windows)
        said |= {"normalised": forecast.values, "forecast": forecast.in_input_units()}
        said["next"] = backbone.predict_next(*windows)
    if isinstance(backbone, GapFiller):
        said["filled"] = backbone.fill(*windows).quantiles
    return said


def test_the_registry_is_not_empty() -> None:
    assert "timer" in NAMES


@pytest.mark.parametrize("name", NAMES)
def test_it_offers_a_protocol_and_its_own_config(name: str) -> None:
    backbone = make(name)
    assert isinstance(backbone, Encoder | NextPatchModel)
    assert isinstance(backbone, torch.nn.Module)
    assert isinstance(backbone.config, BACKBONES[name].Config)


@pytest.mark.parametrize("name", NAMES)
@given(batch=st.integers(1, 4), length=st.integers(1, LONGEST), channels=st.integers(1, 3))
@settings(max_examples=20)
def test_shapes(name: str, batch: int, length: int, channels: int) -> None:
    backbone = make(name)
    windows = draw(backbone, batch, length, channels)
    said = outputs(backbone, windows)
    channels = windows.values.shape[2]
    patch = getattr(backbone, "patch_length", 1)
    n_tokens = -(-length // patch)
    if "tokens" in said:
        assert said["tokens"].shape[0] == batch
        assert said["tokens"].shape[1] in (1, channels)
        assert said["tokens"].shape[2] == n_tokens
    if "next" in said:
        n_quantiles = max(1, len(backbone.quantile_levels))
        assert said["next"].shape == windows.values.shape
        assert said["forecast"].shape[:4] == (batch, channels, n_tokens, n_quantiles)
        ahead = said["forecast"].shape[4]
        assert ahead >= patch
        assert ahead % patch == 0
    if "filled" in said:
        n_levels = len(backbone.quantile_levels)
        assert said["filled"].shape == (batch, n_levels, length, channels)
    for value in said.values():
        assert torch.isfinite(value).all()


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_draws_the_same_weights(name: str) -> None:
    first, second = make(name), make(name)
    with torch.no_grad():
        for parameter in second.parameters():
            parameter.fill_(9.0)
    for backbone in (first, second):
        backbone.reset_parameters(torch.Generator().manual_seed(1))
    for key, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[key]), key
    second.reset_parameters(torch.Generator().manual_seed(2))
    pairs = zip(first.parameters(), second.parameters(), strict=True)
    assert any(not torch.equal(one, other) for one, other in pairs)


@pytest.mark.parametrize("name", NAMES)
def test_a_row_does_not_depend_on_the_other_rows(name: str) -> None:
    backbone = make(name)
    windows = draw(backbone, 4)
    together = outputs(backbone, windows)
    shuffled = outputs(backbone, windows.rows([2, 0, 3, 1]))
    for key, value in together.items():
        torch.testing.assert_close(shuffled[key], value[[2, 0, 3, 1]], msg=key)
    for row in range(4):
        for key, value in outputs(backbone, windows.rows([row])).items():
            torch.testing.assert_close(value, together[key][[row]], msg=key)


@pytest.mark.parametrize("name", NAMES)
def test_saved_and_loaded_it_says_exactly_the_same(name: str, tmp_path: Path) -> None:
    backbone = make(name)
    windows = draw(backbone)
    save_pretrained(TimeSeriesModel(name, backbone, LONGEST, Provenance()), tmp_path)
    loaded = load_pretrained(tmp_path).backbone
    assert loaded.config == backbone.config
    before, after = (outputs(one, windows) for one in (backbone, loaded))
    for key, value in before.items():
        assert torch.equal(value, after[key]), key


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_receives_a_gradient(name: str) -> None:
    backbone = make(name)
    generator = torch.Generator().manual_seed(2)
    loss = torch.zeros(())
    for value in outputs(backbone, draw(backbone)).values():
        loss = loss + (value * torch.randn(value.shape, generator=generator)).sum()
    loss.backward()
    without = [
        key
        for key, parameter in backbone.named_parameters()
        if parameter.grad is None or not parameter.grad.any()
    ]
    assert without == []


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("number", [1.0, -1e30, float("nan"), float("inf")])
def test_what_is_not_observed_has_no_influence(name: str, number: float) -> None:
    backbone = make(name)
    windows = draw(backbone)
    assert not windows.observed[windows.inside].all()
    other = windows.with_values(torch.where(windows.observed, windows.values, number))
    before, after = (outputs(backbone, one) for one in (windows, other))
    for key, value in before.items():
        assert torch.equal(value, after[key]), key


@pytest.mark.parametrize("name", NAMES)
def test_what_is_observed_has_influence(name: str) -> None:
    """Otherwise every test of what has none would pass."""
    backbone = make(name)
    windows = draw(backbone)
    generator = torch.Generator().manual_seed(3)
    noise = torch.randn(windows.values.shape, generator=generator)
    before, after = (
        outputs(backbone, one) for one in (windows, windows.with_values(windows.values + noise))
    )
    for key, value in before.items():
        assert not torch.allclose(value, after[key]), key


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("length", [28, 30])
def test_a_change_after_a_patch_alters_nothing_up_to_it(name: str, length: int) -> None:
    backbone = make(name)
    windows = draw(backbone, length=length)
    if not isinstance(backbone, NextPatchModel):
        pytest.skip("only what predicts the next patch must not look ahead")
    patch = backbone.patch_length
    before = outputs(backbone, windows)
    first_end = length % patch or patch
    for token, end in enumerate(range(first_end, length, patch)):
        later = windows.values.clone()
        later[:, end:] = 100 - 7 * later[:, end:]
        observed = windows.observed.clone()
        observed[:, end:] = ~observed[:, end:] & windows.inside[:, end:, None]
        after = outputs(backbone, Windows(later, observed, windows.inside))
        for key in ("normalised", "forecast"):
            torch.testing.assert_close(
                after[key][:, :, : token + 1], before[key][:, :, : token + 1], msg=key
            )
            assert not torch.allclose(after[key], before[key]), key
        torch.testing.assert_close(after["next"][:, :end], before["next"][:, :end])
