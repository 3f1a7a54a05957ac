"""What every table of this folder shares: scores kept as they come, one MLflow run, one page.

A script opens a `Table`, adds a `Score` per number, and the table writes ``<name>.parquet`` after
every one, so a run that was stopped goes on where it was: ask `Table.has` before the work. At the
end ``<name>.md`` is written from the scores alone, with the published numbers of `published.csv`
beside ours. All runs are in the experiment ``reproduce``; the table's own run is their parent.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import polars as pl

from tsfm.markdown import markdown_table
from tsfm.mlflow_tracker import TrackingConfig, make_tracker

FOLDER = Path(__file__).parent
RESULTS = FOLDER / "results"
EXPERIMENT = "reproduce"
AVERAGE = "average"


@dataclass(frozen=True, kw_only=True)
class Score:
    """One number of a table.

    Parameters
    ----------
    setting
        A column of the page: a horizon, a share of hidden values, a cost.
    model
        A row of the page; arms of one model are models of their own, ``"timer, scratch"``.
    label
        How it came about: ``"baseline"``, ``"fine-tuned"``, ``"zero-shot"``, ``"seen"``.
    seconds, parameters
        Of the model's whole work for this data set, and of its weights; None where there is none.
    """

    dataset: str
    setting: str
    model: str
    metric: str
    value: float
    label: str
    seed: int = 0
    seconds: float | None = None
    parameters: int | None = None


class Table:
    """Scores of one table, kept in a file, recorded in MLflow, shown on a page.

    Parameters
    ----------
    name
        Stem of the files.
    title, notes
        Head of the page: what is shown, what differs from the published protocol and why.
    compare
        Our model -> the published model whose numbers stand beside it.
    options
        What the run was asked for; recorded as parameters.
    average
        Whether the mean over settings says something.
    """

    def __init__(
        self,
        name: str,
        *,
        title: str,
        notes: Sequence[str],
        options: argparse.Namespace,
        compare: Mapping[str, str] | None = None,
        average: bool = True,
    ) -> None:
        self.name, self.title, self.notes, self.average = name, title, notes, average
        self.compare = compare or {}
        self.folder: Path = options.output
        self.config = {key: str(value) for key, value in vars(options).items()}
        self.tracking = TrackingConfig(enabled=not options.no_tracking, experiment=EXPERIMENT)
        self.tracker = make_tracker(self.tracking)
        self.file = self.folder / f"{name}.parquet"
        is_kept = self.file.is_file() and not options.fresh
        self.rows: list[dict[str, Any]] = pl.read_parquet(self.file).to_dicts() if is_kept else []

    def __enter__(self) -> "Table":
        self.folder.mkdir(parents=True, exist_ok=True)
        self.tracker.start(self.name, self.config)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        if kind is None:
            self.write_page()
            for file in (self.file, self.page):
                self.tracker.artifact(file)
        self.tracker.finish("FINISHED" if kind is None else "FAILED")

    @property
    def page(self) -> Path:
        """The Markdown file."""
        return self.folder / f"{self.name}.md"

    @property
    def overrides(self) -> list[str]:
        """Settings that put a recipe's run under the run of this table."""
        if not self.tracking.enabled:
            return ["tracking.enabled=false"]
        return [f"tracking.experiment={EXPERIMENT}", f"tracking.parent={self.tracker.run_id}"]

    def has(self, *, dataset: str, model: str, seed: int = 0, setting: str | None = None) -> bool:
        """Say whether there are scores already: of any setting, unless one is named."""
        wanted = {"dataset": dataset, "model": model, "seed": seed}
        if setting is not None:
            wanted["setting"] = setting
        return any(all(row[key] == value for key, value in wanted.items()) for row in self.rows)

    def add(self, *scores: Score) -> None:
        """Keep, record and print scores."""
        for score in scores:
            self.rows.append(asdict(score))
            path = f"{score.dataset}/{score.setting}/{score.model}/{score.metric}"
            self.tracker.log(score.seed, {path: score.value})
            print(f"{path} seed {score.seed}: {score.value:.4f}", flush=True)
        self.frame.write_parquet(self.file)

    @property
    def frame(self) -> pl.DataFrame:
        """All scores."""
        kinds = {"seed": pl.Int64, "parameters": pl.Int64, "value": pl.Float64}
        kinds["seconds"] = pl.Float64
        schema = {field.name: kinds.get(field.name, pl.String) for field in fields(Score)}
        return pl.DataFrame(self.rows, schema=schema)

    def write_page(self) -> None:
        """Write the page from the scores."""
        parts = [f"# {self.title}", *self.notes, f"`python benchmarks/reproduce/{self.name}.py`"]
        known = published(self.name)
        for (dataset, metric), part in self.frame.group_by(
            ["dataset", "metric"], maintain_order=True
        ):
            theirs = known.filter(dataset=dataset, metric=metric)
            grid = _grid(part, theirs, self.compare, average=self.average)
            parts += [f"## {dataset}: {metric}", grid]
        self.page.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def arguments(name: str, description: str) -> argparse.ArgumentParser:
    """Return the options that every script has."""
    parser = argparse.ArgumentParser(prog=name, description=description)
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of table and page")
    parser.add_argument("--work", type=Path, default=Path("runs/reproduce") / name)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--fresh", action="store_true", help="forget the scores that are there")
    parser.add_argument("--smoke", action="store_true", help="seconds; the scores say nothing")
    parser.add_argument("--no-tracking", action="store_true")
    return parser


def published(table: str) -> pl.DataFrame:
    """Return the published scores of a table: dataset, setting, model, metric, value, source."""
    return pl.read_csv(FOLDER / "published.csv", schema_overrides={"setting": pl.String}).filter(
        table=table
    )


def standard_error(values: np.ndarray) -> float:
    """Return the standard error of the mean; NaN for a single value."""
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else float("nan")


def _grid(
    ours: pl.DataFrame, theirs: pl.DataFrame, compare: Mapping[str, str], *, average: bool
) -> str:
    """Return models by settings; every cell is a mean over seeds with its standard error."""
    settings = list(dict.fromkeys(ours["setting"]))
    shown = [*settings, AVERAGE] if average and len(settings) > 1 else settings
    n_shown = len(shown)
    body, means = [], {}
    for (model, label), part in ours.group_by(["model", "label"], maintain_order=True):
        by_seed = _by_seed(part, settings)
        known = np.isfinite(by_seed)
        total = np.where(known, by_seed, 0.0).sum(axis=0)
        means[model] = np.where(known.any(axis=0), total / np.maximum(known.sum(axis=0), 1), np.nan)
        cells = [_cell(column) for column in by_seed.T[:n_shown]]
        seconds, size = part["seconds"].max(), part["parameters"].max()
        n_seeds = str(part["seed"].n_unique())
        cost = [f"{seconds:.0f}" if seconds is not None else "", f"{size:,}" if size else ""]
        body.append([str(model), str(label), n_seeds, *cells, *cost])
    for (model,), part in theirs.group_by(["model"], maintain_order=True):
        found = dict(zip(part["setting"], part["value"], strict=True))
        values = np.array([found.get(setting, np.nan) for setting in settings])
        values = np.append(values, values.mean()) if len(settings) > 1 else values
        cells = [_cell(value[None]) for value in values[:n_shown]]
        body.append([f"{model}", "published", "", *cells, "", ""])
        for mine in (one for one, other in compare.items() if other == model and one in means):
            percent = 100 * (means[mine] / values - 1)
            cells = ["" if np.isnan(one) else f"{one:+.1f} %" for one in percent[:n_shown]]
            body.append([f"{mine}, less {model}", "difference", "", *cells, "", ""])
    header = ["model", "scores are", "seeds", *shown, "seconds", "parameters"]
    return markdown_table(header, body)


def _by_seed(part: pl.DataFrame, settings: list[str]) -> np.ndarray:
    """Return scores by seed and setting, with the mean over settings as the last column."""
    rows = []
    for (_,), of_seed in part.group_by(["seed"], maintain_order=True):
        found = dict(zip(of_seed["setting"], of_seed["value"], strict=True))
        rows.append([found.get(setting, np.nan) for setting in settings])
    scores = np.array(rows, dtype=np.float64)
    if len(settings) > 1:
        scores = np.concatenate([scores, scores.mean(axis=1, keepdims=True)], axis=1)
    return scores


def _cell(values: np.ndarray) -> str:
    values = values[np.isfinite(values)]
    if not len(values):
        return ""
    error = standard_error(values)
    return f"{values.mean():.4f}" + (f" ± {error:.4f}" if np.isfinite(error) else "")
