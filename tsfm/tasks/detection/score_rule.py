"""ScoreRule: what counts in the score of a row, and how much."""

import math
from dataclasses import dataclass

from tsfm.arguments import at_least_one, is_number
from tsfm.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class ScoreRule:
    """How errors become scores; the defaults were chosen on series with injected anomalies.

    Parameters
    ----------
    past_weight
        Multiple of the past error in the unit; 0 leaves the interval alone.
    past_length
        Steps over which the past error is the median.
    smoothing
        Steps of the trailing mean of scores.
    smoothing_weight
        Multiple of that mean that is added to a row's own score, so that a run of small surprises
        counts too; 0 for none, which suits single rows.
    long_smoothing, long_smoothing_weight
        The same once more, over more steps: a state of hundreds of rows surprises most where it
        begins, and is remembered for so long.
    level_weight
        To a score is added so many times the excess of the level, which is the mean of the last
        `long_smoothing` values: its distance to the median of the levels of `range_length` steps
        before the patch, in half widths of their 80 % range, as far as it exceeds one; 0 for none.
    range_weight
        A score is multiplied by one more than so many times the distance of the value to the median
        of the past, in half widths of the past's 80 % range, as far as it exceeds one; 0 for none.
    range_length
        Steps before the patch over which that median and that range are taken.
    habit_level
        Above 0 a score is divided by one more than this quantile of the scores before the patch.
        A series that is often surprising then scores lower, which suits one threshold for many
        series and alarms that must be few; 0 for none, which ranks the rows of one series better.
    habit_length
        Steps over which that quantile is taken.
    relation_weight
        Above 0 the score of several channels is the logarithm of their mean score plus so many
        times how unusual they are together, given the last `range_length` rows before the patch;
        see `channel_relation` beside this. 3 suits channels that explain each other; 0 for the mean
        alone, which suits all others.
    relation_smoothing
        Rows of the trailing mean of that.
    relation_smoothing_weight
        Multiple of that mean that is added to a row's own.
    """

    past_weight: float = 3.0
    past_length: int = 1000
    smoothing: int = 32
    smoothing_weight: float = 1.0
    long_smoothing: int = 128
    long_smoothing_weight: float = 3.0
    level_weight: float = 1.0
    range_weight: float = 1.0
    range_length: int = 2000
    habit_level: float = 0.0
    habit_length: int = 2000
    relation_weight: float = 0.0
    relation_smoothing: int = 64
    relation_smoothing_weight: float = 4.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not is_number(value) or not math.isfinite(value):
                raise ConfigError(f"{name} must be a number, got {value!r}")
        lengths = tuple(name for name in vars(self) if name.endswith(("length", "smoothing")))
        if min(getattr(self, name) for name in lengths) < 1:
            got = ", ".join(f"{name}={getattr(self, name)}" for name in lengths)
            raise ConfigError(f"lengths must be at least 1 step, got {got}")
        for name in lengths:
            at_least_one(name, getattr(self, name))
        if not 0 <= self.habit_level < 1:
            raise ConfigError(
                f"habit_level must be at least 0 and below 1, got {self.habit_level}; "
                "use 0 for none"
            )
        weights = tuple(name for name in vars(self) if name.endswith("weight"))
        if min(getattr(self, name) for name in weights) < 0:
            got = ", ".join(f"{name}={getattr(self, name)}" for name in weights)
            raise ConfigError(f"weights must not be negative, got {got}")
