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
# # A backtest, and what is left of it
#
# Twenty-odd rules are tried on five years, the best is chosen, and its wealth curve looks like a
# reason to quit a job. This notebook makes that curve, and then takes away what does not belong to
# it: costs, the market, luck, and the other rules that were tried and not shown. What is left is
# looked at on the years that follow.
#
# The scores are one-liners, momentum over various spans; anybody's scores go through the same
# call, as a frame of stock, day and score. The panel is skfolio's bundled closes of twenty members
# of the S&P 500 that survived: everything that holds stocks looks good on it, and so does the
# market beside which it stands. `TSFM_DATA` is not used here.

# %%
import os
from contextlib import chdir
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import plotly.graph_objects as go
import polars as pl
from plotly.subplots import make_subplots
from skfolio.datasets import load_sp500_dataset

from tsfm.mlflow_tracker import MlflowTracker
from tsfm.stocks import PortfolioConfig, StockPanel, backtest_scores
from tsfm.stocks.backtest import net_returns
from tsfm.stocks.cross_sections import SectionConfig, cross_sections
from tsfm.stocks.metrics import sharpe_ratio
from tsfm.stocks.rivals import momentum
from tsfm.stocks.trials import RETURNS_FILE, logged_returns, trials_of, what_luck_explains
from tsfm.tracking import recorded

# Sizes; small ones when the notebook is only checked.
SMALL = "TSFM_NOTEBOOK_SMALL" in os.environ
SPANS = (21, 63) if SMALL else (5, 10, 21, 63, 126, 252)
HELD = (3,) if SMALL else (1, 3, 5, 8)
N_RANDOM = 10 if SMALL else 200
COSTS = (0.0, 5.0, 10.0, 20.0)

# %% [markdown]
# ## Rules
#
# A score of day *t* knows the close of *t*. There are no opens here, so it is bought at the close
# of *t + 1*, and earns from then on. It is held until the next day's trades, equally weighted.

# %%
years = ("2009", "2010") if SMALL else ("2008", "2018")
prices = load_sp500_dataset().loc[years[0] : years[1]].reset_index()
panel = StockPanel.from_wide(prices, calendar="XNYS")
shown = cross_sections(panel, SectionConfig(context_length=2, execution_lag=2))
chosen_until = np.datetime64("2010-06-30" if SMALL else "2013-12-31")
# All rules begin on the day on which the longest span is known, so that they can be compared.
early = panel.between(str(panel.days[max(SPANS)]), str(chosen_until))


def momentum_of(span: int, part: StockPanel) -> pl.DataFrame:
    """Return the scores of the days that a part of the panel holds, days x stocks."""
    table = momentum(shown, days=span, skipped=0)
    kept = np.isin(panel.days, part.days)
    return pl.DataFrame(
        {"day": panel.days[kept], **dict(zip(panel.stocks, table[kept].T, strict=True))}
    )


execution = {"execution_lag": 2, "fill": "close"}
tried = {
    (span, held): backtest_scores(
        momentum_of(span, early),
        early,
        portfolio=PortfolioConfig(top_k=held),
        cost_bps=0.0,
        n_random=0,
        **execution,
    )
    for span in SPANS
    for held in HELD
}
trials = pl.DataFrame(
    [
        {"span": span, "held": held, "Sharpe": one.summary["sharpe"], "IC": one.summary["ic"]}
        for (span, held), one in tried.items()
    ]
).sort("Sharpe", descending=True)
trials

# %% [markdown]
# ## The number of tries
#
# What is chosen from many must beat the best that luck alone would have given to so many. A
# backtest of this package logs the daily returns of every portfolio in MLflow, and counts from
# there, since nobody counts honestly from memory. `tsfm backtest` does it by itself; here it is
# done by hand, in a store that lives as long as this notebook.

# %%
with TemporaryDirectory(prefix="tsfm-") as scratch, chdir(scratch):
    address = f"sqlite:///{scratch}/mlflow.db"
    for span in SPANS:
        parts = [
            sheet.daily.select("day", "gross", "turnover").with_columns(
                model=pl.lit(f"momentum {span}"), kind=pl.lit("ranker"), seed=0, top_k=held
            )
            for (one, held), sheet in tried.items()
            if one == span
        ]
        tracker = MlflowTracker(experiment="momentum", tracking_uri=address)
        with recorded(tracker, f"momentum {span}", {"panel": {"dataset": "skfolio"}}) as record:
            pl.concat(parts).write_parquet(RETURNS_FILE)
            record.artifact(Path(RETURNS_FILE))
    logged = logged_returns("skfolio", experiment="momentum", tracking_uri=address)
span, held = trials.row(0)[:2]
best = pl.concat(logged).filter((pl.col("model") == f"momentum {span}") & (pl.col("top_k") == held))
luck = pl.DataFrame(
    [
        {
            "cost, bp": cost,
            **what_luck_explains(trials_of([best], cost)[0], trials_of(logged, cost)),
        }
        for cost in COSTS
    ]
)
print(f"chosen: momentum over {span} days, the {held} best")
luck

# %% [markdown]
# Ratios in this table are daily. `deflated_sharpe` is the probability that the chosen portfolio is
# better than the luckiest of so many without an edge; above 0.95 one may start to listen, though
# not to a portfolio that is long: it is compared with nothing, not with the market, and passes
# easily where everything rose and nothing costs. `overfitting` halves the days in thousands of
# ways, chooses the best of one half, and says how often it is below the median of the other: 0.5
# is luck alone. Tries that resemble each other, as these do, count as several, which makes both a
# little too strict.
#
# ## The tear sheet
#
# Now the years after the choice, with ten basis points on all that is bought or sold.

# %%
late = panel.between(str(chosen_until + 1), None)
sheets = {
    cost: backtest_scores(
        momentum_of(span, late),
        late,
        portfolio=PortfolioConfig(top_k=held),
        cost_bps=cost,
        n_random=N_RANDOM,
        **execution,
    )
    for cost in COSTS
}
sheet = sheets[10]
pl.DataFrame({"": list(sheet.summary), "after the choice, 10 bp": list(sheet.summary.values())})

# %%
wealth = make_subplots(
    3,
    1,
    shared_xaxes=True,
    row_heights=[0.6, 0.2, 0.2],
    subplot_titles=["wealth", "below its highest", "bought and sold a day, mean of 21 days"],
)
colours = {"gross": "#9dbaf6", "net": "#2563eb", "market": "#1f2937"}
for name, colour in colours.items():
    grown = (1 + sheet.daily[name]).cum_prod()
    wealth.add_scatter(x=sheet.daily["day"], y=grown, name=name, line_color=colour, row=1, col=1)
    if name != "gross":
        fallen = grown / grown.cum_max().clip(1.0) - 1  # the start counts as a high
        wealth.add_scatter(
            x=sheet.daily["day"], y=fallen, line_color=colour, showlegend=False, row=2, col=1
        )
traded = sheet.daily["turnover"].rolling_mean(21)
wealth.add_scatter(x=sheet.daily["day"], y=traded, showlegend=False, row=3, col=1)
wealth.update_layout(template="plotly_white", height=700, title="After the choice, 10 bp a side")
wealth

# %% [markdown]
# ## Costs, the market, and monkeys
#
# The same rule on random scores is the rival that no wealth curve shows. Nine in ten of them lie
# in the band. The band falls with the costs as fast as the rule does, or faster, because it trades
# more.

# %%
melted = pl.DataFrame([{"cost": cost, **one.summary} for cost, one in sheets.items()])
costs = go.Figure()
for name, colour in (("random_sharpe_low", None), ("random_sharpe_high", "tonexty")):
    costs.add_scatter(
        x=melted["cost"], y=melted[name], fill=colour, name=name, line_color="#cbd5e1"
    )
for name, colour in (("sharpe", "#2563eb"), ("market_sharpe", "#1f2937")):
    bars = melted["sharpe_error"] if name == "sharpe" else None
    costs.add_scatter(
        x=melted["cost"], y=melted[name], error_y={"array": bars}, name=name, line_color=colour
    )
costs.update_layout(
    template="plotly_white",
    title="Sharpe ratio by costs in bp of all that is bought or sold, ± standard error",
)
costs

# %% [markdown]
# How long do the scores know something? If the IC of the next day is no larger than that of the
# day two weeks on, trading daily buys nothing but costs.

# %%
decay = go.Figure(
    go.Bar(x=sheet.decay["days"], y=sheet.decay["ic"], text=sheet.decay["t"].round(1))
)
decay.update_layout(template="plotly_white", title="IC by days after the score, with its t")
decay

# %% [markdown]
# ## The same scores under other rules
#
# A fifth long and a fifth short, weights by inverse volatility, and a cap on what is traded: rules
# change a result as much as scores do, so each of these would be one more try, had the numbers
# been used to choose.

# %%
RULES = {
    "as chosen": PortfolioConfig(top_k=held),
    "weights by inverse volatility": PortfolioConfig(top_k=held, volatility_days=60),
    "a tenth traded a day": PortfolioConfig(top_k=held, max_turnover=0.1),
    "long and short": PortfolioConfig(rule="quantile_long_short", n_quantiles=5),
}
others = {
    name: backtest_scores(
        momentum_of(span, late),
        late,
        portfolio=rule,
        cost_bps=10.0,
        borrow_bps=50.0,
        n_random=0,
        **execution,
    )
    for name, rule in RULES.items()
}
wanted = ("sharpe", "sharpe_error", "irr", "max_drawdown", "turnover", "break_even_bps")
pl.DataFrame(
    [{"rule": name, **{key: one.summary[key] for key in wanted}} for name, one in others.items()]
)

# %% [markdown]
# ## What was chosen, and what came
#
# Before and after the choice, side by side, at no cost and at ten basis points. Part of what the
# best of many loses is the good luck for which it was chosen, given back. And read the column of
# the market: on twenty survivors in years that rose, nearly all of the Sharpe ratio is the
# market's, at a beta near one, and it costs nothing to have.

# %%
then = tried[span, held]
pl.DataFrame(
    [
        {
            "years": name,
            "Sharpe, 0 bp": sharpe_ratio(one.daily["gross"].to_numpy()),
            "Sharpe, 10 bp": sharpe_ratio(
                net_returns(one.daily["gross"].to_numpy(), one.daily["turnover"].to_numpy(), 10.0)
            ),
            "market": one.summary["market_sharpe"],
            "IC": one.summary["ic"],
            "t": one.summary["ic_t"],
        }
        for name, one in (("that chose it", then), ("after", sheets[0]))
    ]
)

# %% [markdown]
# A Sharpe ratio over five years has a standard error near 0.45 by itself. Whatever differs by less
# than twice that, the market included, is not known to differ.
