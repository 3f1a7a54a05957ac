"""A return that lies in two parts teaches the test's first day to the training."""

import numpy as np
import pytest
from pydantic import ValidationError

from tsfm.errors import ConfigError, DataError
from tsfm.stocks.split import SplitConfig, split_days

DAYS = np.arange("2020-01-01", "2020-03-01", dtype="datetime64[D]")
CONFIG = SplitConfig(validation_start="2020-01-21", test_start="2020-02-10", test_end="2020-02-20")


@pytest.mark.parametrize(("lag", "fill"), [(1, "close"), (3, "close"), (1, "open"), (2, "open")])
def test_the_whole_return_of_a_day_lies_in_its_part(lag: int, fill: str) -> None:
    split = split_days(DAYS, CONFIG, context_length=5, execution_lag=lag, fill=fill)  # type: ignore[arg-type]
    bounds = np.array(["2020-01-01", "2020-01-21", "2020-02-10", "2020-02-20"], "datetime64[D]")
    for number, part in enumerate((split.train, split.validation, split.test)):
        first, last = part + lag, part + lag + (fill == "open")
        assert (DAYS[first] >= bounds[number]).all()
        assert (DAYS[last] < bounds[number + 1]).all()
        # And every such day is taken.
        assert (np.diff(part) == 1).all()
        if number:
            assert DAYS[first[0]] == bounds[number]
        assert DAYS[last[-1]] == bounds[number + 1] - 1


def test_the_published_borders_give_the_published_days() -> None:
    """RSR NASDAQ: 1245 days, labels of validation from 756 and of the test from 1008."""
    days = np.arange("2000-01-01", "2010-01-01", dtype="datetime64[D]")[:1245]
    config = SplitConfig(validation_start=str(days[756]), test_start=str(days[1008]))
    for length, n_train in ((16, 740), (32, 724)):
        split = split_days(days, config, context_length=length)
        assert [len(one) for one in (split.train, split.validation, split.test)] == [
            n_train,
            252,
            237,
        ]


def test_training_windows_begin_at_the_start() -> None:
    config = SplitConfig(
        train_start="2020-01-06", validation_start="2020-01-21", test_start="2020-02-10"
    )
    split = split_days(DAYS, config, context_length=4)
    assert DAYS[split.train[0]] == np.datetime64("2020-01-09")


def test_purged_days_are_those_before_a_border() -> None:
    plain = split_days(DAYS, CONFIG, context_length=5)
    purged = split_days(
        DAYS,
        SplitConfig(
            validation_start="2020-01-21", test_start="2020-02-10", test_end="2020-02-20", purge=3
        ),
        context_length=5,
    )
    np.testing.assert_array_equal(purged.train, plain.train[:-3])
    np.testing.assert_array_equal(purged.validation, plain.validation[:-3])
    np.testing.assert_array_equal(purged.test, plain.test)


def test_an_empty_part_is_named() -> None:
    late = SplitConfig(validation_start="2020-01-21", test_start="2021-01-01")
    with pytest.raises(DataError, match="the test part must have a day, got none between"):
        split_days(DAYS, late, context_length=5)
    with pytest.raises(DataError, match="the training part must have a day"):
        split_days(DAYS, CONFIG, context_length=30)


def test_dates_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(
        ValidationError, match="must follow one another, got None, 2020-02-01, 2020"
    ):
        SplitConfig(validation_start="2020-02-01", test_start="2020-01-01")
    with pytest.raises(ValidationError, match="Invalid isoformat"):
        SplitConfig(validation_start="soon", test_start="2020-01-01")


def test_a_lag_of_zero_is_refused() -> None:
    with pytest.raises(ConfigError, match="execution_lag must be at least 1"):
        split_days(DAYS, CONFIG, context_length=5, execution_lag=0)


@pytest.mark.parametrize("purge", [15, 25, 300])
def test_a_purge_longer_than_a_part_leaves_nothing(purge: int) -> None:
    config = SplitConfig(
        validation_start="2020-02-01", test_start="2020-02-11", purge=purge, embargo=3
    )
    with pytest.raises(DataError, match="part must have a day, got none"):
        split_days(DAYS, config, context_length=2)
