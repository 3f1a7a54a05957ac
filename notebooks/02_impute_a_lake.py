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
# # A lake with its gaps filled
#
# A lake of Parquet has holes: a sensor was silent for an afternoon, a week was lost in a move.
# `tsfm impute` writes the same lake again with the holes filled. This notebook makes a small lake
# with gaps of which the truth is known, fills it, and asks what an operator would ask: what has
# changed, can it be proved that nothing else has, what happens after a crash, and is the model
# better than a straight line?
#
# The lake here has a dozen files and takes seconds. The same call takes `s3://` addresses, folders
# of any size, and Ray.

# %%
import os
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import plotly.graph_objects as go
import polars as pl

import tsfm
from tsfm.config import load_recipe
from tsfm.jobs import evaluate, impute
from tsfm.tracking import NoTracker

# Sizes; small ones when the notebook is only checked.
SMALL = "TSFM_NOTEBOOK_SMALL" in os.environ
N_SEEDS = 1 if SMALL else 5
scratch = TemporaryDirectory(prefix="tsfm-")
lake, filled = Path(scratch.name) / "lake", Path(scratch.name) / "filled"

# %% [markdown]
# ## The lake
#
# The sea off Peru, monthly. A tenth of the months is lost one by one, and two whole stretches of
# nine months. It is kept by decade, so that a gap may reach from one file into the next.

# %%
truth = tsfm.load_dataset("el_nino").collect()
generator = np.random.default_rng(0)
lost = generator.random(len(truth)) < 0.1
lost[235:244] = lost[500:509] = True
with_gaps = truth.with_columns(pl.when(~pl.Series(lost)).then("target").alias("target"))
for (decade,), part in with_gaps.group_by(pl.col("timestamp").dt.year() // 10 * 10):
    place = lake / f"decade={decade}"
    place.mkdir(parents=True)
    part.write_parquet(place / "part-0.parquet")
sorted(str(file.relative_to(lake)) for file in lake.rglob("*.parquet"))

# %% [markdown]
# ## Filled and verified
#
# On a command line this is `tsfm impute lake --output filled --verify`. Files that share a series
# are filled together, each is written when it is whole, and verification reads everything back.

# %%
report = impute.run(
    [lake], output=filled, quantile_levels=(0.1, 0.9), verify=True, tracker=NoTracker()
)
print(report["message"])

# %% [markdown]
# What is observed is the same to the bit, and every filled value is marked. The same question
# asked here, of the files themselves:

# %%
after = pl.read_parquet(filled / "**/*.parquet").sort("timestamp")
unchanged = after.filter(~pl.col("target_imputed"))["target"]
print(
    f"{after['target_imputed'].sum()} values filled, {lost.sum()} lost; the others are the same:",
    unchanged.equals(with_gaps["target"].drop_nulls()),
)
after.filter("target_imputed").head()

# %% [markdown]
# ## After a crash
#
# Every file has a record of what it was made from. Lose one, as a killed job would, and `--resume`
# makes that one again; the others are proved, not repeated.

# %%
gone = sorted(filled.rglob("part-0.parquet"))[2]
before = gone.read_bytes()
gone.unlink()
again = impute.run(
    [lake], output=filled, quantile_levels=(0.1, 0.9), resume=True, tracker=NoTracker()
)
print(again["message"])
print("the same bytes as before:", gone.read_bytes() == before)

# %% [markdown]
# ## What was filled
#
# The truth is known here, so it can be drawn beside what was filled, with the band of 80 %.

# %%
shown = after.with_columns(truth=truth["target"])[225:255]
stretch = go.Figure()
for level, fill in (("target_0.1", None), ("target_0.9", "tonexty")):
    stretch.add_scatter(x=shown["timestamp"], y=shown[level], fill=fill, name=level)
    stretch.update_traces(
        line={"color": "#d3e0fb", "width": 0.5}, connectgaps=False, selector={"name": level}
    )
hidden = shown.filter("target_imputed")
known = shown.with_columns(pl.when(~pl.col("target_imputed")).then("target").alias("target"))
stretch.add_scatter(x=shown["timestamp"], y=known["target"], name="observed", line_color="#1f2937")
stretch.add_scatter(
    x=hidden["timestamp"], y=hidden["truth"], name="truth", mode="markers", marker_color="#1f2937"
)
stretch.add_scatter(
    x=hidden["timestamp"], y=hidden["target"], name="filled", mode="markers", marker_color="#2563eb"
)
stretch.update_layout(
    template="plotly_white", title="A stretch of nine lost months, °C", hovermode="x"
)
stretch

# %% [markdown]
# ## Is it better than a straight line?
#
# The right rival for a gap is the cheapest thing that is right. In a gap of one step that is a
# straight line, and a model that loses to it there has no business in a lake. So `tsfm evaluate
# imputation --like FILE` takes the gaps of a file, moves them to other times of the same series,
# hides what they fall on, and scores everything by the length of the gap. Here that is the Mauna
# Loa record with its own 59 lost weeks, and the sea with the gaps that we made.

# %%
files = {"sea off Peru": lake.parent / "sea.parquet", "Mauna Loa": lake.parent / "air.parquet"}
with_gaps.write_parquet(files["sea off Peru"])

tsfm.load_dataset("mauna_loa_co2").collect().write_parquet(files["Mauna Loa"])
scores = []
for (series, file), season in zip(files.items(), (12, 52), strict=True):
    asked = [
        f"evaluate.like={file}",
        f"evaluate.mask_seeds={list(range(N_SEEDS))}",
        f"evaluate.seasonality={season}",
    ]
    found = evaluate.run(
        load_recipe("imputation", asked), output=lake.parent / series, tracker=NoTracker()
    )
    print(found["table"])
    scores.append(pl.DataFrame(found["results"]).with_columns(series=pl.lit(series)))

# %%
mean = (
    pl.concat(scores)
    .filter(pl.col("n_hidden") > 0)
    .with_columns(pl.col("model").str.replace(r"seasonal linear, \d+", "seasonal linear"))
    .group_by("series", "gap_length", "model", maintain_order=True)
    .agg(pl.mean("mae"), (pl.std("mae") / pl.len().sqrt()).alias("error"), pl.first("place"))
    .sort("series", "place", maintain_order=True)
)
bars = go.Figure()
for (model,), part in mean.group_by("model", maintain_order=True):
    x = [part["series"].to_list(), ("gap of " + part["gap_length"]).to_list()]
    bars.add_bar(x=x, y=part["mae"], error_y_array=part["error"], name=str(model))
bars.update_layout(
    template="plotly_white",
    barmode="group",
    title="Mean absolute error of hidden values, in standard deviations",
)
bars

# %% [markdown]
# Beside straight lines, splines and the last value the model is the safe choice: it is never far
# from the best, and long gaps of a seasonal series are where lines fail. The rival to fear is the
# straight line on what is left after the season. On the sea, whose season is known and steady, it
# is level with the model, within the errors over draws, and costs nothing: if you know such a
# season, use that. On carbon dioxide it is behind all but the last value. A model earns its place
# in a lake of thousands of series of which nobody knows the season.
#
# What to distrust: the Mauna Loa record is in `daily_mix`, on which `tsfm-fill` was trained, so its
# score there is no zero-shot one, whatever the label of a user's file says; the sea it has not
# seen. Masks that are drawn several times share one series, so the errors over draws say how much
# the drawing matters and not how other series would fare. Long gaps are few. A filled value is a
# guess whatever its error, and that is why it is marked: do not fit a model on `target_imputed`
# rows as if they were measured, and do not fill in two-sided mode what a backtest will read, since
# it looks ahead; `--mode causal` does not.

# %%
causal = tsfm.impute(with_gaps, mode="causal")
two_sided = tsfm.impute(with_gaps)
error = {
    name: float((one["target"] - truth["target"]).filter(pl.Series(lost)).abs().mean())
    for name, one in (("two-sided", two_sided), ("causal", causal))
}
print({name: f"{value:.3f} °C" for name, value in error.items()})

# %%
scratch.cleanup()
