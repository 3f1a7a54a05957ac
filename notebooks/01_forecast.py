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
# # A forecast, and whether to believe it
#
# Two series travel with the package: the sea off Peru, month by month from 1950 to 2010, and
# carbon dioxide on Mauna Loa, week by week from 1958 to 2001, with 59 weeks missing. `tsfm-small`
# forecasts both without being fitted. This notebook draws what it says, and then asks the three
# questions that decide whether a forecast is worth anything: is it better than repeating last
# year, do its bands hold what they claim, and had the model seen the answer?

# %%
import os

import numpy as np
import plotly.graph_objects as go
import polars as pl

import tsfm
from tsfm.evaluation.benchmark_sets import BenchmarkSet
from tsfm.evaluation.beside_published import BesidePublished, scored
from tsfm.evaluation.published import published_results
from tsfm.evaluation.rivals import load_rival

# Sizes; small ones when the notebook is only checked.
SMALL = "TSFM_NOTEBOOK_SMALL" in os.environ
N_CUTOFFS = 3 if SMALL else 20
SEASONS = {"el_nino": 12, "mauna_loa_co2": 52}

# %% [markdown]
# ## Twenty-four months ahead
#
# One call, any frame. Nothing is fitted and nothing is fetched: the weights are inside the
# package.

# %%
el_nino = tsfm.load_dataset("el_nino").collect()
co2 = tsfm.load_dataset("mauna_loa_co2").collect()
forecast = tsfm.forecast(el_nino, prediction_length=24)
forecast.head()


# %%
def fan(past: pl.DataFrame, ahead: pl.DataFrame, title: str) -> go.Figure:
    """Draw the past, the median, and the bands of 80 and 40 %."""
    figure, stamps = go.Figure(), ahead["timestamp"].to_list()
    for low, high, colour in (("0.1", "0.9", "#d3e0fb"), ("0.3", "0.7", "#9dbaf6")):
        band = [*ahead[high], *ahead[low].reverse()]
        figure.add_scatter(x=stamps + stamps[::-1], y=band, fill="toself", fillcolor=colour)
        figure.update_traces(line={"width": 0}, selector=-1, name=f"{low} to {high}")
    figure.add_scatter(x=past["timestamp"], y=past["target"], name="observed", line_color="#1f2937")
    figure.add_scatter(x=stamps, y=ahead["predictions"], name="median", line_color="#2563eb")
    return figure.update_layout(template="plotly_white", title=title, hovermode="x")


# %%
sea = fan(el_nino.tail(120), forecast, "Sea-surface temperature off Peru, °C")
sea

# %% [markdown]
# The season is there, and the bands widen as they should: El Niño years cannot be seen two years
# ahead, and a forecast that pretended to would be worse than useless.
#
# Carbon dioxide is the other kind of series, a trend with a season on it. Its missing weeks stay
# missing: nobody has to fill anything before asking for a forecast.

# %%
air = fan(co2.tail(300), tsfm.forecast(co2, prediction_length=104), "Carbon dioxide, ppm")
air

# %% [markdown]
# ## Is it better than repeating last year?
#
# A picture convinces anybody. So the series is cut at many cutoffs, the model sees only what lies
# before each, and its rivals get the same: the last value, the last season, and the last season
# with bands from its own past errors. MASE is the absolute error over that of the last season in
# the past; WQL the loss of the nine quantiles, relative to the size of the values. Lower is
# better.


# %%
def cut(name: str, n_dropped: int, season: int) -> BenchmarkSet:
    """Return what is known so many steps before the end, and the season that follows."""
    series = tsfm.SeriesFrame.from_any(tsfm.load_dataset(name).collect())
    known, last = len(series.values) - n_dropped, len(series.values) - n_dropped + season
    context, target = series.values[:known, :1], series.values[None, known:last, :1]
    return BenchmarkSet(name, None, season, context, np.array([0, known]), target)


cuts = [
    (name, cut(name, (n + 1) * season, season))
    for name, season in SEASONS.items()
    for n in range(N_CUTOFFS)
]
model = load_rival("tsfm-small")
rows, _ = scored(cuts, [model], published_results(), BesidePublished(models=(model.name,)))
error = pl.col("mase").std() / pl.len().sqrt()
scores = rows.group_by("dataset", "model", "label", maintain_order=True).agg(
    pl.len().alias("cutoffs"), pl.mean("mase"), error.alias("± error"), pl.mean("wql")
)
scores

# %%
bars = go.Figure()
for (name,), part in scores.group_by("dataset", maintain_order=True):
    bars.add_bar(x=part["model"], y=part["mase"], error_y_array=part["± error"], name=str(name))
bars.update_layout(
    template="plotly_white", barmode="group", title="MASE over cutoffs, ± standard error"
)
bars

# %% [markdown]
# Read the errors before the means. Windows of one series share its history, so their standard
# error is a lower bound, and a difference smaller than two of them is no difference. On the sea a
# lead over last season is of the size of these errors; on carbon dioxide last season lacks the
# trend, which makes it an easy rival.
#
# ## Do the bands hold what they claim?
#
# Bands of 80 % should hold four truths in five. Conformal margins are fitted on forecasts of the
# years up to 1990, and tested on the twenty after them, which neither the margins nor the
# forecasts they are measured on had seen.

# %%
n_late = 240
margins = tsfm.calibrate(el_nino.head(-n_late), prediction_length=12, n_windows=10 if SMALL else 30)
held = margins.coverage(el_nino, n_windows=n_late // 12)
held.filter(step=0).select("nominal", "n_truths", "coverage_before", "coverage_after")

# %%
by_step = held.filter((pl.col("step") > 0) & (pl.col("nominal") == 0.8))
steps = go.Figure(go.Bar(x=by_step["step"], y=by_step["coverage_before"], name="as forecast"))
steps.add_bar(x=by_step["step"], y=by_step["coverage_after"], name="with margins")
steps.add_hline(0.8, line_dash="dash")
steps.update_layout(
    template="plotly_white", title="Share of truths in the band of 80 %, by months ahead"
)
steps

# %% [markdown]
# Each bar is of twenty truths, so it moves by a tenth by chance. And coverage that is right on
# average can be wrong when it matters: in the one winter in which the sea is four degrees too
# warm. That of 1997 is in the test.

# %%
late = tsfm.cross_validation(el_nino, prediction_length=12, n_windows=n_late // 12)
past_forecasts = fan(el_nino.tail(n_late), late, "A year ahead, again and again, from 1990 on")
past_forecasts

# %% [markdown]
# ## Had the model seen the answer?
#
# A pre-trained model may have read the very series that it is asked about. The checkpoint says
# what it was trained on, half of it made by the [synthetic prior](00_synthetic_gallery.html).

# %%
provenance = tsfm.Forecaster.from_pretrained("tsfm-small").model.provenance
print(f"synthetic: {provenance.synthetic_share:.0%}; sets: {', '.join(provenance.trained_on)}")

# %% [markdown]
# Neither sample is on that list. That alone would not be the truth: collections of textbook series
# are on it, and the Mauna Loa record is in one of them. So the pool was built apart from every
# series that tells one of a benchmark or of statsmodels again, from where both samples come;
# `data/README.md` says how. `tsfm audit overlap` looks for shared windows, whatever their level and
# scale, and `docs/audit_overlap.md` has what it found for this checkpoint: nothing.
