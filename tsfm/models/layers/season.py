"""The season of a window, found in its visible values: another first guess of what a gap holds."""

from typing import NamedTuple

import torch
from einops import reduce
from torch.nn import functional as F

from tsfm.models.layers.gaps import bridge
from tsfm.shapes import Float, Int, Observed, Tensor, Values

# Common seasons, in steps: of quarters, weeks, months, hours, minutes and business days.
PERIODS = (4, 5, 6, 7, 8, 10, 12, 13, 14, 20, 24, 26, 30, 48, 52, 60, 96, 144, 168, 288, 336)
SHORTEST_PERIOD = 4
# Pairs of visible values that a lag must have to count, as a share of the window.
FEWEST_PAIRS = 0.05
# Multiples of a period agree as well as the period itself, of which more is seen.
PREFER_SHORT = 0.1
# By so much of the variance must a period be better that is none of the common ones.
PREFER_COMMON = 0.1


class Season(NamedTuple):
    """A window filled by its mean season, with lines through what is left of it.

    `strength` is the share of the variance of the visible values that the other values of their
    phase foretell. Where it is 0 no season was found, and `values` are straight lines.
    """

    values: Values
    period: Int[Tensor, "batch channel"]
    strength: Float[Tensor, "batch channel"]


@torch.no_grad()
def seasonal_bridge(values: Values, visible: Observed, line: Values) -> Season:
    """Find the period whose phases foretell visible values best, and bridge the gaps along it.

    Asked are the common periods and the lag of the highest correlation.

    Parameters
    ----------
    line
        The straight lines through the gaps, as of `bridge`. What is not visible has no say.

    Examples
    --------
    >>> values = torch.tensor([0.0, 1.0, 5.0, 2.0] * 6)[None, :, None]
    >>> visible = torch.ones_like(values).bool()
    >>> visible[0, 9:13] = False
    >>> found = seasonal_bridge(values, visible, bridge(values, visible).values)
    >>> found.period.item(), found.values[0, 9:13, 0].tolist()
    (4, [1.0, 5.0, 2.0, 0.0])
    """
    seen = visible.to(values.dtype)
    shown = torch.where(visible, values, 0.0)
    mean = shown.sum(1, keepdim=True) / seen.sum(1, keepdim=True).clamp(min=1)
    centred = torch.where(visible, values - mean, 0.0)
    period, strength = _best_period(centred, seen)
    phase = _phase(centred, period)
    total, count = (torch.zeros_like(seen).scatter_add(1, phase, one) for one in (centred, seen))
    season = (total / count.clamp(min=1)).gather(1, phase)
    filled = season + mean + bridge(centred - season, visible).values
    found = ~visible & (strength > 0)[:, None]
    return Season(torch.where(found, filled, line), period, strength)


def _best_period(
    centred: Values, seen: Values
) -> tuple[Int[Tensor, "batch channel"], Float[Tensor, "batch channel"]]:
    """Return the period that foretells most of the variance, and the share that it foretells."""
    time = centred.shape[1]
    parts = (centred, centred.square(), seen)
    lag = _best_lag(centred, seen)
    phase = _phase(centred, lag)
    best = _foretold(*(torch.zeros_like(one).scatter_add(1, phase, one) for one in parts))
    best = torch.where(lag < time, best - PREFER_COMMON, 0.0)
    period = torch.where(best > 0, lag, time)
    for candidate in (one for one in PERIODS if 2 * one <= time):
        share = _foretold(*(_by_phase(one, candidate) for one in parts))
        period = torch.where(share > best, candidate, period)
        best = torch.maximum(best, share)
    is_rare = (period == lag) & (lag < time)
    return period, torch.where(is_rare, best + PREFER_COMMON, best).clamp(0, 1)


def _phase(
    values: Values, period: Int[Tensor, "batch channel"]
) -> Int[Tensor, "batch time channel"]:
    step = torch.arange(values.shape[1], device=values.device)[None, :, None]
    return step % period[:, None]


def _by_phase(values: Values, period: int) -> Float[Tensor, "batch phase channel"]:
    padded = F.pad(values, (0, 0, 0, -values.shape[1] % period))
    return reduce(
        padded, "batch (repeat phase) channel -> batch phase channel", "sum", phase=period
    )


def _foretold(
    total: Float[Tensor, "batch phase channel"],
    square: Float[Tensor, "batch phase channel"],
    count: Float[Tensor, "batch phase channel"],
) -> Float[Tensor, "batch channel"]:
    """Return the share of the variance that is gone once every value is compared with the others.

    Of all other values of a phase the mean is taken; a value without any is not foretold.
    """
    others = (count / (count - 1).clamp(min=1)).square()
    away = (square - total.square() / count.clamp(min=1)).clamp(min=0)
    error = torch.where(count > 1, others * away, square).sum(1)
    variance = square.sum(1)
    return torch.where(variance > 0, 1 - error / torch.where(variance > 0, variance, 1.0), 0.0)


def _best_lag(centred: Values, seen: Values) -> Int[Tensor, "batch channel"]:
    """Return the best lag of up to half a window, a peak of the correlation; without one `time`."""
    time = centred.shape[1]
    n_lags = time // 2 + 1
    spread = centred.square().sum(1, keepdim=True).sqrt()
    centred = centred / torch.where(spread > 0, spread, 1.0)
    # Sums over all pairs a lag apart, by way of the frequency domain.
    of_value, of_square, of_seen = (
        torch.fft.rfft(one, n=2 * time, dim=1) for one in (centred, centred.square(), seen)
    )
    products, pairs, first, second = (
        torch.fft.irfft(one, n=2 * time, dim=1)[:, :n_lags]
        for one in (
            of_value * of_value.conj(),
            of_seen * of_seen.conj(),
            of_square * of_seen.conj(),
            of_square.conj() * of_seen,
        )
    )
    correlation = products / (first * second).clamp(min=1e-8).sqrt()
    correlation = torch.where(pairs > FEWEST_PAIRS * time, correlation.clamp(-1, 1), 0.0)
    ends = torch.full_like(correlation[:, :1], 2.0)
    padded = torch.cat([ends, correlation, ends], 1)
    is_peak = (correlation >= padded[:, :-2]) & (correlation >= padded[:, 2:])
    lag = torch.arange(n_lags, device=centred.device, dtype=centred.dtype)[None, :, None]
    allowed = is_peak & (lag >= SHORTEST_PERIOD) & (correlation > 0)
    score = torch.where(allowed, correlation - PREFER_SHORT * lag / time, -1.0)
    height, best = score.max(1)
    return torch.where(height > -1, best, time)
