"""Our forecasts beside those of other packages, on the same windows.

    TSFM_DATA=… python benchmarks/peers/side_by_side.py --peers fracast flaircast

Groups of sets. "small": series that come with statsmodels (and ETTh1), five windows each; the pool
of `tsfm-small` has nothing of them (`small_series.py`). "held out": sets that it is not trained on
either; what is chosen after training is chosen there. "far": those with a day as season, 480 steps
ahead. "pool" and "pool far": sets that `tsfm-small` is trained on, so its scores say nothing there,
but what a view adds to the network is no less elsewhere. "counts": fresh intermittent counts of the
prior, by length. "shared": the seven comparable sets of the zero-shot protocol. Ratios of MASE and
WQL are to Seasonal Naive on the same windows; means over sets are geometric. "network alone" is the
model without its views (`Forecaster(model, views=False)`).
"""

import argparse
import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from peers import peers
from small_series import SMALL, small_series

from tsfm.config import load_recipe
from tsfm.evaluation.benchmark_sets import BenchmarkSet, last_windows, read_benchmark_set
from tsfm.evaluation.beside_published import score
from tsfm.evaluation.rivals import Rival, load_rival
from tsfm.markdown import markdown_table
from tsfm.metrics.forecasting import geometric_mean
from tsfm.series.card_series import read_series
from tsfm.series.cards import find_file, list_cards, load_card
from tsfm.synthetic.counts import counts as drawn_counts
from tsfm.tasks.forecast import Forecaster
from tsfm.tasks.forecasting.baselines import SeasonalNaive
from tsfm.tasks.forecasting.intermittent import ZERO_SHARE

N_WINDOWS = 5
MOST_ITEMS = 40
# Steps to forecast and pandas' alias by season; the usual horizons of the M competitions.
BY_SEASON = {1: (6, "Y"), 11: (6, "Y"), 4: (8, "Q"), 12: (12, "M"), 52: (13, "W"), 7: (14, "D")}
HOURLY = (48, "H")
FAR_HORIZON, FAR_FROM = 480, 24
COUNT_LENGTHS, N_COUNTS = (12, 24, 36, 48, 72, 100), 2500
POOL = (
    "solar_station_china", "nyc_airport_weather", "mobility_counts_hourly", "pjm_hourly_load",
    "us_grid", "uk_grid", "gefcom2012_wind", "beijing_multisite_air", "tides_australia",
    "los_speed", "opsd_germany_daily", "camels_sample_daily", "finance_intraday_close",
    "market_indices", "tidyverts_panels", "tsdl", "r_textbook_series", "daily_mix",
)  # fmt: skip
RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Score every group and write table and page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["tsfm-small"])
    parser.add_argument("--peers", nargs="*", default=["fracast", "flaircast"])
    parser.add_argument("--groups", nargs="+", default=["small"], choices=list(GROUPS))
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    models = [one for name in options.models for one in with_and_without(load_rival(name))]
    rows: list[dict[str, Any]] = []
    for group in options.groups:
        for one in GROUPS[group]():
            rows += [{"group": group, **row} for row in scores(one, models, options.peers)]
            logging.info("%s scored", one.name)
    options.output.mkdir(parents=True, exist_ok=True)
    frame = pl.DataFrame(rows, infer_schema_length=None)
    frame.write_parquet(options.output / "side_by_side.parquet")
    page = render(frame)
    (options.output / "side_by_side.md").write_text(page, encoding="utf-8")
    print(page)


def with_and_without(rival: Rival) -> list[Rival]:
    """Return a model, and its network alone where it also reads other views."""
    if not getattr(rival.forecaster, "views", False):
        return [rival]
    alone = Forecaster(rival.forecaster.model, views=False)
    return [rival, replace(rival, name=f"{rival.name}, network alone", forecaster=alone)]


def scores(
    one: BenchmarkSet, models: Sequence[Rival], names: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """Yield a row per forecaster, as ratios to Seasonal Naive."""
    naive = Rival("seasonal naive", "baseline", SeasonalNaive(one.seasonality))
    rivals = [*models, *peers(names, horizon_and_freq(one.seasonality)[1], one.seasonality)]
    reference = score(one, naive, None)
    for rival in (naive, *rivals):
        row = score(one, rival, None)
        ratios = {f"{key}_ratio": row[key] / reference[key] for key in ("mase", "wql")}
        yield {**row, **ratios, "parameters": rival.n_parameters}


def horizon_and_freq(seasonality: int) -> tuple[int, str]:
    """Return how far a series with this season is forecast, and its pandas alias."""
    return BY_SEASON.get(seasonality, HOURLY)


def small() -> Iterator[BenchmarkSet]:
    """Yield the series of statsmodels, and ETTh1 where it is."""
    for name, columns in small_series().items():
        yield windows(name, columns, SMALL[name])
    if find_file(load_card("ETTh1")):
        yield windows("ETTh1", [series for _, series in read_series(load_card("ETTh1"))], 24)


def held_out() -> Iterator[BenchmarkSet]:
    """Yield the sets that `tsfm-small` has not been trained on."""
    for name in held_out_names():
        card = load_card(name)
        yield windows(name, [series for _, series in read_series(card)], max(card.seasonality, 1))


def held_out_names() -> list[str]:
    """Return the cards of role `held_out`, and those that `tsfm_small` gives no weight.

    Those whose files are not here are left out, and named.
    """
    factors = load_recipe("tsfm_small").sections["data"]["config"]["factors"]
    names = [name for name, factor in factors.items() if not factor]
    names += [name for name in list_cards() if load_card(name).role == "held_out"]
    absent = [name for name in names if not find_file(load_card(name))]
    if absent:
        logging.warning("not here, and not scored: %s", ", ".join(absent))
    return [name for name in names if name not in absent]


def pool() -> Iterator[BenchmarkSet]:
    """Yield sets of all rates that `tsfm-small` is trained on."""
    for name in POOL:
        card = load_card(name)
        yield windows(name, [series for _, series in read_series(card)], max(card.seasonality, 1))


def far() -> Iterator[BenchmarkSet]:
    """Yield the held-out sets whose season is a day or less, far ahead."""
    yield from _far(held_out_names())


def pool_far() -> Iterator[BenchmarkSet]:
    """Yield those of the pool, far ahead."""
    yield from _far(POOL)


def _far(names: Sequence[str]) -> Iterator[BenchmarkSet]:
    for name in names:
        card = load_card(name)
        if card.seasonality >= FAR_FROM:
            shortest = FAR_HORIZON + card.seasonality
            series = [values for _, values in read_series(card) if len(values) > shortest]
            if series:  # a weekly set may be too short
                yield windows(name, series, card.seasonality, FAR_HORIZON)


def counts() -> Iterator[BenchmarkSet]:
    """Yield counts that are mostly zero, drawn anew, by the length of what is known."""
    generator = np.random.default_rng(7)
    for length in COUNT_LENGTHS:
        rows = drawn_counts(generator, N_COUNTS, length + 12)
        sparse = rows[(rows[:, :length] == 0).mean(1) >= ZERO_SHARE]
        known = sparse[:, :length]
        offsets = np.arange(len(sparse) + 1) * length
        yield BenchmarkSet(
            f"{length}", None, 1, known.reshape(-1, 1), offsets, sparse[:, length:, None]
        )


def shared() -> Iterator[BenchmarkSet]:
    """Yield the seven comparable sets of the zero-shot protocol, one window per series."""
    evaluate = load_recipe("zero_shot").sections["evaluate"]
    for name in evaluate["groups"]["shared 7"]:
        yield read_benchmark_set(name, missing=evaluate["missing"].get(name, "keep"))


def windows(
    name: str, series: Sequence[np.ndarray], seasonality: int, horizon: int | None = None
) -> BenchmarkSet:
    """Cut the last windows of every series; every window is an item of its own."""
    horizon = horizon or horizon_and_freq(seasonality)[0]
    chosen = series[:: max(1, len(series) // MOST_ITEMS)]
    return last_windows(name, chosen, seasonality, horizon, N_WINDOWS)


GROUPS = {
    "small": small,
    "held out": held_out,
    "far": far,
    "pool": pool,
    "pool far": pool_far,
    "counts": counts,
    "shared": shared,
}


def render(rows: pl.DataFrame) -> str:
    """Return a page: means by group, then every set."""
    parts = ["# Side by side", __doc__.split("\n\n")[2].replace("\n", " ").strip()]
    for (group,), part in rows.group_by("group", maintain_order=True):
        parts += [f"## {group}", _means(part)]
        seen = part.filter(pl.col("label") == "seen")["dataset"].unique(maintain_order=True)
        unseen = part.filter(~pl.col("dataset").is_in(seen.to_list()))
        if len(seen) and len(unseen):
            parts += [f"Without what was seen, {', '.join(seen)}:", _means(unseen)]
        sets = part["dataset"].unique(maintain_order=True).to_list()
        for key, title in zip(KEYS, ("MASE ratio", "WQL ratio"), strict=True):
            found = {(row["model"], row["dataset"]): _shown(row, key) for row in part.to_dicts()}
            names = part["model"].unique(maintain_order=True).to_list()
            body = [[name, *(found[name, one] for one in sets)] for name in names]
            parts.append(markdown_table([title, *sets], body))
    return "\n\n".join(parts) + "\n"


def _means(part: pl.DataFrame) -> str:
    means = [
        [
            name,
            "" if of["parameters"][0] is None else f"{of['parameters'][0]:,}",
            *(f"{geometric_mean(of[key].to_numpy()):.3f}" for key in KEYS),
            f"{of['coverage_80'].mean():.2f}",
            f"{of['seconds'].sum():.1f}",
        ]
        for (name,), of in part.group_by("model", maintain_order=True)
    ]
    header = ["model", "parameters", "MASE ratio", "WQL ratio", "80 % coverage", "seconds"]
    return markdown_table(header, means)


def _shown(row: dict[str, Any], key: str) -> str:
    return f"{row[key]:.3f}" + (" (seen)" if row["label"] == "seen" else "")


KEYS = ("mase_ratio", "wql_ratio")

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    main()
