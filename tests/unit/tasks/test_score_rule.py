"""A rule that would score by nonsense is refused when it is made."""

import pytest

from tsfm.errors import ConfigError
from tsfm.tasks.detection.score_rule import ScoreRule


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"smoothing": 0}, "must be at least 1 step, got past_length=1000, smoothing=0,"),
        ({"long_smoothing": 0}, "at least 1 step, got .*long_smoothing=0"),
        ({"level_weight": -1.0}, "must not be negative, got .*level_weight=-1.0"),
        ({"range_length": 0}, "at least 1 step, got .*range_length=0"),
        ({"range_weight": -1.0}, "must not be negative, got .*range_weight=-1.0"),
        ({"habit_level": 1.0}, "must be at least 0 and below 1, got 1.0; use 0"),
        ({"past_length": 0}, "must be at least 1 step, got past_length=0"),
        ({"past_weight": -1.0}, "must not be negative, got past_weight=-1.0"),
    ],
)
def test_a_rule_without_sense_is_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        ScoreRule(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"smoothing": 1.5}, "smoothing must be a whole number of at least 1, got 1.5"),
        ({"range_length": "64"}, "range_length must be a number, got '64'"),
        ({"level_weight": float("nan")}, "level_weight must be a number, got nan"),
        ({"habit_level": None}, "habit_level must be a number, got None"),
    ],
)
@pytest.mark.usefixtures("as_users_call")
def test_what_is_no_number_is_refused_by_name(options, message):
    with pytest.raises(ConfigError, match=message):
        ScoreRule(**options)
