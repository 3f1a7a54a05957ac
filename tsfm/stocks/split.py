"""Training, validation and test days, by date, with nothing of one part in another."""

from dataclasses import dataclass as plain_dataclass

import numpy as np
from pydantic import ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass

from tsfm.errors import DataError
from tsfm.shapes import Int, ndarray
from tsfm.stocks.panel import Day, Fill, check_execution


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class SplitConfig:
    """Dates of the parts; a part ends where the next begins.

    Parameters
    ----------
    train_start
        First day that a training window may show; None for the first of the panel.
    test_end
        First day after the test; None for the end of the panel.
    purge
        Further days left out at the end of training and of validation.
    embargo
        Further days left out between validation and test.
    """

    train_start: Day | None = None
    validation_start: Day
    test_start: Day
    test_end: Day | None = None
    purge: int = Field(default=0, ge=0)
    embargo: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _check(self) -> "SplitConfig":
        bounds = [self.train_start, self.validation_start, self.test_start, self.test_end]
        known = [one for one in bounds if one is not None]
        if known != sorted(set(known)):
            raise ValueError(
                "train_start, validation_start, test_start and test_end must follow one another, "
                f"got {', '.join(map(str, bounds))}"
            )
        return self


@plain_dataclass(frozen=True)
class SplitDays:
    """Days of scores, as places in the panel."""

    train: Int[ndarray, " train_day"]
    validation: Int[ndarray, " validation_day"]
    test: Int[ndarray, " test_day"]


def split_days(
    days: ndarray,
    config: SplitConfig,
    *,
    context_length: int,
    execution_lag: int = 1,
    fill: Fill = "close",
) -> SplitDays:
    """Return the days whose whole forward return lies in a part.

    A window may look back into an earlier part, and its score may be known on the last day of
    that; the return that it earns may not reach out of the part on either side. Training windows
    start at `train_start`.

    Raises
    ------
    DataError
        When a part has no day.

    Examples
    --------
    >>> days = np.arange("2020-01-01", "2020-01-11", dtype="datetime64[D]")
    >>> config = SplitConfig(validation_start="2020-01-05", test_start="2020-01-08")
    >>> split = split_days(days, config, context_length=2)
    >>> split.train.tolist(), split.validation.tolist(), split.test.tolist()
    ([1, 2], [3, 4, 5], [6, 7, 8])
    """
    check_execution(execution_lag, fill)
    score = np.arange(len(days))
    begins = score + execution_lag
    ends = begins + (fill == "open")
    starts = [
        0 if one is None else int(np.searchsorted(days, np.datetime64(one)))
        for one in (config.train_start, config.validation_start, config.test_start)
    ]
    last = len(days)
    if config.test_end is not None:
        last = int(np.searchsorted(days, np.datetime64(config.test_end)))
    bounds = [*starts, last]
    parts = []
    for number, name in enumerate(("training", "validation", "test")):
        part = (begins >= bounds[number]) & (ends < bounds[number + 1])
        if name == "training":
            part &= score >= starts[0] + context_length - 1
        found = np.flatnonzero(part)
        left_out = {"training": config.purge, "validation": config.purge + config.embargo}
        found = found[: max(0, len(found) - left_out.get(name, 0))]
        if not len(found):
            raise DataError(
                f"the {name} part must have a day, got none between {days[0]} and {days[-1]}; "
                "choose other dates, a shorter context_length or a smaller purge and embargo"
            )
        parts.append(found)
    return SplitDays(*parts)
