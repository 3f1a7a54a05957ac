"""The task must ask for what cannot be seen: as released, its inputs hold the answer."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from tsfm.errors import ConfigError
from tsfm.models.sspt import Sspt
from tsfm.series.windows import WindowBatch
from tsfm.stocks.moving_average import MovingAverage, MovingAverageConfig, draw_hidden
from tsfm.stocks.panel import StockBatch

SPANS = (3, 5, 1)


class Recorder:
    """An encoder that keeps what it is shown."""

    def __init__(self, backbone: Sspt) -> None:
        self.config = backbone.config
        self._backbone = backbone
        self.seen: tuple[Tensor, Tensor, Tensor] | None = None

    def encode(self, values: Tensor, observed: Tensor, inside: Tensor) -> Tensor:
        self.seen = (values, observed, inside)
        return self._backbone.encode(values, observed, inside)


def shown(
    backbone: Sspt, batch: WindowBatch, **options: object
) -> tuple[MovingAverage, Tensor, object]:
    recorder = Recorder(backbone)
    objective = MovingAverage(MovingAverageConfig(spans=SPANS, **options), recorder)  # type: ignore[arg-type]
    loss = objective(recorder, batch, torch.Generator().manual_seed(0))
    assert recorder.seen is not None
    return objective, recorder.seen[1], loss


def whole(batch: StockBatch) -> WindowBatch:
    """The same windows without gaps, so that what is missing was hidden."""
    ones = torch.ones_like
    return replace(batch, observed=ones(batch.observed), inside=ones(batch.inside))


def test_the_exact_number_of_days_is_hidden() -> None:
    days = torch.ones(500, 20, dtype=torch.bool)
    days[::2, :10] = False
    hidden = draw_hidden(days, 0.3, torch.Generator().manual_seed(0))
    assert not (hidden & ~days).any()
    assert (hidden[1::2].sum(-1) == 6).all()
    assert (hidden[::2].sum(-1) == 3).all()
    share = hidden[1::2].float().mean(0)
    assert (share - 0.3).abs().max() < 0.12


def test_hidden_days_take_their_averages_with_them_and_the_last_day_stays(
    backbone: Sspt, batch: StockBatch
) -> None:
    full = whole(batch)
    _, visible, _ = shown(backbone, full)
    hidden = ~visible[..., -1]
    assert (hidden.sum(-1) == 2).all()
    assert not hidden[:, -1].any()
    for channel, span in enumerate(SPANS):
        for day in range(8):
            touched = hidden[:, max(0, day + 1 - span) : day + 1].any(-1)
            assert torch.equal(visible[:, day, channel], ~touched)


def test_days_are_hidden_anew_every_time(backbone: Sspt, batch: StockBatch) -> None:
    recorder = Recorder(backbone)
    objective = MovingAverage(MovingAverageConfig(spans=SPANS), recorder)
    generator, seen = torch.Generator().manual_seed(0), []
    for _ in range(2):
        objective(recorder, whole(batch), generator)
        assert recorder.seen is not None
        seen.append(recorder.seen[1])
    assert not torch.equal(*seen)


def test_the_target_is_the_hidden_mean_relative_to_the_last_day(
    backbone: Sspt, batch: StockBatch
) -> None:
    full = whole(batch)
    _, visible, loss = shown(backbone, full)  # a new head says zero
    closes, hidden = full.values[..., -1], ~visible[..., -1]
    target = (closes * hidden).sum(-1) / hidden.sum(-1) - closes[:, -1]
    assert loss.total.item() == pytest.approx(target.square().mean().item(), rel=1e-5)  # type: ignore[attr-defined]
    parts = loss.parts  # type: ignore[attr-defined]
    assert parts["last_value_error"].item() == pytest.approx(loss.total.item(), rel=1e-5)  # type: ignore[attr-defined]
    seen = (closes * ~hidden).sum(-1) / (~hidden).sum(-1) - closes[:, -1]
    expected = (seen - target).square().mean().item()
    assert parts["visible_mean_error"].item() == pytest.approx(expected, rel=1e-4)
    spread = target.var(unbiased=False).item()
    assert parts["batch_mean_error"].item() == pytest.approx(spread, rel=1e-4)


def test_a_new_level_changes_nothing_but_in_the_released_task(
    backbone: Sspt, batch: StockBatch
) -> None:
    full = whole(batch)
    shifted = replace(full, values=full.values + 5.0)
    for released, moves in ((False, False), (True, True)):
        losses = [
            shown(backbone, one, released=released)[2].parts["last_value_error"].item()  # type: ignore[attr-defined]
            for one in (full, shifted)
        ]
        if not moves:
            assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    totals = [shown(backbone, one, released=True)[2].total.item() for one in (full, shifted)]  # type: ignore[attr-defined]
    assert totals[1] > 2 * totals[0]


def test_the_released_task_hides_cells_and_asks_for_the_mean_of_all_days(
    backbone: Sspt, batch: StockBatch
) -> None:
    full = whole(batch)
    _, visible, loss = shown(backbone, full, released=True)
    hidden = ~visible
    assert (hidden.sum(1) == 2).all()
    assert not torch.equal(hidden[..., 0], hidden[..., 1])
    target = full.values[..., -1].mean(-1)
    assert loss.total.item() == pytest.approx(target.square().mean().item(), rel=1e-5)  # type: ignore[attr-defined]


def test_windows_whose_last_close_is_missing_do_not_count(
    backbone: Sspt, batch: StockBatch
) -> None:
    full = whole(batch)
    observed = full.observed.clone()
    observed[0, -1] = False
    _, _, loss = shown(backbone, replace(full, observed=observed))
    assert loss.count == len(full) - 1  # type: ignore[attr-defined]


def test_spans_of_other_features_are_refused(backbone: Sspt, batch: StockBatch) -> None:
    objective = MovingAverage(MovingAverageConfig(), backbone)
    with pytest.raises(ConfigError, match="spans must name the days of every feature, got 5 for 3"):
        objective(backbone, batch, torch.Generator())
