"""A token that is told its season must be told by the past alone, on any level, scale and trend."""

import pytest
import torch
from torch import Tensor

from tsfm.models.layers import token_seasons as layer
from tsfm.models.layers.token_seasons import PERIODS, TokenSeasons, token_seasons

PATCH, HORIZON = 8, 20


def _seasonal(period: int, n_steps: int = 480, *, noise: float = 0.2) -> Tensor:
    """Two rows of two channels, with the same period and other shapes."""
    generator = torch.Generator().manual_seed(period)
    shape = torch.randn(2, 2, period, generator=generator)
    wave = shape.repeat(1, 1, -(-n_steps // period))[..., :n_steps]
    return wave + noise * torch.randn(2, 2, n_steps, generator=generator)


def _find(values: Tensor, observed: Tensor | None = None) -> TokenSeasons:
    observed = torch.ones_like(values).bool() if observed is None else observed
    return token_seasons(values, observed, patch_length=PATCH, horizon=HORIZON)


def _gaps(share: float, n_steps: int = 480) -> Tensor:
    return torch.rand(2, 2, n_steps, generator=torch.Generator().manual_seed(1)) > share


def test_every_token_is_told_of_every_step_that_it_forecasts() -> None:
    found = _find(_seasonal(12))
    for part in (found.mean, found.latest, found.deviation):
        assert part.shape == (2, 2, 60, HORIZON)
    assert found.share.shape == found.period.shape == (2, 2, 60)
    assert ((found.share >= 0) & (found.share <= 1)).all()


@pytest.mark.parametrize("period", [4, 7, 24, 52, 96, 168])
def test_the_period_is_found_once_two_seasons_and_some_steps_are_known(period: int) -> None:
    found = _find(_seasonal(period, 8 * 60 if period < 100 else 8 * 100))
    assert (found.period[..., -1] == period).all()
    assert (found.share[..., -1] > 0.8).all()
    before = 2 * period // PATCH - 1
    assert (found.period[..., :before] != period).all()


def test_the_step_of_each_season_is_the_one_that_was_asked_for() -> None:
    step = torch.arange(480.0)
    values = ((step % 13) ** 2)[None, None]
    found = _find(values)
    ahead = (((479 + 1 + torch.arange(HORIZON)) % 13) ** 2).float()
    torch.testing.assert_close(found.mean[0, 0, -1], ahead, atol=1e-3, rtol=1e-4)
    torch.testing.assert_close(found.latest[0, 0, -1], ahead, atol=1e-3, rtol=1e-4)
    assert (found.deviation[0, 0, -1] < 1e-2).all()


def test_a_trend_is_held_where_it_ended() -> None:
    step = torch.arange(480.0)
    season = torch.sin(2 * torch.pi * step / 12)
    found = _find((season + 0.1 * step)[None, None])
    assert found.period[0, 0, -1] == 12
    ahead = torch.sin(2 * torch.pi * (480 + torch.arange(HORIZON)) / 12) + 0.1 * 479
    torch.testing.assert_close(found.mean[0, 0, -1], ahead, atol=1e-3, rtol=1e-3)


def test_nothing_after_a_token_has_a_say() -> None:
    values, observed = _seasonal(12), _gaps(0.1)
    before = _find(values, observed)
    for token in (20, 41):
        changed, hidden = values.clone(), observed.clone()
        changed[..., (token + 1) * PATCH :] = 1e3
        hidden[..., (token + 2) * PATCH :] = False
        after = _find(changed, hidden)
        for old, new in zip(before, after, strict=True):
            assert torch.equal(old[:, :, : token + 1], new[:, :, : token + 1])
        assert not torch.equal(before.mean[:, :, token + 1 :], after.mean[:, :, token + 1 :])


def test_what_is_not_observed_has_no_say() -> None:
    values, observed = _seasonal(12), _gaps(0.3)
    before = _find(values, observed)
    after = _find(torch.where(observed, values, 1e6), observed)
    for old, new in zip(before, after, strict=True):
        assert torch.equal(old, new)


def test_units_of_the_series_do_not_matter() -> None:
    values = _seasonal(24).double()
    before, after = _find(values), _find(1000 * values - 70)
    assert torch.equal(before.period, after.period)
    torch.testing.assert_close(before.share, after.share)
    there = (before.share > 0)[..., None]
    for name in ("mean", "latest"):
        old, new = getattr(before, name), getattr(after, name)
        torch.testing.assert_close(torch.where(there, 1000 * old - 70, 0.0), new)
    torch.testing.assert_close(1000 * before.deviation, after.deviation)


def test_a_season_is_carried_across_a_gap_of_many_seasons() -> None:
    values = _seasonal(12, noise=0.0)
    observed = torch.ones_like(values).bool()
    observed[..., 240:] = False
    found = _find(values, observed)
    wave = values[..., (480 + torch.arange(HORIZON)) % 12]
    torch.testing.assert_close(found.mean[:, :, -1], wave, atol=1e-4, rtol=1e-4)


def test_random_walks_and_short_series_have_no_season() -> None:
    walks = torch.randn(50, 1, 960, generator=torch.Generator().manual_seed(0)).cumsum(-1)
    assert _find(walks).share[..., -1].mean() < 0.02
    short = _find(_seasonal(7, PATCH))
    assert not any(part.any() for part in short)
    assert not _find(torch.ones(1, 1, 480)).share.any()


@pytest.mark.parametrize("n_steps", [PATCH, 3 * PATCH, 480])
def test_all_periods_at_once_find_what_each_by_itself_does(
    n_steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    values, observed = _seasonal(24, n_steps), _gaps(0.2, n_steps)
    observed[0, 0, n_steps // 2 :] = False
    monkeypatch.setattr(layer, "FEW_STEPS", 0)
    before = _find(values, observed)
    monkeypatch.setattr(layer, "FEW_STEPS", values.numel())
    after = _find(values, observed)
    for old, new in zip(before, after, strict=True):
        assert torch.equal(old, new)


def test_periods_are_those_that_a_fourth_of_the_rate_has_too() -> None:
    assert list(PERIODS) == sorted(set(PERIODS))
    assert {24 // 4, 168 // 4, 96 // 4, 288 // 4, 336 // 4} <= set(PERIODS)
