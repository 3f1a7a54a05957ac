"""What an objective shows a model and what it asks for must not overlap, or it learns to copy."""

from collections.abc import Callable

import pytest
import torch

from tsfm.models.backbone import PatchForecast
from tsfm.models.timer import Timer
from tsfm.objectives.next_patch import NextPatch, NextPatchConfig
from tsfm.series.windows import WindowBatch

PATCH = 4
MakeTimer = Callable[..., Timer]
MakeBatch = Callable[..., WindowBatch]


class Recorder(torch.nn.Module):
    """A model that keeps what it was shown."""

    def __init__(self, model: Timer) -> None:
        super().__init__()
        self.model, self.observed = model, torch.empty(0)
        self.patch_length, self.quantile_levels = model.patch_length, model.quantile_levels

    def forecast_patches(
        self, values: torch.Tensor, observed: torch.Tensor, inside: torch.Tensor
    ) -> PatchForecast:
        self.observed = observed
        return self.model.forecast_patches(values, observed, inside)

    def predict_next(
        self, values: torch.Tensor, observed: torch.Tensor, inside: torch.Tensor
    ) -> torch.Tensor:
        return self.model.predict_next(values, observed, inside)


def hidden_from(recorder: Recorder, batch: WindowBatch) -> torch.Tensor:
    """What was observed, yet not shown; the last patch is only a target."""
    return batch.observed[:, :-PATCH] & ~recorder.observed


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def replaced(batch: WindowBatch, values: torch.Tensor) -> WindowBatch:
    return WindowBatch(values, batch.observed, batch.inside, batch.item)


def test_hidden_values_do_not_reach_the_model_but_are_still_targets(
    make_timer: MakeTimer, make_batch: MakeBatch
) -> None:
    objective = NextPatch(NextPatchConfig(hidden_share=1.0))
    recorder, batch = Recorder(make_timer()), make_batch(missing=0.0)
    before = objective(recorder, batch, seeded())
    hidden = hidden_from(recorder, batch)
    assert hidden.any(dim=1).all()
    hidden = torch.nn.functional.pad(hidden, (0, 0, 0, PATCH))
    changed = replaced(batch, torch.where(hidden, batch.values + 0.5, batch.values))
    forecasts = [
        recorder.model.forecast_patches(
            b.values[:, :-PATCH], recorder.observed, b.inside[:, :-PATCH]
        )
        for b in (batch, changed)
    ]
    assert torch.equal(forecasts[0].values, forecasts[1].values)
    assert torch.equal(forecasts[0].loc, forecasts[1].loc)
    after = objective(recorder, changed, seeded())
    assert after.count == before.count
    assert after.total.item() != pytest.approx(before.total.item(), rel=1e-3)


def test_a_hidden_span_is_one_run_of_whole_patches_after_the_first(
    make_timer: MakeTimer, make_batch: MakeBatch
) -> None:
    recorder, batch = Recorder(make_timer()), make_batch(40, 42, missing=0.0)
    longest = 0
    for seed in range(5):
        objective = NextPatch(NextPatchConfig(hidden_share=1.0, longest_span=0.5))
        objective(recorder, batch, seeded(seed))
        hidden = hidden_from(recorder, batch)[..., 0]
        assert not hidden[:, :2].any()  # the first, incomplete patch
        tokens = hidden[2:, 2:].reshape(38, 9, PATCH)
        assert torch.equal(tokens.any(-1), tokens.all(-1))
        starts = tokens.all(-1).int().diff(dim=1, prepend=torch.zeros(38, 1)) == 1
        assert (starts.sum(1) == 1).all()
        longest = max(longest, int(tokens.all(-1).sum(1).max()))
    assert 3 <= longest <= 5


@pytest.mark.parametrize(("share", "low", "high"), [(0.0, 0, 0), (0.5, 60, 140), (1.0, 200, 200)])
def test_the_share_of_windows_with_a_hidden_span_is_as_asked(
    make_timer: MakeTimer, make_batch: MakeBatch, share: float, low: int, high: int
) -> None:
    recorder, batch = Recorder(make_timer()), make_batch(202, 16, missing=0.0)
    NextPatch(NextPatchConfig(hidden_share=share))(recorder, batch, seeded())
    hidden = hidden_from(recorder, batch)[2:].flatten(1).any(1)
    assert low <= hidden.sum() <= high


@pytest.mark.parametrize("length", [2, PATCH])
def test_a_window_of_one_patch_has_nothing_to_learn(
    make_timer: MakeTimer, make_batch: MakeBatch, length: int
) -> None:
    loss = NextPatch(NextPatchConfig())(make_timer(), make_batch(4, length), seeded())
    assert (loss.count, loss.total.item()) == (0, 0.0)
    loss.total.backward()


def test_a_window_of_two_patches_hides_nothing(
    make_timer: MakeTimer, make_batch: MakeBatch
) -> None:
    recorder, batch = Recorder(make_timer()), make_batch(4, 2 * PATCH, missing=0.0)
    NextPatch(NextPatchConfig(hidden_share=1.0))(recorder, batch, seeded())
    assert not hidden_from(recorder, batch).any()


@pytest.mark.parametrize(
    ("context_length", "n_read"),
    [(None, 22), (40, 22), (22, 22), (21, 18), (12, 10), (2, 2), (1, -2)],
)
def test_only_the_context_is_read_and_the_rest_are_targets(
    make_timer: MakeTimer, make_batch: MakeBatch, context_length: int | None, n_read: int
) -> None:
    recorder, batch = Recorder(make_timer()), make_batch(length=26, missing=0.0)
    loss = NextPatch(NextPatchConfig(context_length=context_length))(recorder, batch, seeded())
    if n_read < 1:
        assert loss.count == 0
    else:
        assert recorder.observed.shape[1] == n_read
    if n_read == 10:
        # Three tokens of two rows, one of a row that starts late, none of one with a single value;
        # each with two patches of four steps after it.
        assert loss.count == (2 * 3 + 1 + 0) * 8


@pytest.mark.parametrize("normalization", ["causal", "window"])
def test_the_last_patch_is_a_target_that_no_forecast_knows(
    make_timer: MakeTimer, make_batch: MakeBatch, normalization: str
) -> None:
    """As released: statistics of the whole window are those of the context, not of its target."""
    model, batch = make_timer(normalization=normalization), make_batch(missing=0.0)
    seen: list[torch.Tensor] = []

    class Witness(Recorder):
        def forecast_patches(self, *windows: torch.Tensor) -> PatchForecast:
            forecast = super().forecast_patches(*windows)
            seen.append(forecast.in_input_units())
            return forecast

    last = torch.arange(batch.values.shape[1]) >= batch.values.shape[1] - PATCH
    changed = replaced(batch, torch.where(last[:, None], batch.values + 7.0, batch.values))
    losses = [
        NextPatch(NextPatchConfig())(Witness(model), one, seeded()) for one in (batch, changed)
    ]
    assert torch.equal(*seen)
    assert losses[0].total.item() != losses[1].total.item()


def test_what_is_not_observed_is_neither_seen_nor_a_target(
    make_timer: MakeTimer, make_batch: MakeBatch
) -> None:
    model, batch = make_timer(), make_batch()
    objective = NextPatch(NextPatchConfig())
    before = objective(model, batch, seeded())
    noise = torch.where(batch.observed, batch.values, float("nan"))
    after = objective(model, replaced(batch, noise), seeded())
    assert after.count == before.count
    assert torch.equal(after.total, before.total)
