"""Calendars: day and week, week and year with holidays, months and quarters with a trend, sunlight.

What ForecastPFN (Dooley et al. 2023) composes from its weekly, monthly and yearly seasons, with
working days, holidays, turns of the month and nights without sun added.
"""

import numpy as np

from tsfm.shapes import Float64, ndarray
from tsfm.synthetic.draws import Column, chance, log_uniform, standardized
from tsfm.synthetic.gaussian_process import slow_wave
from tsfm.synthetic.seasonal import cycle_tables, read_cycle
from tsfm.synthetic.trend import characteristic_length, path

DAYS_A_YEAR, DAYS_A_MONTH = 365.25, 30.4375
# Steps a day of hourly, half-hourly, 15-minute, 10-minute and 5-minute series.
STEPS_A_DAY, STEPS_A_DAY_WEIGHTS = (24, 48, 96, 144, 288), (0.45, 0.18, 0.22, 0.08, 0.07)
MONTH_DAYS = np.array([31, 28.25, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])


def calendar_effects(
    generator: np.random.Generator, n_series: int, length: int
) -> Float64[ndarray, "series time"]:
    """Draw series of one sampling rate each, in the shares in which forecasters meet them."""
    kinds = (_within_days, _sunlight, _daily, _business_days, _yearly_cycle)
    of_kind = generator.choice(len(kinds), n_series, p=[0.27, 0.06, 0.2, 0.07, 0.4])
    rows = np.empty((n_series, length))
    for kind, draw in enumerate(kinds):
        index = np.flatnonzero(of_kind == kind)
        if len(index):
            rows[index] = draw(generator, len(index), length)
    return standardized(rows)


def _within_days(generator: np.random.Generator, n_series: int, length: int) -> ndarray:
    """Draw loads and traffic: one shape for working days, another for the rest, and a level."""
    per_day = generator.choice(STEPS_A_DAY, (n_series, 1), p=STEPS_A_DAY_WEIGHTS)
    step = np.arange(length) + generator.integers(0, 7 * per_day, (n_series, 1))
    day = step // per_day
    phase = (step % per_day + 0.5) / per_day
    working = _day_shape(generator, phase)
    index = np.flatnonzero(generator.random(n_series) < 0.7)
    if len(index):
        at_rest = _is_rest_day(generator, day[index])
        other = working[index] * generator.uniform(0.2, 1, (len(index), 1))
        other = other + 0.4 * _day_shape(generator, phase[index])
        other = other - generator.uniform(-0.3, 1.5, (len(index), 1))
        working[index] = np.where(at_rest, other, working[index])
    each_day = generator.standard_normal((n_series, int(day.max()) + 1))
    size = log_uniform(generator, 0.02, 1.0, n_series) * chance(generator, 0.6, n_series)
    rows = working + size * np.take_along_axis(each_day, day, 1)
    return _on_slow_level(generator, rows)


def _sunlight(generator: np.random.Generator, n_series: int, length: int) -> ndarray:
    """Draw power of the sun: zero at night, a bell by day, cut by clouds that come and go."""
    per_day = generator.choice(STEPS_A_DAY, (n_series, 1), p=STEPS_A_DAY_WEIGHTS)
    phase = np.arange(length) / per_day + generator.random((n_series, 1))
    height = np.sin(2 * np.pi * phase) + generator.uniform(-0.3, 0.3, (n_series, 1))
    bell = np.maximum(height, 0) ** generator.uniform(0.8, 1.6, (n_series, 1))
    cloud = slow_wave(generator, length, per_day * log_uniform(generator, 0.1, 3.0, n_series))
    clear = 1 / (1 + np.exp(2 * cloud - generator.uniform(0, 4, (n_series, 1))))
    return bell * clear


def _daily(generator: np.random.Generator, n_series: int, length: int) -> ndarray:
    """Draw daily sales and visits: weekday factors, a year, holidays, turns of the month."""
    day = np.arange(length) + generator.integers(0, 365, (n_series, 1))
    weekday = 0.6 * generator.standard_normal((n_series, 7))
    weekend = generator.normal(0, 1, (n_series, 1)) * (np.arange(7) >= 5)
    rows = np.take_along_axis(weekday + weekend, day % 7, 1)
    rows *= log_uniform(generator, 0.1, 1.5, n_series) * chance(generator, 0.85, n_series)
    year = _smooth_cycle(generator, day / DAYS_A_YEAR, 3)
    rows += log_uniform(generator, 0.1, 2.0, n_series) * chance(generator, 0.7, n_series) * year
    index = np.flatnonzero(generator.random(n_series) < 0.5)
    if len(index):
        rows[index] += _holidays(generator, day[index])
    since_turn = day % DAYS_A_MONTH
    size = generator.normal(0, 1, (n_series, 1)) * chance(generator, 0.2, n_series)
    rows += size * np.exp(-since_turn / generator.uniform(1, 6, (n_series, 1)))
    return _on_slow_level(generator, rows)


def _business_days(generator: np.random.Generator, n_series: int, length: int) -> ndarray:
    """Draw five-day weeks with turns of the month upon a wandering level."""
    day = np.arange(length) + generator.integers(0, 5, (n_series, 1))
    week = np.take_along_axis(generator.standard_normal((n_series, 5)), day % 5, 1)
    month = _smooth_cycle(generator, day / 21.0, 4)
    rows = week * log_uniform(generator, 0.1, 1.0, n_series)
    rows += month * log_uniform(generator, 0.05, 1.0, n_series) * chance(generator, 0.5, n_series)
    steps = generator.standard_normal((n_series, length))
    rows += log_uniform(generator, 0.01, 0.5, n_series) * np.cumsum(steps, 1)
    return _on_slow_level(generator, rows)


def _yearly_cycle(generator: np.random.Generator, n_series: int, length: int) -> ndarray:
    """Draw weekly, monthly and quarterly series: a year multiplied by a trend, little noise."""
    per_year = generator.choice([12, 4, 52.18, 13], (n_series, 1), p=[0.6, 0.25, 0.1, 0.05])
    phase = (np.arange(length) + generator.integers(0, 12, (n_series, 1))) / per_year
    season = read_cycle(*cycle_tables(generator, per_year), phase % 1.0)
    deep = log_uniform(generator, 0.02, 0.6, n_series)
    exponent = deep * np.clip(season, -4, 4)
    month = np.arange(length) % 12
    counted = chance(generator, 0.2, n_series) * (per_year == 12)
    exponent = exponent + counted * np.log(MONTH_DAYS[month] / DAYS_A_MONTH)
    spacing = characteristic_length(generator, n_series, length)
    level = path(generator, length, spacing) * log_uniform(generator, 0.05, 1.2, n_series)
    growth = generator.normal(0, 0.004, (n_series, 1)) * chance(generator, 0.5, n_series)
    growth = np.clip(growth * np.arange(length), -5, 5)
    noise = log_uniform(generator, 0.002, 0.2, n_series)
    shocks = noise * generator.standard_normal((n_series, length), np.float32)
    return np.exp(np.clip(level, -3, 3) + growth + exponent + shocks)


def _day_shape(generator: np.random.Generator, phase: ndarray) -> ndarray:
    """Draw a day of any shape: a sum of smooth peaks, or a plain table."""
    shape = read_cycle(*cycle_tables(generator, np.full((len(phase), 1), 24.0)), phase)
    peaks = np.zeros(phase.shape)
    for _ in range(3):
        centre = generator.uniform(0.2, 0.95, (len(phase), 1))
        width = log_uniform(generator, 0.03, 0.2, len(phase))
        height = log_uniform(generator, 0.2, 2.0, len(phase))
        distance = np.abs(phase - centre)
        distance = np.minimum(distance, 1 - distance) / width
        peaks += height * np.exp(-0.5 * distance**2)
    return np.where(generator.random((len(phase), 1)) < 0.7, standardized(peaks), shape)


def _is_rest_day(generator: np.random.Generator, day: ndarray) -> ndarray:
    """Return True on two days a week (or one), and on rare holidays."""
    first_rest = np.where(generator.random((len(day), 1)) < 0.75, 5, 6)
    holiday = generator.random((len(day), int(day.max()) + 1)) < 0.02
    return (day % 7 >= first_rest) | np.take_along_axis(holiday, day, 1)


def _holidays(generator: np.random.Generator, day: ndarray) -> ndarray:
    """Draw up to four days a year with a peak or a trough, some with a run-up."""
    total = np.zeros(day.shape)
    for share in (0.9, 0.6, 0.4, 0.3):
        date = generator.integers(0, 365, (len(day), 1))
        until = (date - day) % DAYS_A_YEAR
        run_up = np.where(generator.random((len(day), 1)) < 0.5, 0.3, 10.0)
        size = generator.normal(0, 3, (len(day), 1)) * chance(generator, share, len(day))
        total += size * np.exp(-np.floor(until) / run_up)
    return total


def _smooth_cycle(generator: np.random.Generator, phase: ndarray, n_harmonics: int) -> ndarray:
    total = np.zeros(phase.shape)
    for order in range(1, n_harmonics + 1):
        shift = generator.random((len(phase), 1))
        total += generator.normal(0, 1 / order, (len(phase), 1)) * np.sin(
            2 * np.pi * (order * phase + shift)
        )
    return total


def _on_slow_level(generator: np.random.Generator, rows: ndarray) -> ndarray:
    """Set the rows upon a level, added or multiplied, that moves more slowly than they do."""
    n_series, length = rows.shape
    level = path(generator, length, _level_length(generator, n_series, length))
    size = log_uniform(generator, 0.05, 3.0, n_series) * chance(generator, 0.7, n_series)
    rows = standardized(rows)
    swing = log_uniform(generator, 0.1, 0.6, n_series)
    grown = np.exp(swing * np.clip(rows + size * level, -6, 6))
    return np.where(generator.random((n_series, 1)) < 0.5, grown, rows + size * level)


def _level_length(generator: np.random.Generator, n_series: int, length: int) -> Column:
    return np.maximum(64.0, characteristic_length(generator, n_series, length))
