"""The published task, kept as it is released: one segment after the other, from the past alone."""

from typing import Any

import pytest
import torch

from tsfm.errors import DataError
from tsfm.models.timer import Timer, TimerConfig
from tsfm.objectives.denoise_segments import DenoiseSegments, DenoiseSegmentsConfig, denoise
from tsfm.series.windows import WindowBatch

PATCH = 4


def make_model(normalization: Any = "window") -> Timer:
    model = Timer(
        TimerConfig(
            patch_length=PATCH,
            d_model=8,
            n_heads=2,
            n_layers=1,
            d_ff=8,
            quantile_levels=(),
            normalization=normalization,
            positions="sinusoidal",
            embedding="linear",
            norm_first=False,
            bias=True,
            arcsinh=False,
        )
    )
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0.0, 0.3, generator=generator)
    return model.eval()


def make_batch(time: int = 32) -> WindowBatch:
    values = torch.randn(5, time, 2, generator=torch.Generator().manual_seed(1)).cumsum(1)
    full = torch.ones_like(values, dtype=torch.bool)
    return WindowBatch(values, full, full[..., 0], torch.arange(5))


def test_a_segment_is_what_the_token_before_it_says() -> None:
    model, batch = make_model(), make_batch()
    found = denoise(model, batch.values, batch.observed, batch.inside)
    expected = model.predict_next(batch.values, batch.observed, batch.inside)
    torch.testing.assert_close(found[:, PATCH:], expected[:, :-PATCH])
    assert not found[:, :PATCH].any()


def test_the_loss_is_the_squared_error_of_hidden_segments() -> None:
    model, batch = make_model(), make_batch()
    objective = DenoiseSegments(DenoiseSegmentsConfig(hidden_shares=(1.0,)))
    found = objective(model, batch, torch.Generator().manual_seed(0))
    visible = torch.zeros_like(batch.observed)
    visible[:, :PATCH] = True
    denoised = denoise(model, batch.values, visible, batch.inside)
    expected = (denoised - batch.values)[:, PATCH:].square().mean()
    torch.testing.assert_close(found.total, expected)
    assert found.count == batch.values[:, PATCH:].numel()


def test_with_causal_statistics_the_future_of_a_segment_has_no_say() -> None:
    model, batch = make_model("causal"), make_batch()
    later = batch.values.clone()
    later[:, 20:] += 5
    before, after = (
        denoise(model, one, batch.observed, batch.inside) for one in (batch.values, later)
    )
    torch.testing.assert_close(before[:, :20], after[:, :20])
    assert not torch.allclose(before[:, 24:], after[:, 24:])


def test_a_window_of_broken_segments_is_refused() -> None:
    batch = make_batch(30)
    with pytest.raises(DataError, match="whole segments of 4 steps, got 30 steps; use window_leng"):
        denoise(make_model(), batch.values, batch.observed, batch.inside)
