"""Six ways in which the future gets into a pipeline, planted, and what `tsfm.audit` says of each.

Prints, per leak, the first date that it reaches back to when the future after one day is changed,
and beside it whether the corrected pipeline passes at 50 random dates. Seconds on one core:

    python benchmarks/audit/planted_leaks.py
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl

import tsfm

N_STOCKS, N_DAYS = 20, 300
DAYS = pl.date_range(pl.date(2020, 1, 1), pl.date(2020, 10, 26), eager=True)
LAST_TRAINING_DAY = 200
HORIZON, WINDOW, AVERAGE, TRAILING = 5, 32, 5, 60
LOWEST_PRICE = 15.0
close = pl.col("close")
stock = pl.col("item_id")


def prices(seed: int = 0) -> pl.DataFrame:
    """Return random walks of stocks, none of which is worth anything as a forecast."""
    steps = np.random.default_rng(seed).normal(0, 0.02, (N_STOCKS, N_DAYS))
    return pl.DataFrame(
        {
            "item_id": np.repeat([f"S{number:02d}" for number in range(N_STOCKS)], N_DAYS),
            "timestamp": pl.concat([DAYS] * N_STOCKS),
            "close": (20 * np.exp(np.cumsum(steps, axis=1))).ravel(),
        }
    )


def _scaled(frame: pl.DataFrame, loc: pl.Expr, scale: pl.Expr) -> pl.DataFrame:
    return frame.with_columns(((close - loc) / scale).alias("scaled"))


def full_period_maximum(frame: pl.DataFrame) -> pl.DataFrame:
    """Say how far a price is below its highest, tomorrow's included, as SSPT is released."""
    return frame.with_columns((close / close.max().over(stock)).alias("share_of_maximum"))


def running_maximum(frame: pl.DataFrame) -> pl.DataFrame:
    """Take the highest price until the day."""
    return frame.with_columns((close / close.cum_max().over(stock)).alias("share_of_maximum"))


def centred_average(frame: pl.DataFrame) -> pl.DataFrame:
    """Make two days after the day part of its average."""
    average = close.rolling_mean(AVERAGE, center=True).over(stock)
    return frame.with_columns(average.alias("average"))


def trailing_average(frame: pl.DataFrame) -> pl.DataFrame:
    """Take the same average, of the days until then."""
    return frame.with_columns(close.rolling_mean(AVERAGE).over(stock).alias("average"))


def _window() -> pl.Expr:
    day = (pl.col("timestamp") - pl.lit(DAYS[0])).dt.total_days()
    return (day // WINDOW).alias("window")


def whole_window(frame: pl.DataFrame) -> pl.DataFrame:
    """Scale a window by its own mean and deviation: its first days know its last."""
    group = [stock, _window()]
    return _scaled(frame, close.mean().over(group), close.std().over(group))


def causal_window(frame: pl.DataFrame) -> pl.DataFrame:
    """Scale every day by what its window has shown so far."""
    group = [stock, _window()]
    count = close.cum_count().over(group)
    loc = close.cum_sum().over(group) / count
    square = (close**2).cum_sum().over(group) / count
    return _scaled(frame, loc, (square - loc**2).clip(1e-12).sqrt())


def survivors(frame: pl.DataFrame) -> pl.DataFrame:
    """Keep who is there on the last day and was never cheap: nobody knew who that would be."""
    is_there = pl.col("timestamp").max().over(stock) == pl.col("timestamp").max()
    return frame.filter(is_there & (close.min().over(stock) >= LOWEST_PRICE))


def liquid_so_far(frame: pl.DataFrame) -> pl.DataFrame:
    """Keep who was not cheap in the days until then."""
    lowest = close.rolling_min(TRAILING, min_samples=1).over(stock)
    return frame.filter(lowest >= LOWEST_PRICE)


def overlapping_labels(frame: pl.DataFrame) -> pl.DataFrame:
    """Give the last training days labels from the days of validation."""
    label = (close.shift(-HORIZON) / close - 1).over(stock).alias("label")
    return frame.with_columns(label).filter(pl.col("timestamp") <= DAYS[LAST_TRAINING_DAY])


def purged_labels(frame: pl.DataFrame) -> pl.DataFrame:
    """End training a horizon earlier, so that its labels end with it."""
    last = DAYS[LAST_TRAINING_DAY - HORIZON]
    return overlapping_labels(frame).filter(pl.col("timestamp") <= last)


def scaler_of_all_rows(frame: pl.DataFrame) -> pl.DataFrame:
    """Standardise before the split."""
    return _scaled(frame, close.mean(), close.std())


def scaler_of_training_rows(frame: pl.DataFrame) -> pl.DataFrame:
    """Standardise by the training rows."""
    train = close.filter(pl.col("timestamp") <= DAYS[LAST_TRAINING_DAY])
    return _scaled(frame, train.mean(), train.std())


@dataclass(frozen=True)
class Planted:
    """A leak and its cure.

    Parameters
    ----------
    first
        First day that moves when everything after the last training day is changed.
    fitted
        Whether the cure is fitted on the training days: it is then audited from their end on.
    """

    name: str
    leaky: Callable[[pl.DataFrame], pl.DataFrame]
    cured: Callable[[pl.DataFrame], pl.DataFrame]
    first: int
    fitted: bool = False


PLANTED = (
    Planted("full-period maximum", full_period_maximum, running_maximum, 0),
    Planted("centred average", centred_average, trailing_average, LAST_TRAINING_DAY - 1),
    Planted(
        "whole-window scale",
        whole_window,
        causal_window,
        LAST_TRAINING_DAY // WINDOW * WINDOW,
    ),
    Planted("survivors", survivors, liquid_so_far, 0),
    Planted(
        "label overlap",
        overlapping_labels,
        purged_labels,
        LAST_TRAINING_DAY - HORIZON + 1,
        fitted=True,
    ),
    Planted("scaler of all rows", scaler_of_all_rows, scaler_of_training_rows, 0, fitted=True),
)


def main() -> None:
    """Audit every leak and every cure."""
    frame, split = prices(), DAYS[LAST_TRAINING_DAY]
    n_found = 0
    for planted in PLANTED:
        report = tsfm.audit(planted.leaky, frame, start=split)
        found = None if report.ok else report.leaks["first_affected"].min()
        n_found += found == DAYS[planted.first]
        cured = tsfm.audit(planted.cured, frame, start=split if planted.fitted else None)
        verdict = f"nothing at {len(cured.cutoffs)} dates" if cured.ok else "still leaks"
        print(
            f"{planted.name:20}  first affected {found}, right: {DAYS[planted.first]}"
            f"  corrected: {verdict}"
        )
    print(f"{n_found} of {len(PLANTED)} leaks found with the right date")


if __name__ == "__main__":
    main()
