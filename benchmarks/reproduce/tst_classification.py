"""Score TST on labelled samples, with and without pre-training on the very same samples.

    TSFM_DATA=… python benchmarks/reproduce/tst_classification.py --output runs/tst_classification

Arms, each over several seeds with the standard error of its mean: from random weights ("scratch"),
pre-trained on the training samples of the set ("target", recipe ``tst_pretrain``), and the bundled
forecaster, which was pre-trained on the pool ("pool"). Beside them the cheap rivals, and the
published accuracies where there are any: of the 24 UCR sets (ucr_classification/NAME) in
``published/ucr_uea_accuracy.csv``; the four default sets have none there.

Every choice is made on held-out training samples; a test sample is scored once per seed. Writes
``scores.parquet`` (one row per set, model and seed) and ``README.md``; ``--smoke`` takes seconds.
"""

import argparse
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import tsfm
from tsfm.config import load_recipe
from tsfm.jobs import pretrain
from tsfm.jobs.markdown import markdown_table
from tsfm.mlflow_tracker import TrackingConfig, make_tracker
from tsfm.models.backbone import count_parameters
from tsfm.series.samples import SampleSet
from tsfm.tasks.finetune import LEARNING_RATES
from tsfm.tracking import NoTracker, recorded

SETS = (
    "uea_basicmotions",
    "uea_plaid",
    "uea_pickupgesturewiimotez",
    "uea_cardanosentiment",
)
REGRESSION = ("uea_cardanosentiment",)
ARMS = ("scratch", "target", "pool")
POOL_MODEL = "tsfm-small"
SIZES = {"d_model": 64, "n_heads": 8, "n_layers": 3, "d_ff": 256}
MOST_TOKENS = 128
# Points to which rivals see every channel stretched, since they need samples of one length.
N_POINTS = 64
PUBLISHED = Path("published") / "ucr_uea_accuracy.csv"
Rows = list[dict[str, Any]]


def main() -> None:
    """Score every set and write both files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("runs/tst_classification"))
    parser.add_argument("--sets", nargs="+", default=list(SETS))
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=ARMS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--pretrain-steps", type=int, default=1000)
    parser.add_argument("--smoke", action="store_true", help="one seed, two epochs, twenty steps")
    parser.add_argument("--no-tracking", action="store_true")
    options = parser.parse_args()
    if options.smoke:
        options.seeds, options.epochs, options.pretrain_steps = 1, 2, 20
    options.output.mkdir(parents=True, exist_ok=True)
    tracker = NoTracker() if options.no_tracking else make_tracker(TrackingConfig())
    config = {key: str(value) for key, value in vars(options).items()}
    with recorded(tracker, "tst_classification", config):
        rows: Rows = []
        for name in options.sets:
            for row in scores(name, options):
                print(f"{name} {row['model']} seed {row['seed']}: {row['score']:.4f}", flush=True)
                rows.append(row)
                metric = f"{name}/{row['model']}/{row['metric']}"
                tracker.log(row["seed"], {metric: row["score"]})
            frame = pl.DataFrame(rows, infer_schema_length=None)
            frame.write_parquet(options.output / "scores.parquet")
            text = page(frame, options)
            (options.output / "README.md").write_text(text, encoding="utf-8")
        for file in ("scores.parquet", "README.md"):
            tracker.artifact(options.output / file)
    print(text)


def scores(name: str, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield one row per model and seed."""
    samples = SampleSet.from_card(name)
    is_regression = name in REGRESSION
    train, test = samples.train, samples.test
    facts = {"dataset": name, "metric": "rmse" if is_regression else "accuracy"}
    for rival, make in rivals(is_regression).items():
        yield {**facts, **scored(rival, make, features, train, test, seed=0)}
    for seed in range(options.seeds):
        for arm in options.arms:
            started = time.perf_counter()
            make = estimator(name, train, arm, seed, options)
            row = scored(arm, make, arrays, train, test, seed=seed)
            # With the pre-training, which a user would have to wait for as well.
            yield {**facts, **row, "seconds": time.perf_counter() - started}


def scored(
    model: str,
    make: Callable[[], Any],
    view: Callable[[SampleSet], Any],
    train: SampleSet,
    test: SampleSet,
    *,
    seed: int,
) -> dict[str, Any]:
    """Fit on the training samples, then score the test samples once."""
    started = time.perf_counter()
    fitted = make()
    is_regression = not hasattr(fitted, "predict_proba")
    target = train.labels.astype(float) if is_regression else train.labels
    fitted.fit(view(train), target)
    found = fitted.predict(view(test))
    if is_regression:
        score = float(np.sqrt(np.mean((found - test.labels.astype(float)) ** 2)))
    else:
        score = float((found == test.labels).mean())
    inner = getattr(fitted, "model_", None)
    return {
        "model": model,
        "seed": seed,
        "score": score,
        "seconds": time.perf_counter() - started,
        "parameters": count_parameters(inner) if inner is not None else None,
        "epochs": len(fitted.history_) if inner is not None else None,
    }


def estimator(
    name: str, train: SampleSet, arm: str, seed: int, options: argparse.Namespace
) -> Callable[[], Any]:
    """Return what makes the estimator of an arm; its pre-training happens here."""
    longest = int(train.lengths.max())
    patch_length = -(-longest // MOST_TOKENS)
    model: str | None = None
    if arm == "pool":
        model = POOL_MODEL
    elif arm == "target":
        folder = options.output / "pretrained" / name.replace("/", "_") / str(seed)
        sizes = {
            **SIZES,
            "n_channels": train.n_channels,
            "context_length": longest,
            "patch_length": patch_length,
        }
        overrides = [
            f"data.config.dataset={name}",
            f"run.seed={seed}",
            f"run.output={folder}",
            f"training.steps={options.pretrain_steps}",
            *(f"model.config.{key}={value}" for key, value in sizes.items()),
        ]
        # The run of this table is the one that is recorded.
        pretrain.run(load_recipe("tst_pretrain", overrides), tracker=NoTracker())
        model = str(folder / "checkpoint")
    kind = tsfm.SeriesRegressor if name in REGRESSION else tsfm.SeriesClassifier
    return lambda: kind(
        model=model,
        patch_length=patch_length,
        max_epochs=options.epochs,
        random_state=seed,
        # That of fine-tuning the bundled model for forecasts.
        learning_rate=LEARNING_RATES["full"] if arm == "pool" else 1e-3,
        **SIZES,
    )


def rivals(is_regression: bool) -> dict[str, Callable[[], Any]]:  # noqa: FBT001, RUF100
    """Return what every model must beat."""
    if is_regression:
        return {
            "mean": DummyRegressor,
            "ridge": lambda: make_pipeline(StandardScaler(), RidgeCV(np.logspace(-2, 5, 15))),
            "1-NN": lambda: make_pipeline(StandardScaler(), KNeighborsRegressor(1)),
        }
    return {
        "majority": DummyClassifier,
        "logistic": lambda: make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
        "1-NN": lambda: make_pipeline(StandardScaler(), KNeighborsClassifier(1)),
    }


def arrays(samples: SampleSet) -> list[np.ndarray]:
    """Return every sample as (channel, time)."""
    bounds = zip(samples.offsets[:-1], samples.offsets[1:], strict=True)
    return [samples.values[first:last].T for first, last in bounds]


def features(samples: SampleSet) -> np.ndarray:
    """Return every sample stretched to `N_POINTS` steps, missing values filled in between."""
    rows = []
    for sample in arrays(samples):
        place = np.linspace(0, sample.shape[1] - 1, N_POINTS)
        row = []
        for channel in sample:
            known = np.flatnonzero(np.isfinite(channel))
            row.append(np.interp(place, known, channel[known]) if len(known) else 0 * place)
        rows.append(np.concatenate(row))
    return np.stack(rows)


def published(name: str) -> Rows:
    """Return the published scores of a set, on its usual split."""
    file = Path(os.environ.get("TSFM_DATA", "")) / PUBLISHED
    subset = name.partition("/")[2]
    if not subset or not file.is_file():
        return []
    of_set = pl.read_csv(file).filter(pl.col("dataset") == subset)
    return of_set.select("classifier", "default_split").to_dicts()


def page(frame: pl.DataFrame, options: argparse.Namespace) -> str:
    """Return the tables as Markdown."""
    seeds = "1 seed" if options.seeds == 1 else f"{options.seeds} seeds"
    explained = (
        f"Mean over {seeds} ± its standard error; accuracy is better when higher, RMSE when lower. "
        "Seconds include pre-training. Every epoch is chosen on held-out training samples."
    )
    parts = ["# TST on labelled samples", explained]
    if options.smoke:
        parts.append("**A smoke run: the scores say nothing.**")
    for (name,), of_set in frame.group_by("dataset", maintain_order=True):
        parts += [f"## {name}", table(of_set, published(str(name)))]
        parts.append(verdict(of_set))
    return "\n\n".join(part for part in parts if part) + "\n"


def table(of_set: pl.DataFrame, known: Rows) -> str:
    """Return one set's rows, ours first; published ones have no cost."""
    metric = of_set["metric"][0]
    best = max((row["default_split"] for row in known), default=None)
    body = []
    for (model,), part in of_set.group_by("model", maintain_order=True):
        score = part["score"].to_numpy()
        error = f" ± {standard_error(score):.4f}" if len(score) > 1 else ""
        size = part["parameters"][0]
        body.append(
            [
                str(model),
                f"{score.mean():.4f}{error}",
                f"{score.mean() - best:+.4f}" if best is not None else "",
                f"{part['seconds'].mean():.1f}",
                f"{size:,}" if size else "",
            ]
        )
    body += [
        [f"{r['classifier']} (published)", f"{r['default_split']:.4f}", "", "", ""] for r in known
    ]
    header = ["model", metric, "less the best published", "seconds", "parameters"]
    return markdown_table(header, body)


def verdict(of_set: pl.DataFrame) -> str:
    """Say whether pre-training on the target beat scratch beyond the spread, seed by seed."""
    arms = {
        arm: of_set.filter(pl.col("model") == arm).sort("seed")["score"].to_numpy()
        for arm in ("scratch", "target")
    }
    if min(len(score) for score in arms.values()) < 2:
        return ""
    sign = -1 if of_set["metric"][0] == "rmse" else 1
    gain = sign * (arms["target"] - arms["scratch"])
    error = standard_error(gain)
    says = "beats scratch" if gain.mean() > 2 * error else "does not beat scratch"
    return (
        f"Pre-training on the same samples {says} beyond two standard errors: gain "
        f"{gain.mean():+.4f} ± {error:.4f}, paired by seed."
    )


def standard_error(score: np.ndarray) -> float:
    """Return the standard error of the mean."""
    return float(score.std(ddof=1) / np.sqrt(len(score)))


if __name__ == "__main__":
    main()
