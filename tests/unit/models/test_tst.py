"""TST reads whole samples: padding must not count, missing values must, and sizes are published."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from tsfm.errors import ConfigError
from tsfm.models.backbone import BACKBONES, Encoder, NextPatchModel, count_parameters
from tsfm.models.layers.patching import to_patches
from tsfm.models.tst import TokenBatchNorm, Tst, TstConfig

Draw = Callable[..., Any]
NORMS = ["batch", "layer"]


def make(*, training: bool = False, **options: Any) -> Tst:
    """A small TST, none of whose weights is zero."""
    small: dict[str, Any] = {
        "n_channels": 2,
        "context_length": 30,
        "d_model": 16,
        "n_heads": 2,
        "n_layers": 2,
        "d_ff": 24,
        "dropout": 0.0,
    }
    model = Tst(TstConfig(**(small | options)))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0.0, 0.3, generator=generator)
    return model.train(training)


def padded(windows: Any, steps: int) -> tuple[Tensor, Tensor, Tensor]:
    """The same windows after so many steps of padding, in which numbers lie about."""
    values, observed, inside = windows
    junk = torch.full((len(values), steps, values.shape[2]), 7.0)
    return (
        torch.cat([junk, values], 1),
        torch.cat([torch.zeros_like(junk).bool(), observed], 1),
        nn.functional.pad(inside, (steps, 0)),
    )


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"n_channels": 9, "context_length": 24}, 401_792),
        ({"n_channels": 13, "context_length": 93, "d_model": 64}, 156_800),
    ],
)
def test_the_published_sizes_have_the_published_weights(
    options: dict[str, int], expected: int
) -> None:
    assert count_parameters(Tst(TstConfig(**options, missing="zero"))) == expected


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("patch_length", [1, 4])
def test_padding_counts_for_nothing(
    draw_windows: Draw, norm: str, training: bool, patch_length: int
) -> None:
    """In training too: the moments of a batch are those of its real steps."""
    model = make(norm=norm, training=training, patch_length=patch_length)
    windows = draw_windows(3, 20)
    short = model.encode(*windows)
    long = model.encode(*padded(windows, 8))
    torch.testing.assert_close(long[:, :, -short.shape[2] :], short)
    assert not long[:, :, : -short.shape[2]].any()


def test_tokens_outside_are_zero_whatever_the_head_makes_of_them(draw_windows: Draw) -> None:
    windows = draw_windows(4, 20, padding=6)
    tokens = make().encode(*windows)[:, 0]
    assert not tokens[~windows.inside].any()
    assert tokens[windows.inside].any(-1).all()


@pytest.mark.parametrize("missing", ["learned", "zero"])
def test_a_missing_step_is_attended_to_and_one_of_padding_is_not(
    draw_windows: Draw, missing: str
) -> None:
    model = make(missing=missing)
    values, observed, inside = draw_windows(3, 20, missing=0.0)
    observed[:, :5] = False
    as_missing = model.encode(values, observed, inside)[:, :, 5:]
    inside = inside.clone()
    inside[:, :5] = False
    as_padding = model.encode(values, observed, inside)[:, :, 5:]
    assert not torch.allclose(as_missing, as_padding)


def test_missing_looks_like_the_mean_only_as_published(draw_windows: Draw) -> None:
    values, observed, inside = draw_windows(3, 20, missing=0.0)
    holes = observed.clone()
    holes[:, 7] = False
    mean = torch.where(holes, values, 0.0)
    for missing, is_same in (("zero", True), ("learned", False)):
        model = make(missing=missing)
        told, hidden = model.encode(values, holes, inside), model.encode(mean, observed, inside)
        assert torch.equal(told, hidden) == is_same


def test_every_token_sees_later_steps_and_knows_its_place(draw_windows: Draw) -> None:
    model = make()
    values, observed, inside = draw_windows(2, 20, missing=0.0)
    before = model.encode(values, observed, inside)
    later = values.clone()
    later[:, -1] += 5
    after = model.encode(later, observed, inside)
    assert not torch.isclose(before[:, :, 0], after[:, :, 0]).all(-1).any()
    turned = model.encode(values.flip(1), observed, inside).flip(2)
    assert not torch.allclose(turned, before)


def test_layers_are_those_of_torch(draw_windows: Draw) -> None:
    """With layer normalisation the blocks are a post-norm transformer encoder with GELU."""
    model = make(norm="layer", missing="zero")
    theirs = nn.ModuleList(
        nn.TransformerEncoderLayer(16, 2, 24, dropout=0.0, activation="gelu", batch_first=True)
        for _ in model.blocks
    )
    for ours, layer in zip(model.blocks, theirs, strict=True):
        layer.self_attn.in_proj_weight, layer.self_attn.in_proj_bias = (
            ours.attention.qkv.parameters()
        )
        layer.self_attn.out_proj = ours.attention.output
        layer.linear1, layer.linear2 = ours.feed_forward.expand, ours.feed_forward.contract
        layer.norm1.load_state_dict(ours.attention_norm.state_dict())
        layer.norm2.load_state_dict(ours.feed_forward_norm.state_dict())
    values, observed, inside = draw_windows(4, 20, missing=0.0, padding=6)
    x = model.embedding(values) * 16**0.5 + model.positions[-20:]
    for layer in theirs.eval():
        x = layer(x, src_key_padding_mask=~inside)
    expected = nn.functional.gelu(x)[inside]
    found = model.encode(values, observed, inside)[:, 0][inside]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_batch_normalisation_is_that_of_torch_on_the_real_tokens(draw_windows: Draw) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(4, 20, 3, generator=generator) * 3 + 1
    inside = draw_windows(4, 20, padding=6).inside
    ours, theirs = TokenBatchNorm(3), nn.BatchNorm1d(3)
    found = ours(x, inside)
    torch.testing.assert_close(found[inside], theirs(x[inside]))
    torch.testing.assert_close(ours.running_var, theirs.running_var)
    assert not found[~inside].any()
    ours.eval()
    torch.testing.assert_close(ours(x, inside)[inside], theirs.eval()(x[inside]))


@pytest.mark.parametrize("n_tokens", [0, 1])
def test_a_batch_without_moments_is_normalised_by_the_running_ones(n_tokens: int) -> None:
    norm = TokenBatchNorm(3)
    inside = torch.arange(2)[None] >= 2 - n_tokens
    before = norm.running_mean.clone()
    found = norm(torch.ones(1, 2, 3), inside)
    assert torch.isfinite(found).all()
    assert torch.equal(norm.running_mean, before)


def test_drawing_anew_forgets_everything_and_draws_every_block_by_itself() -> None:
    model = make(training=True)
    model.encode(torch.randn(2, 9, 2), torch.ones(2, 9, 2).bool(), torch.ones(2, 9).bool())
    other = make()
    for one in (model, other):
        one.reset_parameters(torch.Generator().manual_seed(3))
    for name, value in model.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name
    first, second = (block.attention.qkv.weight for block in model.blocks)
    assert not torch.equal(first, second)
    assert model.positions.abs().max() <= 0.02
    assert model.positions.std() > 0.005


@pytest.mark.parametrize(
    ("channels", "time", "message"),
    [(3, 20, "got 3 channels and 20 steps"), (2, 31, "got 2 channels and 31 steps")],
)
def test_other_windows_than_it_is_made_for_are_refused(
    channels: int, time: int, message: str
) -> None:
    values = torch.zeros(1, time, channels)
    with pytest.raises(ConfigError, match=f"n_channels=2 and at most context_length=30.*{message}"):
        make().encode(values, values.bool(), torch.ones(1, time).bool())


def test_it_is_an_encoder_and_predicts_nothing() -> None:
    assert BACKBONES["tst"] is Tst
    assert isinstance(make(), Encoder)
    assert not isinstance(make(), NextPatchModel)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"d_model": 10, "n_heads": 4}, "d_model=10 and n_heads=4"),
        ({"norm": "group"}, "norm\n.*'batch' or 'layer'"),
        ({"n_channels": 0}, "n_channels\n.*greater than 0"),
        ({"dropout": 1.0}, "dropout\n.*less than 1"),
    ],
)
def test_a_wrong_configuration_says_what_is_wrong(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TstConfig(**{"n_channels": 1, "context_length": 8, **options})


@pytest.mark.parametrize("patch_length", [1, 3])
def test_a_kernel_reads_the_neighbours_and_no_farther(patch_length: int) -> None:
    """Without layers in between, a token depends on its own steps and two on either side."""
    model = make(kernel_length=5, n_layers=1, patch_length=patch_length, norm="layer")
    assert model.embedding.in_features == 2 * (patch_length + 4)
    values = torch.randn(1, 30, 2, generator=torch.Generator().manual_seed(1))
    windows = values, torch.ones(1, 30, 2).bool(), torch.ones(1, 30).bool()
    values.requires_grad_(True)
    read = model._seen(to_patches(*windows, patch_length).values)
    token = 4
    (gradient,) = torch.autograd.grad(read[0, token].sum(), values)
    steps = gradient[0, :, 0].nonzero().ravel().tolist()
    first = token * patch_length
    assert steps == list(range(first - 2, first + patch_length + 2))


def test_a_kernel_of_one_step_reads_patches_alone(draw_windows: Draw) -> None:
    windows = draw_windows(2, 20)
    with_neighbours = make(kernel_length=3)
    without = make()
    weight = with_neighbours.embedding.weight
    with torch.no_grad():
        for name in ("embedding", "missing"):
            wide, narrow = (getattr(m, name).weight for m in (with_neighbours, without))
            wide.zero_()
            wide[:, 1::3] = narrow
        state = {k: v for k, v in without.state_dict().items() if v.shape != weight.shape}
        state = {k: v for k, v in state.items() if not k.startswith(("embedding.w", "missing"))}
        with_neighbours.load_state_dict(state, strict=False)
    torch.testing.assert_close(with_neighbours.encode(*windows), without.encode(*windows))


def test_hidden_neighbours_do_not_reach_a_kernel(draw_windows: Draw) -> None:
    values, observed, inside = draw_windows(2, 20)
    model = make(kernel_length=7)
    noise = torch.where(observed, values, float("nan"))
    assert torch.equal(
        model.encode(noise, observed, inside), model.encode(values, observed, inside)
    )


def test_a_kernel_of_even_length_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"kernel_length must be odd.*, got 4"):
        make(kernel_length=4)


def test_attention_can_keep_its_weights_while_all_else_is_dropped() -> None:
    assert make(dropout=0.3).blocks[0].attention.dropout == 0.3
    block = make(dropout=0.3, attention_dropout=0.0).blocks[0]
    assert (block.attention.dropout, block.dropout.p) == (0.0, 0.3)


def test_positions_start_small_or_from_sines_as_large_as_the_tokens() -> None:
    drawn, sines = make(), make(positions="sinusoidal")
    for model in (drawn, sines):
        model.reset_parameters(torch.Generator().manual_seed(0))
    assert drawn.positions.abs().max() <= 0.02
    step = torch.arange(30)
    torch.testing.assert_close(sines.positions[:, 0], 4 * step.sin())
    torch.testing.assert_close(sines.positions[:, 3], 4 * (step * 10_000 ** (-2 / 16)).cos())
    # The same product for every pair of places at one distance.
    product = sines.positions @ sines.positions.T
    torch.testing.assert_close(product[0, 5], product[20, 25], rtol=1e-3, atol=1e-2)
