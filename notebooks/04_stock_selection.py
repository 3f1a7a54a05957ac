# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Stocks ranked walk-forward, and a proof that nothing looked ahead
#
# A ranker is fitted on the past, scores the months that follow, and is fitted again. That is the
# only way in which it could have been used, so it is the only way in which it is tested here.
# Three things go wrong in such tests: a label of the training part reaches into the test, a scaler
# has seen everything, or weights that somebody pre-trained have read the test days. This notebook
# shows the folds with what is left out between their parts, ranks, and then audits itself: it
# changes the future and looks whether any score of the past moves.
#
# Small on purpose: twenty stocks, some ten thousand weights, a fraction of a pass over the
# training days per fold. With twenty stocks, nothing here says that anybody has an edge.

# %%
import os

import numpy as np
import plotly.express as px
import plotly.graph_objects as go
import polars as pl
from skfolio.datasets import load_sp500_dataset

import tsfm
from tsfm.errors import ConfigError
from tsfm.jobs.backtest import BacktestConfig
from tsfm.jobs.backtest_rows import make_rows
from tsfm.stocks import StockPanel, WalkForwardConfig
from tsfm.stocks.cross_sections import SectionConfig, cross_sections
from tsfm.stocks.fitting import RankerConfig
from tsfm.stocks.folds import folds_of
from tsfm.stocks.look_ahead import audit, panel_frame
from tsfm.stocks.phases import PhaseConfig
from tsfm.stocks.walk_forward import seen_days, walk_forward

# Sizes; small ones when the notebook is only checked.
SMALL = "TSFM_NOTEBOOK_SMALL" in os.environ
SEEDS, EPOCHS, N_CUTOFFS = ((0,), 0.05, 2) if SMALL else ((0, 1), 0.25, 50)

# %% [markdown]
# ## The panel
#
# skfolio's bundled closes of twenty survivors of the S&P 500, or, where `TSFM_DATA` has it, a
# hundred stocks of the S&P panel of 2015 to 2017. The first has no opens, so a score is executed
# at the close of the day after it was known.

# %%
has_panel = "TSFM_DATA" in os.environ and not SMALL
if has_panel:
    whole = StockPanel.from_card("stock_sp500_2015_2017")
    panel = whole.take(np.linspace(0, whole.n_stocks - 1, 100).astype(int))
    test_start, length = "2017-01-03", 63
else:
    prices = load_sp500_dataset().loc["2019-06" if SMALL else "2014" : "2020"].reset_index()
    panel = StockPanel.from_wide(prices, calendar="XNYS")
    test_start, length = ("2020-11-02", 20) if SMALL else ("2018-01-02", 126)
print(f"{'S&P panel' if has_panel else 'skfolio'}: {panel.n_stocks} stocks, {panel.n_days} days")
windows = SectionConfig(context_length=16, execution_lag=2)
shown = cross_sections(panel, windows)

# %% [markdown]
# ## Folds
#
# Days whose return reaches into the next part are always left out. On top of that, five more are
# purged at the end of training and of validation, and an embargo of five lies before each test.

# %%
config = WalkForwardConfig(
    test_start=test_start, test_days=length, validation_days=63, purge=5, embargo=5
)
folds = folds_of(shown, config)
spans = pl.DataFrame(
    [
        {
            "fold": f"fold {fold.number}",
            "part": part,
            "from": str(panel.days[days[0]]),
            "to": str(panel.days[days[-1]]),
            "days": len(days),
        }
        for fold in folds
        for part, days in (
            ("training", fold.days.train),
            ("validation", fold.days.validation),
            ("test", fold.days.test),
        )
    ]
)
timeline = px.timeline(
    spans.to_dict(as_series=False), x_start="from", x_end="to", y="fold", color="part"
)
timeline.update_layout(template="plotly_white", title="What each fit saw, and what it was asked")
timeline

# %% [markdown]
# ## Ranked, beside its rivals
#
# Ridge and boosted trees see the same features and are fitted again in the same folds. Reversal,
# momentum, the market and random picks need no fit.

# %%
phase = PhaseConfig(epochs=EPOCHS, learning_rate=1e-3, warmup_share=0.05, gradient_clip=1.0)
ranker = RankerConfig(
    model={"d_model": 16, "d_ff": 32, "n_heads": 2},
    windows=windows,
    freeze="nothing",
    pretext={"stock_code": 1.0},
    pretrain=phase,
    finetune=phase,
    validation_days=8 if SMALL else 32,
)
walks = {seed: walk_forward(panel, config, ranker, seed=seed, progress=False) for seed in SEEDS}
asked = BacktestConfig(
    top_k=(5,), costs_bps=(0, 10), rivals=not SMALL, n_random=20 if SMALL else 200
)
rows, daily, _ = make_rows(
    asked, shown, [fold.days for fold in folds], {seed: one.ranker for seed, one in walks.items()}
)
rows.filter(pl.col("cost_bps") == 0).select("model", "seed", "ic", "ic_t", "rank_ic", "rank_ic_t")

# %%
rows.select("model", "seed", "cost_bps", "sharpe", "sharpe_error", "turnover", "max_drawdown")

# %%
by_fold = walks[0].table
bars = go.Figure(go.Bar(x=by_fold["first_test_day"], y=by_fold["rank_ic"]))
bars.update_layout(template="plotly_white", title="Rank IC of the ranker by fold, seed 0")
bars

# %% [markdown]
# Look at the t-statistics (Newey and West) first: below two, the days cannot tell the IC from
# nothing. Then at the seeds: they differ in nothing but their random numbers, and when one of them
# is above two and the other is not, choosing the better one afterwards is how edges are made up.
# Then at the folds: an IC that comes from one of them is an event. And compare Sharpe ratios with
# their error, with the market, and with what costs leave of them; momentum, which learned nothing,
# is the row to beat.
#
# ## The audit
#
# After each of many days of the test everything is changed: prices go elsewhere, bars and whole
# stocks vanish, members leave and join. If a score up to that day moves by more than rounding, it
# has seen the future.


# %%
def score(known: StockPanel, days: np.ndarray) -> np.ndarray:
    """Score some days of a panel, from the bars to the last layer."""
    again = cross_sections(known, windows, first_day=int(days.min()))
    return walks[0].ranker.predict(known, days=days, sections=again)[days]


test = np.concatenate([fold.days.test for fold in folds])
verdict = audit(score, panel, test[:-1], n_cutoffs=N_CUTOFFS, generator=np.random.default_rng(0))
print(f"{len(verdict.cutoffs)} cutoffs, {verdict.moved_share:.1%} of the scores moved")
assert verdict.ok

# %% [markdown]
# An audit that never finds anything proves nothing. So here are three pipelines of the kind that
# is found in published code, and two that should have been written.

# %%
closes = panel_frame(panel).select("item_id", "timestamp", "close").tail(80 * panel.n_stocks)
CLOSE = pl.col("close")
PIPELINES = {
    "share of the maximum of all days": CLOSE / CLOSE.max(),
    "share of the maximum so far": CLOSE / CLOSE.cum_max(),
    "centred mean of five days": CLOSE.rolling_mean(5, center=True),
    "trailing mean of five days": CLOSE.rolling_mean(5),
    "scaled by all days": (CLOSE - CLOSE.mean()) / CLOSE.std(),
}
found = []
for name, feature in PIPELINES.items():
    report = tsfm.audit(
        lambda frame, feature=feature: frame.select(
            "item_id", "timestamp", feature.over("item_id").alias("feature")
        ),
        closes,
        n_cutoffs=2 if SMALL else 10,
    )
    first = report.leaks["first_affected"].min() if not report.ok else None
    found.append({"feature": name, "looks ahead": not report.ok, "first affected": first})
leaks = pl.DataFrame(found)
leaks

# %% [markdown]
# ## What the weights had seen
#
# A bundled checkpoint is a fine start and a poor witness: it says until when its data went. Test
# days before that are marked, and `strict` refuses them.

# %%
borrowed = RankerConfig(checkpoint="tsfm-small", windows=windows, pretext={})
marked = seen_days(borrowed, panel, folds)
print(f"{marked.sum()} of {len(test)} test days may have been seen by tsfm-small")
try:
    seen_days(borrowed, panel, folds, strict=True)
except ConfigError as error:
    print(error)

# %% [markdown]
# What remains to be distrusted: the stocks are those that survived, which no audit of prices can
# see; the test period was chosen by whoever wrote this; and every reader who changes a number
# above and looks again has made one more try. The [next notebook](05_backtest_and_tear_sheet.html)
# counts tries.
