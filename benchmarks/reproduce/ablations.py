"""Which choices of the recipe of tsfm-small pay, at equal processor time.

    TSFM_DATA=… python benchmarks/reproduce/ablations.py --pool POOL

Every arm is ``ablations.toml``, the first recipe of tsfm-small, with some settings changed, from
random weights, for as many processor seconds (``--seconds``) as every other; it is scored on sets
that the recipe leaves out, as it is used and by the network alone. The recipe itself is run with
every seed, which shows what difference counts, and so is the one that followed it, ``tsfm_small``.
"""

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import torch
from tables import Score, Table, arguments, standard_error

from tsfm.config import load_recipe
from tsfm.evaluation.benchmark_sets import BenchmarkSet, last_windows
from tsfm.evaluation.beside_published import score
from tsfm.evaluation.rivals import Rival
from tsfm.jobs import pretrain
from tsfm.metrics.forecasting import geometric_mean
from tsfm.models.backbone import GapFiller
from tsfm.models.model import TimeSeriesModel
from tsfm.models.pretrained import load_pretrained
from tsfm.series.card_series import read_series
from tsfm.series.cards import load_card
from tsfm.tasks.forecast import Forecaster
from tsfm.tasks.forecasting.baselines import SeasonalNaive
from tsfm.tasks.imputation.arrays import fill_arrays
from tsfm.training.optimizer import make_optimizer
from tsfm.training.stream import STREAMS

RECIPE, AS_IT_IS = Path(__file__).with_name("ablations.toml"), "as it is"
WHOLE, AS_WHOLE = "tsfm_small", "in one run"
DATASET = "held-out sets"
HORIZON, N_WINDOWS, MOST_ITEMS = 48, 3, 12
# Smaller steps than those of the recipe, so that there are enough of them.
SHORT = ("data.config.points_per_batch=12288", "training.average_decay=0.99")
SMOKE = (
    "data.config.pool=",
    "data.config.points_per_batch=512",
    "data.config.bank_rows=128",
    "data.config.window_lengths=[128]",
    "data.config.length_shares=[1.0]",
    "model.config.d_model=48",
    "model.config.n_layers=1",
)
ARMS: dict[str, tuple[str, ...]] = {
    AS_IT_IS: (),
    AS_WHOLE: (),
    "AdamW": ("optimizer.name=adamw",),
    "patches of 8": ("model.config.patch_length=8", "model.config.n_output_patches=8"),
    "patches of 32": ("model.config.patch_length=32", "model.config.n_output_patches=2"),
    "twice as deep, narrower": (
        "model.config.n_layers=8",
        "model.config.d_model=144",
        "model.config.d_ff=576",
    ),
    "half as deep, wider": (
        "model.config.n_layers=2",
        "model.config.d_model=252",
        "model.config.d_ff=1008",
    ),
    "one patch ahead": ("model.config.n_output_patches=1",),
    "nothing hidden": ("objective.config.hidden_share=0.0",),
    "no arcsinh": ("model.config.arcsinh=false",),
    "statistics of the window": ("model.config.normalization=window",),
    "real series only": ("data.config.real_share=1.0",),
    "mostly generated series": ("data.config.real_share=0.05",),
    "no augmentation": (
        "data.config.down_sampled_share=0.0",
        "data.config.flipped_share=0.0",
        "data.config.mixed_share=0.0",
    ),
    "one trunk for both sides": (
        "model.name=timer_fill",
        "model.config={patch_length=16,d_model=192,n_heads=6,n_layers=4,d_ff=768}",
        "objective.name=fill_gaps",
        "objective.config={tail_share=0.5}",
    ),
    "short windows": (
        "data.config.window_lengths=[128, 256, 512]",
        "data.config.length_shares=[0.2, 0.3, 0.5]",
    ),
}


def main() -> None:
    """Train and score every arm that the table does not have yet."""
    parser = arguments("ablations", __doc__.splitlines()[0])
    parser.add_argument("--pool", default="pool", help="folder of a single-series pool")
    parser.add_argument("--seconds", type=float, default=100.0, help="of the processor, per arm")
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=list(ARMS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    notes = (
        f"""MASE and WQL as ratios to Seasonal Naive, {HORIZON} steps ahead, of sets that
`{RECIPE.name}` leaves out; geometric means, lower is better. "alone": without the views of a series
that a forecaster reads beside it. {options.seconds:.0f} processor seconds of training per row, a
ninetieth of what the bundled weights had, in steps of a quarter of the size: what pays here need
not pay in the end. "one trunk for both sides" fills gaps, of which half are at the end, and has no
views.""",
    )
    title = "Choices of the recipe of tsfm-small"
    with Table("ablations", title=title, notes=notes, options=options, average=False) as table:
        sets = [] if options.smoke else list(held_out())
        for arm in options.arms:
            is_repeated = arm in (AS_IT_IS, AS_WHOLE)
            for seed in range(options.seeds if is_repeated else 1):
                if not table.has(dataset=DATASET, model=arm, seed=seed):
                    table.add(*scores(arm, seed, sets, table, options))
        table.notes = [*notes, "## Verdict", *verdict(table)]


def held_out() -> Iterator[BenchmarkSet]:
    """Yield the last windows of the sets that the recipe gives no weight."""
    for name in left_out():
        card = load_card(name)
        series = [values for _, values in read_series(card)]
        series = series[:: max(1, len(series) // MOST_ITEMS)]
        yield last_windows(name, series, max(card.seasonality, 1), HORIZON, N_WINDOWS)


def left_out() -> list[str]:
    """Return the names of these sets, which the other recipe must leave out here too."""
    factors = load_recipe(RECIPE).sections["data"]["config"]["factors"]
    return [name for name, factor in factors.items() if not factor]


def scores(
    arm: str, seed: int, sets: list[BenchmarkSet], table: Table, options: argparse.Namespace
) -> Iterator[Score]:
    """Train one arm and yield its scores."""
    folder: Path = options.work / f"{arm}_{seed}".replace(" ", "_").replace(",", "")
    is_whole = arm == AS_WHOLE
    changes = [
        f"data.config.pool={options.pool}",
        *(f"data.config.factors.{name}=0.0" for name in left_out() if is_whole),
        *SHORT,
        *ARMS[arm],
        *(SMOKE if options.smoke else ()),
        f"run.seed={seed}",
        f"run.output={folder}",
        *table.overrides,
    ]
    recipe = WHOLE if is_whole else RECIPE
    steps = 2 if options.smoke else round(options.seconds / seconds_per_step(recipe, changes))
    warmup = f"schedule.warmup_steps={max(1, steps // 10)}"
    report = pretrain.run(load_recipe(recipe, [*changes, f"training.steps={steps}", warmup]))
    cost = {"seconds": report["seconds"], "parameters": report["parameters"], "seed": seed}
    shown = {"steps": float(steps), "training loss": report["loss"]}
    shown |= rated(load_pretrained(folder / "checkpoint"), sets)
    for metric, value in shown.items():
        yield Score(
            dataset=DATASET,
            setting=metric,
            model=arm,
            metric="score",
            value=value,
            label="zero-shot",
            **cost,
        )


def rated(model: TimeSeriesModel, sets: list[BenchmarkSet]) -> dict[str, float]:
    """Return the ratios of a model, as it is used and alone."""
    if not sets:
        return {}
    found: dict[str, float] = {}
    for views, place in ((True, ""), (False, ", alone")):
        fills = isinstance(model.backbone, GapFiller)
        forecaster = FilledEnds(model) if fills else Forecaster(model, views=views)
        pairs = np.array([ratio(one, Rival("arm", "model", forecaster)) for one in sets])
        for name, ratios in zip(("MASE ratio", "WQL ratio"), pairs.T, strict=True):
            found[f"{name}{place}"] = geometric_mean(ratios)
    return found


@dataclass(frozen=True)
class FilledEnds:
    """Forecasts of a model that fills gaps: the future is a gap at the end."""

    model: TimeSeriesModel

    def forecast_arrays(
        self,
        values: np.ndarray,
        offsets: np.ndarray,
        prediction_length: int,
        quantile_levels: Sequence[float],
        **_: object,
    ) -> np.ndarray:
        """Return quantiles as (item, level, horizon, channel)."""
        future = np.full((prediction_length, values.shape[1]), np.nan)
        items = [np.concatenate([one, future]) for one in np.split(values, offsets[1:-1])]
        ends = np.cumsum([len(item) for item in items])
        is_future = np.zeros(ends[-1], bool)
        is_future[(ends[:, None] - np.arange(1, prediction_length + 1)).ravel()] = True
        filled = fill_arrays(
            self.model,
            np.concatenate(items),
            np.concatenate([[0], ends]),
            quantile_levels,
            wanted=is_future,
        )
        return np.stack([filled[:, end - prediction_length : end] for end in ends])


def ratio(one: BenchmarkSet, rival: Rival) -> tuple[float, float]:
    """Return MASE and WQL in units of Seasonal Naive's."""
    naive = score(one, Rival("seasonal naive", "baseline", SeasonalNaive(one.seasonality)), None)
    row = score(one, rival, None)
    return row["mase"] / naive["mase"], row["wql"] / naive["wql"]


def seconds_per_step(recipe: str | Path, changes: list[str], n_steps: int = 10) -> float:
    """Return the processor seconds of a step: batch, loss, gradient, update."""
    parts = pretrain.sections(load_recipe(recipe, changes))
    stream = STREAMS[parts["data"].name](parts["data.config"], seed=0)
    trained = pretrain.build_step(parts)
    trained.backbone.reset_parameters(torch.Generator().manual_seed(0))
    optimizer = make_optimizer(trained, parts["optimizer"])
    stream(0)  # the first batch fills the bank
    started = time.process_time()
    for number in range(n_steps):
        optimizer.zero_grad()
        trained(stream(number), torch.Generator().manual_seed(number)).total.backward()
        optimizer.step()
    return (time.process_time() - started) / n_steps


def verdict(table: Table) -> list[str]:
    """Say which arms differ from the recipe by more than two spreads of its seeds."""
    frame = table.frame.filter(setting="WQL ratio")
    own = frame.filter(model=AS_IT_IS)["value"].to_numpy()
    if len(own) < 2:
        return ["The spread over seeds is not known, so nothing is said."]
    deviation = standard_error(own) * np.sqrt(len(own))
    lines = []
    arms = frame.filter(pl.col("model") != AS_IT_IS).group_by("model", maintain_order=True)
    for arm, value, count in arms.agg(pl.col("value").mean(), pl.len().alias("count")).rows():
        spread = 2 * deviation * np.sqrt(1 / count + 1 / len(own))
        change = value / own.mean() - 1
        word = "better" if change < 0 else "worse"
        if abs(value - own.mean()) <= spread:
            word = "no different beyond the spread"
        lines.append(f"- {arm}: WQL {change:+.1%}, {word}.")
    return ["\n".join(lines)] if lines else []


if __name__ == "__main__":
    main()
