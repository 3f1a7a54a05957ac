"""The season of a frame's frequency may help where nothing else can say, and must not hurt."""

from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

from tsfm.tasks.imputation.interpolation import linear
from tsfm.tasks.imputation.rows import IrregularStampsWarning, read_rows
from tsfm.tasks.imputation.season import FULL_SHARE, season_weight, toward_season
from tsfm.tasks.impute import Imputer

DAY, START = 96, datetime(2024, 1, 1)
STEP = np.arange(2 * DAY)


@pytest.fixture(scope="module")
def imputer() -> Imputer:
    return Imputer.from_pretrained("tsfm-fill", device="cpu")


def days(generator: np.random.Generator, n_series: int = 12) -> np.ndarray:
    """Two days of quarters of an hour: the sun, a peak in the evening, noise."""
    hour = STEP % DAY / 4
    sun = np.maximum(np.sin((hour - 6) * np.pi / 12), 0.0)
    peak = np.exp(-((hour - generator.uniform(18, 21, size=(n_series, 1))) ** 2))
    return 4 * sun + 2 * peak + 0.1 * generator.normal(size=(n_series, len(STEP)))


def with_gap(values: np.ndarray, first: int, last: int) -> np.ndarray:
    gappy = values.copy()
    gappy[..., first:last] = np.nan
    return gappy


def fill(imputer: Imputer, windows: np.ndarray, **options) -> np.ndarray:
    offsets = np.arange(len(windows) + 1) * windows.shape[1]
    return imputer.impute_arrays(windows.reshape(-1, 1), offsets, **options)[0].reshape(
        windows.shape
    )


def quarters(values: np.ndarray) -> pl.DataFrame:
    stamps = [START + timedelta(minutes=15 * step) for step in range(len(values))]
    return pl.DataFrame({"timestamp": stamps, "target": values}).with_columns(
        pl.col("target").fill_nan(None)
    )


@pytest.mark.parametrize(("first", "last"), [(132, 180), (96, 192), (60, 108)])
def test_two_days_with_half_a_day_missing_are_filled_better_than_by_a_line(
    imputer, generator, first: int, last: int
) -> None:
    """Also a whole day, of which only the end of the other day and its beginning can tell."""
    error = {"frame": 0.0, "steps": 0.0, "line": 0.0}
    for values in days(generator):
        gappy = with_gap(values, first, last)
        frame = quarters(gappy)
        steps = frame.with_columns(timestamp=pl.int_range(pl.len()))
        found = {name: imputer.impute(data) for name, data in (("frame", frame), ("steps", steps))}
        filled = {name: one["target"].to_numpy() for name, one in found.items()}
        for name, one in {**filled, "line": linear(gappy[None])[0]}.items():
            error[name] += np.abs(one - values)[first:last].sum()
        seen = np.isfinite(gappy)
        assert np.array_equal(filled["frame"][seen], values[seen])
    assert error["frame"] < 0.8 * error["line"]
    assert error["frame"] < 0.9 * error["steps"]


def test_random_walks_are_not_filled_worse(imputer, generator) -> None:
    """But for the few that look like days by chance: 0.7 ± 0.4 % over a thousand walks."""
    walks = generator.normal(size=(200, len(STEP))).cumsum(1)
    for first, last in ((132, 180), (96, 192)):
        gappy = with_gap(walks, first, last)
        told, untold = (
            np.abs(fill(imputer, gappy, seasonality=season) - walks).sum() for season in (DAY, 1)
        )
        assert told < 1.02 * untold
        weight = season_weight(np.nan_to_num(gappy), np.isfinite(gappy), DAY)
        assert (weight > 0).mean() < 0.15
        assert weight.mean() < 0.05


def test_only_long_gaps_of_short_windows_move(imputer, generator) -> None:
    week = np.tile(days(generator, 3), 4)[:, : 7 * DAY]
    short = with_gap(days(generator, 3), 130, 160)
    for windows in (with_gap(week, 132, 180), short):
        assert np.array_equal(fill(imputer, windows, seasonality=DAY), fill(imputer, windows))
    both = with_gap(with_gap(days(generator, 3), 132, 180), 20, 24)
    told, untold = fill(imputer, both, seasonality=DAY), fill(imputer, both)
    assert np.array_equal(told[:, :132], untold[:, :132])
    assert (told[:, 132:180] != untold[:, 132:180]).mean() > 0.9


def test_a_phase_that_is_never_seen_stays_as_the_model_has_it(imputer, generator) -> None:
    gappy = with_gap(with_gap(days(generator, 3), 40, 80), 40 + DAY, 80 + DAY)
    assert np.array_equal(fill(imputer, gappy, seasonality=DAY), fill(imputer, gappy))


def test_levels_move_together_and_units_do_not_matter(imputer, generator) -> None:
    gappy = with_gap(days(generator, 3), 132, 180)
    offsets, levels = np.arange(4) * len(STEP), (0.1, 0.5, 0.9)

    def filled(windows: np.ndarray, season: int) -> np.ndarray:
        columns = windows.reshape(-1, 1)
        found = imputer.impute_arrays(columns, offsets, levels, seasonality=season)
        return found[..., 0].reshape(3, *windows.shape)

    told, untold = filled(gappy, DAY), filled(gappy, 1)
    np.testing.assert_allclose(np.diff(told, axis=0), np.diff(untold, axis=0), atol=1e-9)
    moved = filled(7 * gappy - 30, DAY)
    np.testing.assert_allclose(moved, 7 * told - 30, atol=1e-2)


def test_no_series_depends_on_its_batch(imputer, generator) -> None:
    gappy = with_gap(days(generator, 7), 132, 180)
    together = fill(imputer, gappy, seasonality=DAY)
    for one, row in enumerate(gappy):
        known, alone = np.isfinite(gappy), np.isfinite(row)[None]
        weights = season_weight(np.nan_to_num(gappy), known, DAY)
        assert season_weight(np.nan_to_num(row)[None], alone, DAY)[0] == weights[one]
    alone = fill(imputer, gappy, seasonality=DAY, batch_size=1)
    np.testing.assert_allclose(alone, together, atol=1e-5)


def test_the_causal_mode_has_no_season_and_knows_nothing_of_later_rows(generator) -> None:
    causal = Imputer.from_pretrained("tsfm-small", device="cpu")
    gappy = with_gap(days(generator, 1), 60, 108)
    before = fill(causal, gappy, mode="causal", seasonality=DAY)
    assert np.array_equal(before, fill(causal, gappy, mode="causal"))
    other = gappy.copy()
    other[:, 108:] = 9 * generator.normal(size=84)
    after = fill(causal, other, mode="causal", seasonality=DAY)
    np.testing.assert_allclose(after[:, :108], before[:, :108], atol=1e-5)


def test_the_weight_is_that_of_the_distances_of_pairs(generator) -> None:
    """A slow version, value by value."""
    values = np.sin(np.arange(60) * np.pi / 12) + 0.3 * generator.normal(size=60)
    observed = generator.random(60) < 0.7
    near, far = [], []
    for later in range(60):
        for earlier in range(later):
            if observed[later] and observed[earlier]:
                square = (values[later] - values[earlier]) ** 2
                if 22 <= later - earlier <= 26:
                    near.append(square)
                if later - earlier in (6, 8, 10, 12, 14, 16, 18):
                    far.append(square)
    ratio = np.sqrt(np.mean(near) / np.mean(far))
    expected = FULL_SHARE * np.clip((0.5 - ratio) / 0.3, 0, 1)
    assert 0 < expected < FULL_SHARE
    shown = np.where(observed, values, 0.0)[None]
    assert season_weight(shown, observed[None], 24)[0] == pytest.approx(expected)


def test_what_cannot_tell_has_no_weight() -> None:
    step = np.arange(48)
    constant, few = np.full((1, 48), 3.0), np.sin(step * np.pi / 12)[None]
    seen = np.ones((1, 48), bool)
    assert season_weight(constant, seen, 24)[0] == 0
    # One day less an hour: two values lie a season apart, nearly, and two pairs are too few.
    assert season_weight(few, (step < 23)[None], 24)[0] == 0
    assert season_weight(few, (step < 24)[None], 24)[0] > 0


def test_padding_is_no_gap_and_short_seasons_are_left_to_the_model(generator) -> None:
    values = np.sin(np.arange(48) * np.pi / 12)[None]
    inside = np.arange(48)[None] >= 12
    nothing = np.zeros((1, 48))
    shown = np.where(inside, values, 0.0)
    assert not toward_season(nothing, shown, inside, inside, 24).any()
    observed = inside & ~((np.arange(48) >= 24) & (np.arange(48) < 30))[None]
    shown = np.where(observed, values, 0.0)
    assert not toward_season(nothing, shown, observed, inside, 7).any()


@pytest.mark.parametrize(
    ("step", "season"), [("15m", 96), ("1h", 24), ("1d", 1), ("1mo", 12), ("7m", 1)]
)
def test_a_frame_tells_the_season_of_its_frequency(step: str, season: int) -> None:
    end = START + timedelta(days=400 if step in ("1d", "1mo") else 2)
    stamps = pl.datetime_range(START, end, step, time_unit="us", eager=True)
    frame = pl.DataFrame({"timestamp": stamps, "target": np.arange(len(stamps)) * 1.0})
    assert read_rows(frame).seasonality == season


def test_frames_without_a_clock_tell_no_season() -> None:
    assert read_rows(pl.DataFrame({"timestamp": range(9), "target": range(9)})).seasonality == 1
    assert read_rows(pl.DataFrame({"timestamp": [START], "target": [1.0]})).seasonality == 1
    ragged = [START + timedelta(minutes=minute) for minute in (0, 7, 14, 20, 27, 35)]
    frame = pl.DataFrame({"timestamp": ragged, "target": range(6)})
    with pytest.warns(IrregularStampsWarning):
        assert read_rows(frame).seasonality == 1


def test_steps_within_trading_hours_have_no_season_of_a_whole_day() -> None:
    opens = [datetime(2024, 1, day, 15) for day in (2, 3)]
    bars = [first + timedelta(minutes=15 * bar) for first in opens for bar in range(20)]
    frame = pl.DataFrame({"timestamp": bars, "target": range(40)})
    zoned = frame.with_columns(pl.col("timestamp").dt.replace_time_zone("UTC"))
    assert read_rows(zoned, calendar="XNYS").seasonality == 1
