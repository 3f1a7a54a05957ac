"""Levels held and left: shifts, stairs, on-off cycles, charging curves, epidemics.

Step processes of TempoPFN (Moroshan et al. 2025): thermostats, tariffs, stocks that are refilled,
machines, and waves of cases, as they are or cumulated.
"""

import numpy as np

from tsfm.shapes import Float64, ndarray
from tsfm.synthetic.draws import Column, log_uniform, standardized
from tsfm.synthetic.gaussian_process import slow_wave
from tsfm.synthetic.trend import characteristic_length


def steps(
    generator: np.random.Generator, n_series: int, length: int
) -> Float64[ndarray, "series time"]:
    """Draw each series from one of five kinds of process, at random."""
    kinds = (_stairs, _switching, _cycling, _charging, _epidemic)
    of_kind = generator.choice(len(kinds), n_series, p=[0.25, 0.2, 0.2, 0.15, 0.2])
    rows = np.empty((n_series, length))
    for kind, draw in enumerate(kinds):
        index = np.flatnonzero(of_kind == kind)
        if len(index):
            scale = characteristic_length(generator, len(index), length)
            rows[index] = draw(generator, length, scale)
    return standardized(rows)


def _stairs(generator: np.random.Generator, length: int, scale: Column) -> ndarray:
    """Draw levels that change at random, wander or climb, or stay within bounds."""
    shape = (len(scale), length)
    jump = generator.random(shape) < 2 / scale
    jump[np.arange(len(scale)), generator.integers(length // 4, 3 * length // 4, len(scale))] = True
    size = generator.standard_t(4, shape)
    kind = generator.random((len(scale), 1))
    climbing = np.cumsum(jump * np.where(kind < 0.2, np.abs(size), size), 1)
    last_jump = np.maximum.accumulate(np.where(jump, np.arange(length), 0), 1)
    return np.where(kind < 0.65, climbing, np.take_along_axis(size, last_jump, 1))


def _switching(generator: np.random.Generator, length: int, scale: Column) -> ndarray:
    """Draw on-off processes with random stays: a slow wave against one or two thresholds."""
    wave = slow_wave(generator, length, np.minimum(scale, length / 4))
    low = generator.uniform(-0.8, 0.3, (len(scale), 1))
    levels = (wave > low) * 1.0
    second = (wave > low + 0.8) * generator.uniform(0, 1, (len(scale), 1))
    return levels + second


def _cycling(generator: np.random.Generator, length: int, scale: Column) -> ndarray:
    """Draw on-off cycles: nearly regular, with a duty that changes slowly."""
    period = log_uniform(generator, 4.0, 200.0, len(scale))
    unsteady = log_uniform(generator, 0.001, 0.5, len(scale))
    phase = np.arange(length) / period + unsteady * slow_wave(generator, length, scale)
    phase = (phase + generator.random((len(scale), 1))) % 1.0
    duty = generator.uniform(0.15, 0.8, (len(scale), 1))
    duty = duty + 0.15 * slow_wave(generator, length, scale)
    cooling = np.where(phase < duty, phase / duty, (1 - phase) / (1 - duty))
    return np.where(generator.random((len(scale), 1)) < 0.6, phase < duty, cooling)


def _charging(generator: np.random.Generator, length: int, scale: Column) -> ndarray:
    """Draw first-order answers to a switch: up towards one level, down towards another."""
    period = np.maximum(8, scale * generator.uniform(0.3, 1, scale.shape))
    wave = slow_wave(generator, length, scale) * generator.uniform(0, 0.3, scale.shape)
    phase = np.arange(length) / period + wave + generator.random(scale.shape)
    position = phase % 1.0
    duty = generator.uniform(0.1, 0.95, scale.shape)
    speed = log_uniform(generator, 1.0, 12.0, len(scale))
    reached = 1 - np.exp(-speed * duty)
    rising = 1 - np.exp(-speed * np.minimum(position, duty))
    falling = reached * np.exp(-speed * np.maximum(position - duty, 0))
    return np.where(position < duty, rising, falling)


def _epidemic(generator: np.random.Generator, length: int, scale: Column) -> ndarray:
    """Draw logistic waves of cases at random times, as rates or cumulated."""
    n_waves = 4
    rate = np.zeros((len(scale), length))
    total = np.zeros((len(scale), length))
    for _ in range(n_waves):
        width = scale * generator.uniform(0.05, 0.3, scale.shape)
        along = (np.arange(length) - generator.uniform(0, length, scale.shape)) / width
        reached = 1 / (1 + np.exp(-np.clip(along, -40, 40)))
        size = log_uniform(generator, 0.2, 5.0, len(scale))
        rate += size * reached * (1 - reached)
        total += size * reached
    return np.where(generator.random(scale.shape) < 0.5, standardized(rate), standardized(total))
