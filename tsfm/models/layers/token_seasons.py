"""The season of a series as every token knows it: what past seasons had at the steps it forecasts.

A decoder over patches must learn to look a season back, at a distance that differs from series to
series and is seldom a whole number of patches. Here every token is told, from what lies before its
end alone: for each common period, deviations from the trailing mean over one season are foretold by
the mean of those of the last seasons at the same phase. The period that foretold best so far is
the token's own. A season so removed may lie on a trend or on a random walk.
"""

from typing import NamedTuple

import torch
from einops import reduce

from tsfm.shapes import Bool, Float, Float64, Int, Num, Tensor

# Common seasons in steps, also of series shown at a fourth of their rate.
PERIODS: tuple[int, ...] = (
    *(4, 5, 6, 7, 8, 10, 12, 13, 14, 18, 20, 24, 26, 30, 36, 42, 48, 52, 60, 72, 84, 96),
    *(120, 144, 168, 288, 336, 365, 672),
)
MOST_SEASONS = 8  # a power of two: sums over seasons are doubled
# So many steps must have been foretold before a period counts, and no fewer than a season.
FEWEST_FORETOLD = 8
# Up to so many steps in all rows, one operation over all periods is quicker than one for each.
FEW_STEPS = 4096
# Steps of the longest context that a traced graph carries a season through.
LONGEST_TRACED = 8192
Steps = int | Int[Tensor, "row 1"]


class TokenSeasons(NamedTuple):
    """What past seasons had at the steps that each token forecasts, in input units.

    Where `share`, the share of the variance that past seasons foretold, is 0, no season was found.
    `latest` is by the last season alone, `deviation` that of the last seasons around their mean.
    """

    mean: Float[Tensor, "batch channel token horizon"]
    latest: Float[Tensor, "batch channel token horizon"]
    deviation: Float[Tensor, "batch channel token horizon"]
    share: Float[Tensor, "batch channel token"]
    period: Int[Tensor, "batch channel token"]


@torch.no_grad()
def token_seasons(
    values: Float[Tensor, "batch channel time"],
    observed: Bool[Tensor, "batch channel time"],
    *,
    patch_length: int,
    horizon: int,
) -> TokenSeasons:
    """Find the season of every token, a patch of the series; nothing after it has a say.

    Parameters
    ----------
    values
        In whole patches; what is not observed has no say.
    horizon
        Steps after the end of each token.

    Examples
    --------
    >>> wave = torch.tensor([0.0, 1.0, 5.0, 2.0] * 6)[None, None]
    >>> found = token_seasons(wave, wave >= 0, patch_length=4, horizon=6)
    >>> found.period[0, 0].tolist(), found.mean[0, 0, -1].tolist()
    ([0, 0, 0, 4, 4, 4], [0.0, 1.0, 5.0, 2.0, 0.0, 1.0])
    """
    batch, channels, _ = values.shape
    seen, flat = observed.flatten(0, 1), values.flatten(0, 1)
    flat = torch.where(seen, flat, 0.0)
    is_one_graph = torch.compiler.is_compiling() or flat.numel() <= FEW_STEPS
    find = _all_at_once if is_one_graph else _one_by_one
    parts = find(flat, seen, patch_length, horizon)
    return TokenSeasons(*(part.reshape(batch, channels, *part.shape[1:]) for part in parts))


class _OfPeriod(NamedTuple):
    """All steps by one period, or by one for each row."""

    place: Int[Tensor, "row time"]
    away: Float[Tensor, "row time"]
    mean: Float[Tensor, "row time"]
    n_seen: Float[Tensor, "row time"]
    level: Float[Tensor, "row token"]
    share: Float[Tensor, "row token"]


def _one_by_one(
    values: Float[Tensor, "row time"], seen: Bool[Tensor, "row time"], patch: int, horizon: int
) -> tuple[Tensor, ...]:
    """Return the parts of `TokenSeasons`, looking at a row again by the periods it chose.

    Kept for all periods, what a lookup needs would be many times the series, and slower.
    """
    time = values.shape[1]
    # In a short series there is none, which the shortest period finds as well as any.
    periods = tuple(one for one in PERIODS if 2 * one < time) or PERIODS[:1]
    share, best = torch.stack(
        [_of_period(values, seen, one, patch, -(-time // one)).share for one in periods]
    ).max(0)
    chosen = torch.where(share > 0, best, -1)
    ahead = values.new_zeros((3, *share.shape, horizon))
    period = torch.zeros_like(best)
    for index, one in enumerate(periods):
        row, token = (chosen == index).nonzero(as_tuple=True)
        if len(row):
            rows, row_of = torch.unique(row, return_inverse=True)
            found = _of_period(values[rows], seen[rows], one, patch, -(-time // one))
            length = torch.full_like(row, one)
            by_step = found.away, found.mean, _deviation(found, one)
            ahead[:, row, token] = torch.stack(
                _ahead(found, by_step, row_of, token, length, patch, horizon)
            )
            period[row, token] = one
    return *ahead, share, period


def _all_at_once(
    values: Float[Tensor, "row time"], seen: Bool[Tensor, "row time"], patch: int, horizon: int
) -> tuple[Tensor, ...]:
    """Return the same by few operations, in a graph that suits any length."""
    periods = torch.tensor(PERIODS, device=values.device)
    n_periods, n_rows = len(PERIODS), values.shape[0]
    by_row = periods[:, None].expand(n_periods, n_rows).reshape(-1, 1)
    values, seen = values.repeat(n_periods, 1), seen.repeat(n_periods, 1)
    found = _of_period(values, seen, by_row, patch, LONGEST_TRACED // min(PERIODS))
    share, best = found.share.reshape(n_periods, n_rows, -1).max(0)
    row = n_rows * best + torch.arange(n_rows, device=values.device)[:, None]
    token = torch.arange(share.shape[1], device=values.device).expand(share.shape)
    period = periods[best]
    by_step = found.away, found.mean, _deviation(found, by_row)
    ahead = _ahead(found, by_step, row, token, period, patch, horizon)
    return *ahead, share, torch.where(share > 0, period, 0)


def _of_period(
    values: Float[Tensor, "row time"],
    seen: Bool[Tensor, "row time"],
    period: Steps,
    patch: int,
    most_seasons: int,
) -> _OfPeriod:
    time = values.shape[1]
    place = _latest_of_phase(seen, period, most_seasons)
    filled = torch.where(place >= 0, values.gather(1, place.clamp(min=0)), 0.0)
    level = (_trailing_sum(filled.double(), period) / period).to(values.dtype)
    # Once every phase was seen there is always a whole season to take the mean of.
    whole = _trailing_sum((place >= 0).double(), period) > period - 0.5
    counted = seen & whole
    away = torch.where(counted, values - level, 0.0)
    count, total = _over_seasons(torch.stack([counted.to(values.dtype), away]), period)
    mean = total / count.clamp(min=1)
    # Foretold by its own phase, and by all phases of as many seasons.
    around = torch.stack([counted.double(), away.double()])
    n_around, total_around = _later(_trailing_sum(around, MOST_SEASONS * period), 1)
    by_all = (total_around / n_around.clamp(min=1)).to(values.dtype)
    is_foretold = counted & (_later(count, period) > 0)
    parts = (
        is_foretold.to(values.dtype),
        torch.where(is_foretold, (away - _later(mean, period)).square(), 0.0),
        torch.where(is_foretold, (away - by_all).square(), 0.0),
    )
    n_foretold, error, variance = reduce(
        torch.stack(parts).double(), "part row (token patch) -> part row token", "sum", patch=patch
    ).cumsum(2)
    usable = (n_foretold >= FEWEST_FORETOLD) & (n_foretold >= period) & (variance > 0)
    share = torch.where(usable, 1 - error / torch.where(usable, variance, 1.0), 0.0)
    return _OfPeriod(
        torch.where(place >= time - whole.sum(1, keepdim=True), place, -1),
        away,
        mean,
        count,
        level[:, patch - 1 :: patch],
        share.clamp(min=0).to(values.dtype),
    )


def _deviation(found: _OfPeriod, period: Steps) -> Float[Tensor, "row time"]:
    """Return that of the last seasons around their mean, at every step."""
    square = _over_seasons(found.away.square(), period) / found.n_seen.clamp(min=1)
    return (square - found.mean.square()).clamp(min=0).sqrt()


def _over_seasons(x: Float[Tensor, "*axes time"], period: Steps) -> Float[Tensor, "*axes time"]:
    """Return for every step the sum of it and the seasons before it at the same phase."""
    n_seasons = 1
    while n_seasons < MOST_SEASONS:
        x = _with_later(x, n_seasons * period)
        n_seasons *= 2
    return x


def _ahead(
    found: _OfPeriod,
    by_step: tuple[Tensor, Tensor, Tensor],
    row: Int[Tensor, "*token"],
    token: Int[Tensor, "*token"],
    period: Int[Tensor, "*token"],
    patch: int,
    horizon: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return mean, latest and deviation at the steps that tokens forecast.

    `by_step` are the values away from their level, the mean over seasons, and the deviation.
    """
    time = found.place.shape[1]
    row, length = row[..., None], period[..., None]
    ahead = torch.arange(horizon, device=row.device)
    # As many whole seasons back as it takes to be before the end.
    step = patch * (token[..., None] + 1) + ahead - length * (ahead // length + 1)
    place = found.place.take(time * row + step.clamp(min=0))
    has_season = found.share[row, token[..., None]] > 0
    known = has_season & (place >= 0) & (step >= 0)
    place = time * row + place.clamp(min=0)
    away, mean, deviation = (torch.where(known, part.take(place), 0.0) for part in by_step)
    level = torch.where(has_season, found.level[row, token[..., None]], 0.0)
    return level + mean, level + away, deviation


def _latest_of_phase(
    seen: Bool[Tensor, "row time"], period: Steps, most_seasons: int
) -> Int[Tensor, "row time"]:
    """Return for every step the latest seen one up to it at the same phase; -1 for none."""
    step = torch.arange(seen.shape[1], device=seen.device)
    place = torch.where(seen, step, -1)
    n_seasons = 1
    while n_seasons < most_seasons:
        place = torch.maximum(place, _later(place, n_seasons * period, -1))
        n_seasons *= 2
    return place


def _later(
    x: Num[Tensor, "*axes time"], n_steps: Steps, first: int = 0
) -> Num[Tensor, "*axes time"]:
    """Move values to later steps, all rows alike or each by its own; `first` comes before them."""
    time = x.shape[-1]
    if isinstance(n_steps, int):
        n_before = min(n_steps, time)
        before = x.new_full((1,), first).expand(*x.shape[:-1], n_before)
        return torch.cat([before, x[..., : time - n_before]], -1)
    place = (torch.arange(time, device=x.device) - n_steps).expand(x.shape)
    return torch.where(place >= 0, x.gather(-1, place.clamp(min=0)), first)


def _with_later(
    x: Float[Tensor, "*axes time"], n_steps: Steps, factor: int = 1
) -> Float[Tensor, "*axes time"]:
    """Return `x` plus so many times its values moved to later steps."""
    if isinstance(n_steps, int):
        total = x.clone()
        total[..., n_steps:].add_(x[..., : max(0, x.shape[-1] - n_steps)], alpha=factor)
        return total
    return x + factor * _later(x, n_steps)


def _trailing_sum(
    x: Float64[Tensor, "*axes time"], n_steps: Steps
) -> Float64[Tensor, "*axes time"]:
    return _with_later(x.cumsum(-1), n_steps, -1)
