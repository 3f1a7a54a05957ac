"""A table is what is read: a mean without its error, or a leak without its name, misleads."""

import numpy as np
import polars as pl
import pytest

from tsfm.jobs.backtest_tables import metrics, render


@pytest.fixture
def rows() -> pl.DataFrame:
    """Two seeds, the market and random picks at two costs."""
    of_scores = {"ic": 0.01, "ic_t": 1.5, "icir": 0.1, "precision": 0.52}
    of_scores |= {"rank_ic": 0.02, "rank_ic_t": 2.0, "rank_icir": 0.2}
    portfolio = {"irr": 0.1, "sharpe": 1.0, "max_drawdown": -0.2, "turnover": 1.5}
    portfolio["break_even_bps"] = 7.25
    found = []
    for cost in (0.0, 10.0):
        key = {"cost_bps": cost, **portfolio}
        for seed in (0, 1):
            changed = {**of_scores, "ic": 0.01 + 0.02 * seed, "sharpe": 1.0 - seed}
            found.append(
                {"model": "ranker", "kind": "ranker", "seed": seed, "top_k": 5, **key, **changed}
            )
        found.append({"model": "market", "kind": "rival", **key, "sharpe": 1.53})
        band = {"sharpe": 0.9, "sharpe_low": -0.71, "sharpe_high": 2.55}
        found.append({"model": "random picks", "kind": "rival", "top_k": 5, **key, **band})
    return pl.DataFrame(found, infer_schema_length=None)


@pytest.fixture
def report() -> dict[str, object]:
    windows = {
        "fill": "open",
        "execution_lag": 1,
        "features": {"normalization": "last_close"},
        "universe": {"rule": "trailing"},
    }
    return {
        "recipe": "mine",
        "config": {"run": {"seeds": [0, 1]}, "ranker": {"windows": windows}},
        "panel": {
            "name": "stock_rsr_nasdaq",
            "stocks": 1026,
            "sectors": 112,
            "stocks_per_test_day": 1000.4,
            "test_days": 237,
            "first_test_day": "2016-12-30",
            "last_test_day": "2017-12-07",
        },
        "folds": [{"seen": 0.0, "test_days": 237}],
        "luck": [
            {
                "top_k": 5,
                "cost_bps": 10.0,
                "n_runs": 7,
                "n_trials": 21,
                "sharpe": 1.25,
                "best_by_luck": 1.9,
                "deflated_sharpe": 0.2,
                "n_compared": 21,
                "overfitting": 0.61,
            }
        ],
        "look_ahead": {"cutoffs": ["2017-02-01"] * 4, "ok": True},
        "pretext": {0: {"stock_code/accuracy": 0.1}, 1: {"stock_code/accuracy": 0.3}},
        "parameters": 12345,
        "seconds": 120.0,
    }


def test_means_stand_with_their_standard_error(
    report: dict[str, object], rows: pl.DataFrame
) -> None:
    text = render(report, rows)
    assert "0.0200 ± 0.0100" in text  # of 0.01 and 0.03
    assert "0.50 ± 0.50" in text  # Sharpe ratios of 1 and 0
    assert "0.2000 ± 0.1000" in text  # accuracy
    assert "1.53" in text
    assert "0.90 (-0.71 to 2.55)" in text
    assert "Sharpe, 10 bp" in text
    assert "bought at the next open and held for a day" in text
    assert "so many days is 1.0" in text
    assert "After 4 test days all bars, members and halts were changed: no score" in text
    assert "0.0010 of the stocks, 0.0089 of the sectors" in text
    assert "21 portfolios of rankers were tried on this panel in 7 logged runs" in text
    assert "| the 5 best, 10 bp | 1.25 | 1.90 | 0.200 | 0.61 |" in " ".join(text.split())


def test_what_looks_ahead_is_named_and_its_share_is_told(
    report: dict[str, object], rows: pl.DataFrame
) -> None:
    windows = report["config"]["ranker"]["windows"]  # type: ignore[index]
    windows["features"]["normalization"] = "whole_maximum"
    windows["universe"]["rule"] = "whole_period"
    windows |= {"fill": "close", "execution_lag": 3}
    report["look_ahead"] = {
        "cutoffs": ["2017-02-01"],
        "ok": False,
        "moved_share": 0.66,
        "largest_move": 12.3,
        "first_moved": "2017-01-30",
        "hidden_days": 120,
        "seen_ic": [0.01, 0.03],
        "seen_rank_ic": [0.02, 0.02],
        "hidden_ic": [0.0, 0.01],
        "hidden_rank_ic": [0.0, 0.02],
    }
    text = render(report, rows)
    assert "**Look-ahead**" in text
    assert "maximum of all days" in text
    assert "the universe is chosen with the bars of all days" in text
    assert "the close that the score has seen, 2 days later" in text
    assert "66% of the scores up to them moved, by up to 12 standard deviations" in text
    assert "The same weights on 120 test days" in text
    assert "0.0050 ± 0.0050" in text
    assert "75%" in text  # of 0.02 only 0.005 is left
    assert "50%" in text


def test_folds_and_what_a_checkpoint_has_seen_are_named(
    report: dict[str, object], rows: pl.DataFrame
) -> None:
    assert "**Seen**" not in render(report, rows)
    assert "## Folds" not in render(report, rows)
    fold = {
        "fold": 0,
        "first_train_day": "2013-01-02",
        "last_train_day": "2015-12-29",
        "last_validation_day": "2016-12-28",
        "first_test_day": "2016-12-30",
        "last_test_day": "2017-06-30",
        "test_days": 137,
        "seen": 1.0,
        "ic": 0.0123,
        "rank_ic": 0.0234,
    }
    report["folds"] = [fold, {**fold, "fold": 1, "test_days": 100, "seen": 0.0}]
    text = " ".join(render(report, rows).split())
    assert "may have seen 58% of the test days; what is found on them is no evidence" in text
    line = "| 0 | 2013-01-02 to 2015-12-29 | 2016-12-28 | 2016-12-30 to 2017-06-30 | 100% |"
    assert f"{line} 0.0123 | 0.0234 |" in text


def test_without_pretext_tasks_there_is_no_table_of_them(
    report: dict[str, object], rows: pl.DataFrame
) -> None:
    assert "pre-training learned" in render(report, rows)
    report["pretext"] = {0: {}, 1: {}}
    assert "pre-training learned" not in render(report, rows)


def test_metrics_are_means_under_paths_without_gaps(rows: pl.DataFrame) -> None:
    found = metrics(rows)
    assert found["stocks/ranker/top5/0bps/ic"] == pytest.approx(0.02)
    assert found["stocks/market/top0/10bps/sharpe"] == pytest.approx(1.53)
    assert "stocks/market/top0/0bps/ic" not in found
    assert all(np.isfinite(value) for value in found.values())


def test_what_is_no_number_is_left_out(report: dict[str, object], rows: pl.DataFrame) -> None:
    nan = float("nan")
    one_day = rows.with_columns(
        pl.when(pl.col(one).is_not_null()).then(nan).alias(one)
        for one in ("sharpe", "sharpe_low", "sharpe_high")
    )
    luck: dict[str, object] = dict(report["luck"][0])  # type: ignore[index]
    luck |= {"sharpe": nan, "best_by_luck": nan, "deflated_sharpe": nan, "overfitting": nan}
    text = render({**report, "luck": [luck]}, one_day)
    assert "nan" not in text
    assert "| the 5 best, 10 bp | | | | |" in " ".join(text.split())
