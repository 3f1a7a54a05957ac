"""Thresholds keep the false-alarm rate that they state."""

import numpy as np
import pytest

from tsfm.errors import ConfigError, DataError
from tsfm.tasks.detection.thresholds import METHODS, fit_threshold

NAN = float("nan")


@pytest.mark.parametrize("method", METHODS)
def test_the_stated_share_of_new_normal_rows_is_flagged(method):
    generator = np.random.default_rng(0)
    rate = 0.01
    shares = []
    for _ in range(12):
        fitted = fit_threshold(
            generator.exponential(size=2000), method=method, false_alarm_rate=rate
        )
        shares.append(np.mean(generator.exponential(size=2000) >= fitted.value))
    assert np.mean(shares) == pytest.approx(rate, rel=0.25)


def test_a_conformal_threshold_flags_exactly_the_p_values_at_most_the_rate():
    generator = np.random.default_rng(1)
    seen, new = generator.integers(0, 30, 99) * 1.0, np.arange(-1.0, 32.0)
    for rate in (0.01, 0.05, 0.2):
        fitted = fit_threshold(seen, method="conformal", false_alarm_rate=rate)
        p_values = [(1 + np.sum(seen >= one)) / (1 + len(seen)) for one in new]
        np.testing.assert_array_equal(new >= fitted.value, np.array(p_values) <= rate + 1e-12)


def test_a_tail_reaches_beyond_what_was_seen():
    scores = np.random.default_rng(2).exponential(size=5000)
    fitted = fit_threshold(scores, method="tail", false_alarm_rate=1e-5)
    assert fitted.value > scores.max()
    assert fitted.value == pytest.approx(-np.log(1e-5), rel=0.35)


def test_a_tail_of_bounded_scores_stays_near_the_bound():
    scores = np.random.default_rng(2).uniform(size=5000)
    fitted = fit_threshold(scores, method="tail", false_alarm_rate=1e-5)
    assert 0.99 < fitted.value < 1.02


def test_thresholds_scale_with_the_scores():
    scores = np.random.default_rng(3).exponential(size=3000)
    for method in METHODS:
        one, two = (
            fit_threshold(factor * scores, method=method, false_alarm_rate=0.005).value
            for factor in (1.0, 1000.0)
        )
        assert two == pytest.approx(1000 * one, rel=1e-3)


def test_missing_scores_are_left_out():
    scores = np.append(np.arange(1.0, 101.0), [NAN] * 50)
    fitted = fit_threshold(scores, method="quantile", false_alarm_rate=0.1)
    assert (fitted.n_rows, fitted.method, fitted.false_alarm_rate) == (100, "quantile", 0.1)
    assert fitted.value == pytest.approx(90.1)


def test_too_few_rows_for_the_rate_are_refused():
    with pytest.raises(DataError, match="must have at least 999 scored rows, got 50; give more"):
        fit_threshold(np.arange(50.0), method="conformal", false_alarm_rate=0.001)
    with pytest.raises(DataError, match=r"at least 20 scores above the .* got 2 of 100"):
        fit_threshold(np.arange(100.0), method="tail", false_alarm_rate=0.001)
    with pytest.raises(DataError, match="fitted on rows with a score, got none"):
        fit_threshold(np.full(3, NAN), false_alarm_rate=0.5)


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.1, 5.0])
def test_a_rate_that_is_no_share_is_refused(rate):
    with pytest.raises(ConfigError, match=f"must be between 0 and 1, got {rate}"):
        fit_threshold(np.arange(50.0), false_alarm_rate=rate)


@pytest.mark.parametrize(
    ("method", "rate"), [("quantile", 0.01), ("tail", 0.1), ("conformal", 0.01)]
)
def test_rows_that_share_the_usual_score_are_not_flagged_together(method, rate):
    scores = np.append(np.zeros(995), np.arange(1.0, 31.0 if method == "tail" else 6.0))
    fitted = fit_threshold(scores, method=method, false_alarm_rate=rate)
    assert np.mean(scores >= fitted.value) <= rate


def test_an_unknown_method_is_refused():
    with pytest.raises(ConfigError, match=r"method must be one of \['quantile', .*got 'best'"):
        fit_threshold(np.arange(50.0), method="best", false_alarm_rate=0.1)


@pytest.mark.parametrize("rate", ["0.1", None])
@pytest.mark.usefixtures("as_users_call")
def test_a_rate_that_is_no_number_is_refused(rate):
    with pytest.raises(ConfigError, match=f"must be between 0 and 1, got {rate!r}; it is a share"):
        fit_threshold(np.arange(100.0), false_alarm_rate=rate)
