"""Scores against slow loops and against fev and scikit-learn, on ragged data with gaps."""

import numpy as np
import pytest

from tsfm.metrics.forecasting import (
    coverage,
    mae,
    mase,
    mse,
    rmse,
    seasonal_error,
    smape,
    weighted_quantile_loss,
)

LEVELS = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
SEASONALITY = 3


@pytest.fixture
def case() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    lengths = np.array([9, 4, 20, 7])
    values = generator.normal(size=(lengths.sum(), 1)) * 10
    values[generator.random(values.shape) < 0.15] = np.nan
    target = generator.normal(size=(4, 5, 1)) * 10
    target[generator.random(target.shape) < 0.2] = np.nan
    quantiles = np.sort(generator.normal(size=(4, 9, 5, 1)) * 10, axis=1)
    return {
        "values": values,
        "lengths": lengths,
        "offsets": np.concatenate([[0], np.cumsum(lengths)]),
        "target": target,
        "quantiles": quantiles,
        "median": quantiles[:, 4],
    }


def by_hand(case: dict[str, np.ndarray]) -> dict[str, float]:
    """Every score with loops over items, steps and levels."""
    scaled, covered, per_level = [], [], []
    for item in range(4):
        start, end = case["offsets"][item : item + 2]
        context = case["values"][start:end, 0]
        steps = [
            abs(context[t] - context[t - SEASONALITY]) for t in range(SEASONALITY, end - start)
        ]
        steps = [step for step in steps if not np.isnan(step)]
        for step in range(5):
            y = case["target"][item, step, 0]
            if np.isnan(y):
                continue
            covered.append(
                case["quantiles"][item, 0, step, 0] <= y <= case["quantiles"][item, 8, step, 0]
            )
            if steps:
                error = abs(y - case["median"][item, step, 0])
                scaled.append(error / (sum(steps) / len(steps)))
    for index, level in enumerate(LEVELS):
        loss = total = 0.0
        for item in range(4):
            for step in range(5):
                y = case["target"][item, step, 0]
                if np.isnan(y):
                    continue
                error = y - case["quantiles"][item, index, step, 0]
                loss += 2 * (level * error if error >= 0 else (level - 1) * error)
                total += abs(y)
        per_level.append(loss / total)
    return {
        "mase": sum(scaled) / len(scaled),
        "wql": sum(per_level) / len(per_level),
        "coverage": sum(covered) / len(covered),
    }


def test_mase_wql_and_coverage_equal_loops(case):
    expected = by_hand(case)
    scale = seasonal_error(case["values"], case["offsets"], SEASONALITY)
    quantiles = case["quantiles"]
    assert mase(case["target"], case["median"], scale) == pytest.approx(expected["mase"])
    wql = weighted_quantile_loss(case["target"], quantiles, LEVELS)
    assert wql == pytest.approx(expected["wql"])
    found = coverage(case["target"], quantiles[:, 0], quantiles[:, -1])
    assert found == pytest.approx(expected["coverage"])


@pytest.mark.parametrize("name", ["MAE", "MSE", "RMSE", "SMAPE", "MASE", "WQL"])
def test_scores_equal_fev(case, name):
    metrics = pytest.importorskip("fev.metrics", reason="fev is not installed")
    expected = metrics.get_metric(name).compute(
        y_true=case["target"],
        y_pred=case["median"],
        y_past=case["values"],
        y_past_lengths=case["lengths"],
        q_pred=np.moveaxis(case["quantiles"], 1, -1),
        seasonality=SEASONALITY,
        quantile_levels=LEVELS,
    )
    scale = seasonal_error(case["values"], case["offsets"], SEASONALITY)
    ours = {
        "MAE": lambda: mae(case["target"], case["median"]),
        "MSE": lambda: mse(case["target"], case["median"]),
        "RMSE": lambda: rmse(case["target"], case["median"]),
        "SMAPE": lambda: smape(case["target"], case["median"]),
        "MASE": lambda: mase(case["target"], case["median"], scale),
        "WQL": lambda: weighted_quantile_loss(case["target"], case["quantiles"], LEVELS),
    }[name]()
    assert ours == pytest.approx(expected, rel=1e-12)


def test_scores_equal_scikit_learn(case):
    from sklearn import metrics

    observed = ~np.isnan(case["target"])
    target, median = case["target"][observed], case["median"][observed]
    assert mae(case["target"], case["median"]) == pytest.approx(
        metrics.mean_absolute_error(target, median)
    )
    assert rmse(case["target"], case["median"]) == pytest.approx(
        metrics.root_mean_squared_error(target, median)
    )
    pinball = [
        metrics.mean_pinball_loss(target, case["quantiles"][:, index][observed], alpha=level)
        for index, level in enumerate(LEVELS)
    ]
    expected = 2 * np.mean(pinball) / np.mean(np.abs(target))
    found = weighted_quantile_loss(case["target"], case["quantiles"], LEVELS)
    assert found == pytest.approx(expected)
