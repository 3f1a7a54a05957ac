"""Features are all that a model sees: one that knows the future makes every test worthless."""

from collections.abc import Callable

import numpy as np
import pytest

from tsfm.errors import ConfigError
from tsfm.stocks.features import (
    LOG_PRICE_UNIT,
    FeatureConfig,
    StockFeatures,
    make_features,
    moving_averages,
)
from tsfm.stocks.panel import StockPanel

MakePanel = Callable[..., StockPanel]
NAN = float("nan")
ALL = np.arange(8)


def test_an_average_is_that_of_the_days_that_have_a_bar() -> None:
    values = np.random.default_rng(0).random((30, 4))
    values[values < 0.3] = NAN
    for span, found in zip((2, 7), moving_averages(values, (2, 7)), strict=True):
        for day in range(30):
            rows = values[max(0, day + 1 - span) : day + 1]
            known = np.isfinite(rows)
            expected = [
                rows[known[:, one], one].mean() if known[:, one].any() else NAN for one in range(4)
            ]
            np.testing.assert_allclose(found[day], expected)


def test_a_window_is_relative_to_its_last_close(make_panel: MakePanel) -> None:
    panel = make_panel([[100.0], [110.0], [121.0]])
    features = make_features(panel, FeatureConfig(averages=(2,)))
    values, observed, inside = features.window(2, np.array([0]), 3)
    np.testing.assert_allclose(
        values[0, :, 1] * LOG_PRICE_UNIT, np.log([100 / 121, 110 / 121, 1]), atol=1e-6
    )
    np.testing.assert_allclose(
        values[0, :, 0] * LOG_PRICE_UNIT, np.log([100 / 121, 105 / 121, 115.5 / 121]), atol=1e-6
    )
    assert observed.all()
    assert inside.all()


def test_a_window_does_not_know_its_level(make_panel: MakePanel) -> None:
    close = np.random.default_rng(0).uniform(10, 20, (12, 2))
    plain, high = (
        make_features(make_panel(close * factor), FeatureConfig()).window(11, ALL[:2], 8)[0]
        for factor in (1, 50)
    )
    np.testing.assert_allclose(plain, high, atol=1e-4)


def test_the_released_scale_is_the_highest_of_all_days_and_ours_of_the_days_so_far(
    make_panel: MakePanel,
) -> None:
    panel = make_panel([[10.0], [20.0], [15.0], [40.0]])
    released = make_features(panel, FeatureConfig(averages=(), normalization="whole_maximum"))
    running = make_features(panel, FeatureConfig(averages=(), normalization="running_maximum"))
    np.testing.assert_allclose(
        released.window(2, np.array([0]), 3)[0][0, :, 0], [10 / 40, 20 / 40, 15 / 40]
    )
    np.testing.assert_allclose(
        running.window(2, np.array([0]), 3)[0][0, :, 0], [10 / 20, 20 / 20, 15 / 20]
    )
    assert released.config.looks_ahead
    assert not running.config.looks_ahead
    assert not FeatureConfig().looks_ahead


def test_the_running_scale_is_the_released_one_of_a_panel_that_ends_today(
    panel: StockPanel,
) -> None:
    running = make_features(panel, FeatureConfig(columns="all", normalization="running_maximum"))
    for day in (20, 55, 80):
        known = make_features(
            panel.head(day + 1), FeatureConfig(columns="all", normalization="whole_maximum")
        )
        for one, other in zip(
            running.window(day, ALL, 10), known.window(day, ALL, 10), strict=True
        ):
            np.testing.assert_array_equal(one, other)


def test_volume_is_relative_to_its_own_level(make_panel: MakePanel) -> None:
    close = np.full((40, 1), 10.0)
    fields = dict.fromkeys(("open", "high", "low"), close)
    volume = np.full((40, 1), 1000.0)
    volume[39] = 2000
    volume[38] = 0
    features = make_features(
        make_panel(close, **fields, volume=volume), FeatureConfig(columns="all", averages=())
    )
    values, observed, _ = features.window(39, np.array([0]), 3)
    usual = (28 * np.log(1000) + np.log(2000)) / 29
    np.testing.assert_allclose(values[0, 2, 4], np.log(2000) - usual, atol=1e-5)
    np.testing.assert_array_equal(observed[0, :, 4], [True, False, True])
    assert observed[0, :, :4].all()


def test_days_before_the_first_bar_are_padding_and_gaps_are_not(make_panel: MakePanel) -> None:
    panel = make_panel([[1.0, NAN], [1.0, 2.0], [1.0, NAN], [1.0, 2.0]])
    features = make_features(panel, FeatureConfig(averages=()))
    values, observed, inside = features.window(3, np.array([0, 1]), 6)
    np.testing.assert_array_equal(inside[0], [False, False, True, True, True, True])
    np.testing.assert_array_equal(inside[1], [False, False, False, True, True, True])
    np.testing.assert_array_equal(observed[1, :, 0], [False, False, False, True, False, True])
    assert not values[~observed].any()


def test_a_stock_without_a_bar_shows_nothing(make_panel: MakePanel) -> None:
    features = make_features(make_panel([[1.0, NAN], [2.0, NAN]]), FeatureConfig())
    values, observed, inside = features.window(1, np.array([1]), 2)
    assert not values.any()
    assert not observed.any()
    assert not inside.any()


@pytest.mark.parametrize("normalization", ["last_close", "running_maximum", "whole_maximum"])
def test_late_windows_are_the_same_without_the_early_days(
    panel: StockPanel, normalization: str
) -> None:
    config = FeatureConfig(columns="all", normalization=normalization)  # type: ignore[arg-type]
    whole, late = make_features(panel, config), make_features(panel, config, first_row=60)
    for one, other in zip(whole.window(75, ALL, 16), late.window(75, ALL, 16), strict=True):
        np.testing.assert_array_equal(one, other)
    assert not late.observed[:60].any()


def test_spans_and_the_place_of_the_close_fit_the_columns(panel: StockPanel) -> None:
    config = FeatureConfig(columns="all", averages=(5, 10))
    assert config.spans == (5, 10, 1) * 5
    features: StockFeatures = make_features(panel, config)
    assert features.levels.shape[2] == len(config.spans)
    has_close = np.isfinite(panel["close"])
    np.testing.assert_allclose(
        features.levels[..., config.close_channel][has_close],
        np.log(panel["close"][has_close]),
        rtol=1e-6,
    )
    assert FeatureConfig().close_channel == 4


def test_fields_that_are_not_there_are_named(make_panel: MakePanel) -> None:
    with pytest.raises(ConfigError, match=r"without \['open', 'high', 'low', 'volume'\]; use"):
        make_features(make_panel([[1.0]]), FeatureConfig(columns="all"))
