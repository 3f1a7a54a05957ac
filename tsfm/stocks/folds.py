"""Folds of a walk-forward: when a ranker is fitted again, on what, and how it is tested."""

from dataclasses import dataclass as plain_dataclass
from dataclasses import replace
from typing import Literal

import numpy as np
from pydantic import ConfigDict, Field, PositiveInt
from pydantic.dataclasses import dataclass

from tsfm.errors import DataError
from tsfm.stocks.cross_sections import CrossSections
from tsfm.stocks.fitting import days_of
from tsfm.stocks.panel import Day
from tsfm.stocks.split import SplitConfig, SplitDays


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class WalkForwardConfig:
    """When a ranker is fitted again, and on what.

    Parameters
    ----------
    train_start
        First day that a training window may show; None for the first of the panel.
    test_start, test_end
        First day of the first test, and first day after the last; None for the end of the panel.
    test_days, validation_days
        Trading days of each test, and before it of the part that chooses the weights. A rest of
        less than half a test is added to the last one.
    window
        ``"expanding"``: all days before are trained on. ``"rolling"``: the last `train_days`.
    purge
        Further days left out at the end of training and of validation; those whose return reaches
        into the next part always are.
    embargo
        Further days left out between validation and test.
    strict
        Refuse a checkpoint that may have seen a test day; otherwise such days are marked.
    """

    train_start: Day | None = None
    test_start: Day
    test_end: Day | None = None
    test_days: PositiveInt = 63
    validation_days: PositiveInt = 63
    window: Literal["expanding", "rolling"] = "expanding"
    train_days: PositiveInt = 504
    purge: int = Field(default=0, ge=0)
    embargo: int = Field(default=0, ge=0)
    strict: bool = False


@plain_dataclass(frozen=True)
class Fold:
    """One fit and its test.

    Parameters
    ----------
    number
        From 0.
    split
        Dates of the fit.
    days
        Places in the panel; the tests of successive folds follow one another without a gap.
    """

    number: int
    split: SplitConfig
    days: SplitDays


def folds_of(sections: CrossSections, config: WalkForwardConfig) -> tuple[Fold, ...]:
    """Return the folds of a panel.

    Raises
    ------
    DataError
        When there is no room for training and validation before the first test.
    """
    days = sections.panel.days
    first = int(np.searchsorted(days, np.datetime64(config.test_start)))
    last = len(days)
    if config.test_end is not None:
        last = int(np.searchsorted(days, np.datetime64(config.test_end)))
    starts = list(range(first, last, config.test_days))
    if len(starts) > 1 and last - starts[-1] < config.test_days / 2:
        starts = starts[:-1]
    if not starts or starts[0] <= config.validation_days:
        raise DataError(
            f"test_start must leave {config.validation_days} days of validation and some of "
            f"training before it, and days to test on, got {config.test_start} in a panel from "
            f"{days[0]} to {days[-1]}; choose another day or fewer validation_days"
        )
    return tuple(
        _fold(number, start, end, sections, config)
        for number, (start, end) in enumerate(zip(starts, [*starts[1:], last], strict=True))
    )


def _fold(
    number: int, start: int, end: int, sections: CrossSections, config: WalkForwardConfig
) -> Fold:
    days = sections.panel.days
    validation = start - config.validation_days
    train_start = config.train_start
    if config.window == "rolling":
        rolled = str(days[max(0, validation - config.train_days)])
        train_start = rolled if train_start is None else max(train_start, rolled)
    if train_start is not None and train_start >= str(days[validation]):
        raise DataError(
            f"train_start must be before {days[validation]}, where the first validation begins, "
            f"got {train_start}; choose an earlier day, or a later test_start"
        )
    split = SplitConfig(
        train_start=train_start,
        validation_start=str(days[validation]),
        test_start=str(days[start]),
        test_end=config.test_end,
        purge=config.purge,
        embargo=config.embargo,
    )
    found = days_of(sections, split)
    # A return that begins in this test may end in the next one: nothing is fitted on it here, and
    # the portfolio must know what to hold.
    test = found.test[found.test + sections.config.execution_lag < end]
    return Fold(number, split, replace(found, test=test))
