"""The comparison with other packages runs, whichever of them are installed."""

import sys

import numpy as np
import polars as pl
import pytest

from tsfm.evaluation.rivals import Rival
from tsfm.series.cards import find_file, load_card
from tsfm.tasks.forecasting.baselines import SeasonalNaive


@pytest.fixture
def side_by_side(checkout, monkeypatch):
    monkeypatch.syspath_prepend(str(checkout / "benchmarks" / "peers"))
    import side_by_side

    yield side_by_side
    for name in ("side_by_side", "peers", "small_series"):
        sys.modules.pop(name, None)


def test_windows_are_the_last_ones_and_know_nothing_of_their_targets(side_by_side) -> None:
    found = side_by_side.windows("made", [np.arange(100.0), np.arange(25.0)], 7)
    horizon, _ = side_by_side.horizon_and_freq(7)
    assert found.targets.shape == (5 + 1, horizon, 1)
    for item, start in enumerate(found.offsets[:-1]):
        context = found.contexts[start : found.offsets[item + 1], 0]
        assert found.targets[item, 0, 0] == context[-1] + 1


def test_the_small_series_are_scored_and_shown(side_by_side, tmp_path, monkeypatch, capsys) -> None:
    pytest.importorskip("statsmodels", reason="the small series come with statsmodels")
    naive = Rival("last value", "model", SeasonalNaive(1), ("daily_mix",), n_parameters=0)
    monkeypatch.setattr(side_by_side, "load_rival", lambda _: naive)
    monkeypatch.setattr(sys, "argv", ["side_by_side.py", "--peers", "--output", str(tmp_path)])
    monkeypatch.delenv("TSFM_DATA", raising=False)
    side_by_side.main()
    page = (tmp_path / "side_by_side.md").read_text()
    assert page.strip() == capsys.readouterr().out.strip()
    assert "| MASE ratio " in page
    assert "| seasonal naive |" in page
    assert "co2" in page
    assert "nile" in page
    assert "seen)" not in page


def test_what_a_model_was_trained_on_is_marked_and_left_out_once(side_by_side) -> None:
    rows = pl.DataFrame(
        {
            "group": "pool",
            "dataset": ["a", "b"],
            "model": "mine",
            "label": ["seen", "zero-shot"],
            "parameters": 7,
            "mase_ratio": [0.5, 0.25],
            "wql_ratio": [0.4, 0.2],
            "coverage_80": 0.8,
            "seconds": 1.0,
        }
    )
    page = side_by_side.render(rows)
    assert page.count("(seen) |") == 2
    rest = page.split("Without what was seen, a:")[1]
    assert "| mine  |          7 |      0.250 |     0.200 |" in rest


def test_what_a_pool_leaves_out_is_all_there(side_by_side, tmp_path) -> None:
    pytest.importorskip("statsmodels", reason="the small series come with statsmodels")
    import small_series

    small_series.main(str(tmp_path / "small.parquet"))
    written = pl.read_parquet(tmp_path / "small.parquet")
    found = small_series.small_series()
    expected = {f"{name}_{i}" for name, columns in found.items() for i in range(len(columns))}
    for name, items in small_series.NEAR_COPIES.items():
        if find_file(load_card(name)):
            expected |= {f"{name}_{i}" for i in range(len(items))}
    assert set(written["item_id"]) == expected
    assert written.filter(pl.col("item_id") == "nile_0").height == 100
