"""The loss is what a model becomes: a shifted target or a wrong weight would train nonsense."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from sklearn.metrics import mean_pinball_loss

from tsfm.errors import ConfigError
from tsfm.models.backbone import PatchForecast
from tsfm.models.layers.patching import following_patches, to_patches
from tsfm.models.timer import Timer
from tsfm.objectives.next_patch import (
    LARGEST_TARGET,
    LEAST_SPREAD,
    NextPatch,
    NextPatchConfig,
    normalized,
    pinball,
    sureness,
)
from tsfm.objectives.objective import OBJECTIVES, Objective
from tsfm.series.windows import WindowBatch

PATCH = 4
LEVELS = (0.1, 0.5, 0.8)
MakeTimer = Callable[..., Timer]
MakeBatch = Callable[..., WindowBatch]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def shown(batch: WindowBatch) -> tuple[torch.Tensor, ...]:
    """All but the last patch."""
    return tuple(one[:, :-PATCH] for one in (batch.values, batch.observed, batch.inside))


def fixed_weights_loss(model: Timer, batch: WindowBatch, weights: torch.Tensor) -> float:
    """The mean loss with weights that are given by row and token."""
    forecast = model.forecast_patches(*shown(batch))
    target = normalized(following(batch.values, forecast), forecast)
    known = following(batch.observed.float(), forecast) > 0
    known &= (forecast.scale > 0)[..., None]
    known &= to_patches(*shown(batch), PATCH).inside[..., None]
    loss = pinball(target[:, :, :, None] - forecast.values, torch.tensor(LEVELS))
    weight = (known * weights).double()
    return float((weight * loss).sum() / weight.sum())


def following(steps: torch.Tensor, forecast: PatchForecast) -> torch.Tensor:
    whole = to_patches(steps, torch.ones_like(steps) > 0, torch.ones(steps.shape[:2]) > 0, PATCH)
    return following_patches(whole.values, 2)[:, :, : forecast.loc.shape[2]]


def by_hand(
    model: Timer, batch: WindowBatch, units: str, weights: str = "even"
) -> tuple[float, int]:
    """The mean loss with loops over rows, tokens, steps ahead and levels."""
    forecast = model.forecast_patches(*shown(batch))
    raw = forecast.in_input_units() if units == "input" else forecast.values
    predicted = raw.detach().double().numpy()
    loc, scale = (x.double().numpy() for x in (forecast.loc, forecast.scale))
    values, observed = batch.values[..., 0].double().numpy(), batch.observed[..., 0].numpy()
    n_rows, length = values.shape
    padding = -length % PATCH
    in_scales = forecast.values.detach().double().numpy()[:, 0]
    width_in_scales = in_scales[:, :, -1] - in_scales[:, :, 0]
    losses, of_losses = [], []
    for row in range(n_rows):
        for token in range((length + padding) // PATCH - 1):
            end = (token + 1) * PATCH - padding
            if not batch.inside[row, :end][-PATCH:].any():
                continue
            if units == "normalized" and scale[row, 0, token] == 0:
                continue
            for ahead in range(predicted.shape[-1]):
                if end + ahead >= length or not observed[row, end + ahead]:
                    continue
                target = values[row, end + ahead]
                if units == "normalized":
                    target = (target - loc[row, 0, token]) / scale[row, 0, token]
                    target = np.arcsinh(target) if forecast.is_arcsinh else target
                    target = min(max(target, -LARGEST_TARGET), LARGEST_TARGET)
                errors = target - predicted[row, 0, token, :, ahead]
                if model.quantile_levels:
                    parts = [
                        level * error if error > 0 else (level - 1) * error
                        for level, error in zip(LEVELS, errors, strict=True)
                    ]
                    losses.append(sum(parts) / len(parts))
                else:
                    losses.append(errors[0] ** 2)
                width = np.maximum(width_in_scales[row, token], 0).mean()
                sure = 1 / (width + LEAST_SPREAD)
                of_losses.append(sure if weights == "sure" else 1.0)
    return float(np.average(losses, weights=of_losses)), len(losses)


@pytest.mark.parametrize("units", ["normalized", "input"])
@pytest.mark.parametrize(
    "options",
    [{}, {"quantile_levels": ()}, {"normalization": "window"}, {"arcsinh": False}],
    ids=["ours", "point", "window", "without arcsinh"],
)
@pytest.mark.parametrize("length", [24, 26])
def test_the_loss_equals_plain_loops(
    make_timer: MakeTimer, make_batch: MakeBatch, units: Any, options: dict[str, Any], length: int
) -> None:
    model, batch = make_timer(**options), make_batch(length=length)
    loss = NextPatch(NextPatchConfig(units=units))(model, batch, seeded())
    expected, count = by_hand(model, batch, units)
    assert loss.count == count
    assert loss.total.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("units", ["normalized", "input"])
def test_by_sureness_narrow_forecasts_weigh_more(
    make_timer: MakeTimer, make_batch: MakeBatch, units: Any
) -> None:
    model, batch = make_timer(), make_batch()
    loss = NextPatch(NextPatchConfig(units=units, weights="sure"))(model, batch, seeded())
    expected, count = by_hand(model, batch, units, weights="sure")
    even, _ = by_hand(model, batch, units)
    assert loss.count == count
    assert loss.total.item() == pytest.approx(expected, rel=1e-5)
    assert loss.total.item() != pytest.approx(even, rel=1e-3)


def test_weights_teach_nothing_themselves(make_timer: MakeTimer, make_batch: MakeBatch) -> None:
    """Else a model could lower its loss by being unsure of what is hard."""
    model, batch = make_timer(), make_batch()
    parameters = list(model.parameters())
    objective = NextPatch(NextPatchConfig(weights="sure"))
    found = torch.autograd.grad(objective(model, batch, seeded()).total, parameters)
    step, change = 1e-3, 0.0
    kept = sureness(model.forecast_patches(*shown(batch)).values).detach()
    for moved in (step, -step):
        with torch.no_grad():
            for parameter, gradient in zip(parameters, found, strict=True):
                parameter += moved * gradient
            change += np.sign(moved) * fixed_weights_loss(model, batch, kept)
            for parameter, gradient in zip(parameters, found, strict=True):
                parameter -= moved * gradient
    squared = sum(gradient.square().sum().item() for gradient in found)
    assert change / (2 * step) == pytest.approx(squared, rel=0.02)


def test_a_point_model_has_no_sureness(make_timer: MakeTimer, make_batch: MakeBatch) -> None:
    model = make_timer(quantile_levels=())
    with pytest.raises(ConfigError, match=r"set objective\.config\.weights to 'even'"):
        NextPatch(NextPatchConfig(weights="sure"))(model, make_batch(), seeded())


def test_the_pinball_loss_is_that_of_scikit_learn(generator: np.random.Generator) -> None:
    target, predicted = generator.normal(size=60), generator.normal(size=(3, 60))
    error = torch.from_numpy(target - predicted).reshape(1, 1, 1, 3, 60)
    found = pinball(error, torch.tensor(LEVELS, dtype=torch.float64)).mean().item()
    expected = [
        mean_pinball_loss(target, row, alpha=level)
        for level, row in zip(LEVELS, predicted, strict=True)
    ]
    assert found == pytest.approx(np.mean(expected))


def test_nothing_observed_is_a_loss_of_zero_that_trains_nothing(
    make_timer: MakeTimer, make_batch: MakeBatch
) -> None:
    model, batch = make_timer(), make_batch(missing=1.1)
    loss = NextPatch(NextPatchConfig())(model, batch, seeded())
    assert (loss.total.item(), loss.count) == (0.0, 0)
    loss.total.backward()
    for parameter in model.parameters():
        assert parameter.grad is None or not parameter.grad.any()


@pytest.mark.parametrize("units", ["normalized", "input"])
@pytest.mark.parametrize("normalization", ["causal", "window"])
def test_tokens_of_padding_are_not_trained(
    make_timer: MakeTimer, make_batch: MakeBatch, units: Any, normalization: str
) -> None:
    """With whole-window statistics they would have a scale, and learn to forecast from nothing."""
    model, batch = make_timer(normalization=normalization), make_batch(2, 24)
    objective = NextPatch(NextPatchConfig(units=units))
    padded = WindowBatch(
        *(torch.nn.functional.pad(x, (0, 0, 8, 0)) for x in (batch.values, batch.observed)),
        torch.nn.functional.pad(batch.inside, (8, 0)),
        batch.item,
    )
    before, after = (objective(model, b, seeded()) for b in (batch, padded))
    assert after.count == before.count
    torch.testing.assert_close(after.total, before.total)


def test_the_same_generator_gives_the_same_loss(
    make_timer: MakeTimer, make_batch: MakeBatch
) -> None:
    model, batch = make_timer(), make_batch()
    objective = NextPatch(NextPatchConfig(hidden_share=0.5))
    first, again, other = (objective(model, batch, seeded(seed)).total for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_perfect_forecast_has_no_loss(make_batch: MakeBatch) -> None:
    batch = make_batch(missing=0.0)

    class Oracle:
        patch_length, quantile_levels = PATCH, LEVELS

        def forecast_patches(
            self, values: torch.Tensor, observed: torch.Tensor, inside: torch.Tensor
        ) -> PatchForecast:
            following = batch.values[:, 2:, 0]
            tokens = following.reshape(4, 6, PATCH)[:, None, :, None].expand(4, 1, 6, 3, PATCH)
            statistics = torch.zeros(4, 1, 6), torch.ones(4, 1, 6)
            return PatchForecast(tokens, *statistics, is_arcsinh=False)

        def predict_next(self, *windows: torch.Tensor) -> torch.Tensor:
            raise NotImplementedError

    loss = NextPatch(NextPatchConfig())(Oracle(), batch, seeded())
    assert loss.count > 0
    assert loss.total.item() == 0.0


def test_only_supervised_steps_are_targets(make_timer: MakeTimer, make_batch: MakeBatch) -> None:
    model, batch = make_timer(n_output_patches=1), make_batch(missing=0.0)
    late = torch.arange(26)[:, None] >= 22
    asked = dataclasses.replace(batch, supervised=batch.observed & late)
    before = NextPatch(NextPatchConfig())(model, asked, seeded())
    assert before.count == 4 * 4
    early = torch.arange(26)[:, None] < 18
    same = dataclasses.replace(asked, supervised=None)
    everything = NextPatch(NextPatchConfig())(model, same, seeded())
    assert everything.count > before.count
    moved = dataclasses.replace(asked, supervised=batch.observed & early)
    assert NextPatch(NextPatchConfig())(model, moved, seeded()).total != before.total


def test_targets_far_away_are_cut() -> None:
    target = torch.tensor([[[[1e9, -1e9, 1.5, 0.0]]]])
    one = torch.ones(1, 1, 1)
    forecast = PatchForecast(torch.zeros(1, 1, 1, 1, 4), one, one / 2, is_arcsinh=False)
    found = normalized(target, forecast).flatten().tolist()
    assert found == [LARGEST_TARGET, -LARGEST_TARGET, 1.0, -2.0]


def test_it_is_registered_with_what_it_needs(make_timer: MakeTimer) -> None:
    assert OBJECTIVES["next_patch"] is NextPatch
    objective = NextPatch(NextPatchConfig())
    assert isinstance(objective, Objective)
    assert isinstance(make_timer(), objective.requires)
    assert not isinstance(torch.nn.Linear(1, 1), objective.requires)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden_share": 1.5}, "hidden_share\n.*less than or equal to 1"),
        ({"hidden_share": -0.1}, "hidden_share\n.*greater than or equal to 0"),
        ({"longest_span": 0.0}, "longest_span\n.*greater than 0"),
        ({"units": "raw"}, "units\n.*'normalized' or 'input'"),
    ],
)
def test_a_wrong_configuration_says_what_is_wrong(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        NextPatchConfig(**options)
