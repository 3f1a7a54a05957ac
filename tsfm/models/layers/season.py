"""The season of a window, found in its visible values: another first guess of what a gap holds."""

from typing import NamedTuple

import torch

from tsfm.models.layers.gaps import bridge
from tsfm.shapes import Float, Int, Observed, Tensor, Values

SHORTEST_PERIOD = 4
# Pairs of visible values that a lag must have to count, as a share of the window.
FEWEST_PAIRS = 0.05
# Multiples of a period agree as well as the period itself, of which more is seen.
PREFER_SHORT = 0.1


class Season(NamedTuple):
    """A window filled by its mean season, with lines through what is left of it.

    `strength` is the correlation of visible values one period apart. Where it is 0 no season was
    found, and `values` are straight lines.
    """

    values: Values
    period: Int[Tensor, "batch channel"]
    strength: Float[Tensor, "batch channel"]


@torch.no_grad()
def seasonal_bridge(values: Values, visible: Observed, line: Values) -> Season:
    """Find the lag at which visible values agree best, and bridge the gaps along that season.

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
    time = values.shape[1]
    seen = visible.to(values.dtype)
    shown = torch.where(visible, values, 0.0)
    mean = shown.sum(1, keepdim=True) / seen.sum(1, keepdim=True).clamp(min=1)
    centred = torch.where(visible, values - mean, 0.0)
    period, strength = _best_lag(centred, seen)
    phase = torch.arange(time, device=values.device)[None, :, None] % period[:, None]
    total, count = (torch.zeros_like(seen).scatter_add(1, phase, one) for one in (centred, seen))
    season = (total / count.clamp(min=1)).gather(1, phase)
    filled = season + mean + bridge(centred - season, visible).values
    found = ~visible & (strength > 0)[:, None]
    return Season(torch.where(found, filled, line), period, strength)


def _best_lag(
    centred: Values, seen: Values
) -> tuple[Int[Tensor, "batch channel"], Float[Tensor, "batch channel"]]:
    """Return the best lag of up to half a window, a peak of the correlation, and its height."""
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
    lag = torch.arange(n_lags, device=centred.device)[None, :, None]
    allowed = is_peak & (lag >= SHORTEST_PERIOD) & (correlation > 0)
    score = torch.where(allowed, correlation - PREFER_SHORT * lag / time, -1.0)
    height, best = score.max(1)
    is_found = height > -1
    strength = correlation.gather(1, best[:, None])[:, 0]
    return torch.where(is_found, best, time), torch.where(is_found, strength, 0.0)
