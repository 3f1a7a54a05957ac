"""A backtest and an audit of a file of one's own: no card, awkward but legal bars."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tsfm import cli
from tsfm.config import load_recipe
from tsfm.errors import TsfmError
from tsfm.jobs import audit, backtest
from tsfm.stocks.simulation import SimulationConfig, simulated_panel
from tsfm.tracking import ListTracker

N_DAYS, N_STOCKS = 130, 8
# Windows short enough for so few days.
SMALL = (
    "panel.start=2013-01-01",
    "panel.end=2013-07-01",
    "split.train_start=2013-03-25",
    "split.validation_start=2013-05-06",
    "split.test_start=2013-06-03",
    "ranker.model={d_model=8,d_ff=8,n_heads=2}",
    "ranker.windows.context_length=6",
    "ranker.pretrain.epochs=0.1",
    "ranker.finetune.epochs=0.1",
    "ranker.validation_days=2",
    "backtest.top_k=[2]",
    "backtest.n_random=10",
    "backtest.audit_cutoffs=2",
    "run.device=cpu",
    "run.seeds=[0]",
)


@pytest.fixture
def bars() -> pl.DataFrame:
    """Text days, shuffled; S0002 ends before the test, S0003 in it, S0004 begins late; gaps."""
    panel = simulated_panel(SimulationConfig(n_stocks=N_STOCKS, n_days=N_DAYS, missing=0.01))
    day, stock = np.divmod(np.arange(N_DAYS * N_STOCKS), N_STOCKS)
    frame = pl.DataFrame(
        {
            "Date": panel.days[day].astype("datetime64[D]").astype(str),
            "Ticker": np.array(panel.stocks)[stock],
            "Sector": np.array(panel.sectors)[panel.sector[stock]],
            **{
                name.title(): panel.bars[..., place].ravel()
                for place, name in enumerate(panel.fields)
            },
        }
    ).with_columns(pl.col("Close").fill_nan(None))
    gone = ((stock == 2) & (day > 80)) | ((stock == 3) & (day > 118)) | ((stock == 4) & (day < 60))
    return frame.filter(~gone).drop_nulls("Close").sample(fraction=1, shuffle=True, seed=0)


def test_a_long_file_is_traded_and_audited(
    bars: pl.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bars.write_csv(tmp_path / "mine.csv")
    settings = [f"panel.dataset={tmp_path / 'mine.csv'}", f"run.output={tmp_path / 'run'}", *SMALL]
    quiet = [*settings, "tracking.enabled=false"]
    assert cli.main(["backtest", "sspt_nasdaq_corrected", "--set", *quiet]) == 0
    assert "mine: 8 stocks" in capsys.readouterr().out
    assert "no score up to them moved" in (tmp_path / "run" / "results.md").read_text()
    recipe = load_recipe("sspt_nasdaq_corrected", settings)
    found = audit.run(recipe, strict=True, n_cutoffs=3, output=tmp_path / "audit")
    assert found["ok"]
    assert {check["where"] for check in found["checks"]} == {"mine"}


def test_every_rule_of_the_api_stands_beside_market_and_luck(
    bars: pl.DataFrame, tmp_path: Path
) -> None:
    bars.write_parquet(tmp_path / "mine.parquet")
    rules = {
        "long_short": '{rule="long_short",top_k=2}',
        "quantile": '{rule="quantile",n_quantiles=4}',
        "neutral": '{rule="long_short",top_k=1,sector_neutral=true}',
        "calm": "{top_k=3,volatility_days=20}",
        "slow": "{top_k=2,max_turnover=0.1}",
    }
    settings = [f"panel.dataset={tmp_path / 'mine.parquet'}", f"run.output={tmp_path / 'run'}"]
    settings += [*SMALL, "backtest.borrow_bps=100", "ranker.pretext={}", "backtest.costs_bps=[0]"]
    settings += [f"backtest.portfolios.{name}={rule}" for name, rule in rules.items()]
    report = backtest.run(load_recipe("sspt_nasdaq_corrected", settings), tracker=ListTracker())
    rows = pl.read_parquet(tmp_path / "run" / "results.parquet")
    for name in rules:
        # Others may say the same of all stocks on so few days, and are cash.
        shown = ["ranker", "random picks", "reversal, one day"]
        part = rows.filter(pl.col("model").is_in(shown), portfolio=name)
        assert part["sharpe"].is_finite().sum() == len(shown)
    assert rows.filter(portfolio="slow")["turnover"].max() <= 0.1 + 1e-9
    text = (tmp_path / "run" / "results.md").read_text()
    assert "## Portfolio neutral" in text
    assert "what is short costs 100 bp a year" in text
    assert {row["portfolio"] for row in report["luck"]} == {None, *rules}
    settings[-1:] = ["backtest.borrow_bps=0", *settings[-1:]]
    dear = rows.filter(portfolio="long_short", model="ranker")["irr"][0]
    free = load_recipe("sspt_nasdaq_corrected", settings)
    assert free.sections["backtest"]["borrow_bps"] == 0
    again = backtest.run(free, tracker=ListTracker())["results"]
    (cheap,) = [
        row["irr"] for row in again if (row["portfolio"], row["model"]) == ("long_short", "ranker")
    ]
    assert cheap > dear


def test_a_test_without_stocks_to_rank_is_refused_before_the_fitting(
    bars: pl.DataFrame, tmp_path: Path
) -> None:
    left = bars.with_columns(member=pl.col("Date") < "2013-05-28")
    left.write_csv(tmp_path / "mine.csv")
    settings = [f"panel.dataset={tmp_path / 'mine.csv'}", f"run.output={tmp_path / 'run'}", *SMALL]
    recipe = load_recipe("sspt_nasdaq_corrected", settings)
    said = "a test day must have two stocks of the universe to rank, got none from 2013-05-31 to"
    with pytest.raises(TsfmError, match=said):
        backtest.run(recipe, tracker=ListTracker())
    assert not (tmp_path / "run").exists()
    with pytest.raises(TsfmError, match=said):
        audit.run(recipe, strict=True, n_cutoffs=3, output=tmp_path / "audit")


def test_a_wide_file_is_traded_at_its_closes(bars: pl.DataFrame, tmp_path: Path) -> None:
    wide = bars.pivot("Ticker", index="Date", values="Close").sort("Date")
    wide.write_parquet(tmp_path / "closes.parquet")
    settings = [f"panel.dataset={tmp_path / 'closes.parquet'}", f"run.output={tmp_path / 'run'}"]
    settings += [*SMALL, "ranker.pretext={}", "ranker.windows.features.columns=close"]
    with pytest.raises(TsfmError, match="must have the field 'open'"):
        backtest.run(load_recipe("sspt_nasdaq_corrected", settings), tracker=ListTracker())
    recipe_settings = [*settings, "ranker.windows.fill=close"]
    recipe = load_recipe("sspt_nasdaq_corrected", recipe_settings)
    report = backtest.run(recipe, tracker=ListTracker())
    assert report["panel"]["name"] == "closes"
    assert report["look_ahead"]["ok"]
    neutral = [*recipe_settings, "backtest.portfolios.mine={sector_neutral=true}"]
    with pytest.raises(TsfmError, match=r"portfolios\.mine\.sector_neutral needs a panel with"):
        backtest.run(load_recipe("sspt_nasdaq_corrected", neutral), tracker=ListTracker())
    ours = [row for row in report["results"] if row["model"] == "ranker"]
    assert all(np.isfinite(row["sharpe"]) for row in ours)


def test_a_run_is_recorded_so_that_it_can_be_had_again_from_another_folder(
    bars: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    bars.write_parquet(tmp_path / "here" / "mine.parquet")
    monkeypatch.chdir(tmp_path / "here")
    settings = ["panel.dataset=mine.parquet", "run.output=run", *SMALL, "ranker.pretext={}"]
    settings += ["backtest.rivals=false", "split.test_end=2013-06-05"]
    tracker = ListTracker()
    report = backtest.run(load_recipe("sspt_nasdaq_corrected", settings), tracker=tracker)
    assert report["config"]["panel"]["dataset"] == str(tmp_path / "here" / "mine.parquet")
    # One day of test alone is audited too.
    assert (report["panel"]["test_days"], len(report["look_ahead"]["cutoffs"])) == (1, 1)
    start = tmp_path / "here" / "run" / "seed0"
    again = [*settings, "run.output=again", "ranker.checkpoint=run/seed0", "ranker.model={}"]
    parts = backtest.sections(load_recipe("sspt_nasdaq_corrected", again))
    assert parts["ranker"].checkpoint == str(start)
    named = backtest.sections(load_recipe("walk_forward", ["ranker.checkpoint=tsfm-small"]))
    assert (named["ranker"].checkpoint, named["panel"].dataset) == ("tsfm-small", "simulated")


def test_rankers_of_a_file_that_changed_are_fitted_anew(bars: pl.DataFrame, tmp_path: Path) -> None:
    file, head = tmp_path / "mine.csv", tmp_path / "run" / "seed0" / "head.safetensors"
    settings = [f"panel.dataset={file}", f"run.output={tmp_path / 'run'}", *SMALL]
    recipe = load_recipe("sspt_nasdaq_corrected", settings)
    weights = []
    for factor in (1.0, 1.0, 1.1):
        bars.with_columns(pl.col("Close") ** factor).write_csv(file)
        backtest.run(recipe, tracker=ListTracker())
        weights.append(head.read_bytes())
    assert weights[0] == weights[1] != weights[2]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("run.device=cudaa", "device must be 'auto', 'cpu' or one that torch finds"),
        ("run.seeds=[-1]", "run.seeds"),
        ("backtest.costs_bps=[-10]", "backtest.costs_bps"),
    ],
)
def test_settings_that_make_no_sense_are_refused(
    setting: str, message: str, bars: pl.DataFrame, tmp_path: Path
) -> None:
    bars.write_csv(tmp_path / "mine.csv")
    settings = [f"panel.dataset={tmp_path / 'mine.csv'}", f"run.output={tmp_path / 'run'}"]
    recipe = load_recipe("sspt_nasdaq_corrected", [*settings, *SMALL, setting])
    with pytest.raises(TsfmError, match=message):
        backtest.run(recipe, tracker=ListTracker())
