"""Impute a lake: plan its parts, fill them one by one, commit each; `report.json` last."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl

from tsfm.errors import ConfigError, DataError
from tsfm.jobs.engines import ENGINES, Outcome, attempt, check_engine, n_cores, run_units
from tsfm.jobs.impute_report import Progress, finished_report, named, record_report, rewrite_report
from tsfm.jobs.places import lake_places
from tsfm.jobs.reports import REPORT_FILE, check_report_place
from tsfm.lake.manifest import FOLDER, forget, proves, read_records, remove_fills, remove_parts
from tsfm.lake.options import Checkpoint, FillOptions, check_options, digest_of
from tsfm.lake.parts import Part, scan
from tsfm.lake.plan import Plan, find_blank_twins, make_plan
from tsfm.lake.store import is_address, join, remove_leftovers
from tsfm.lake.verify import Checking
from tsfm.lake.work import Filling
from tsfm.locks import locked
from tsfm.mlflow_store import DEFAULT_URI, import_mlflow
from tsfm.mlflow_tracker import TrackingConfig, make_tracker
from tsfm.tasks.imputation.arrays import bundled_for
from tsfm.tracking import Tracker, recorded

ROWS_PER_PROCESS = 200_000
"""Starting a process costs about as much as filling so many rows."""

# Each of two jobs would remove what the other one keeps.
BUSY = (
    "output must be a folder that no other job is filling, got {}; wait for that job, or name "
    "another folder"
)


@dataclass(frozen=True)
class _Job:
    """What the steps of a job share."""

    filling: Filling
    engine: str
    workers: int
    address: str | None

    def run(self, function: Callable[[Any], Any], units: Sequence[Any]) -> Iterator[Outcome[Any]]:
        """Run a function over units with the engine that was asked for."""
        n_rows = sum(unit.n_rows for unit in units)
        workers = min(self.workers, n_rows // ROWS_PER_PROCESS)
        return run_units(
            function, units, engine=self.engine, workers=max(1, workers), address=self.address
        )


def run(
    inputs: Sequence[str | Path],
    *,
    output: str | Path,
    mode: str = "two_sided",
    max_gap: int | None = None,
    model: str | None = None,
    quantile_levels: Sequence[float] = (),
    id_column: str = "item_id",
    timestamp_column: str = "timestamp",
    target: str | Sequence[str] = "target",
    freq: str | None = None,
    calendar: str | None = None,
    fill_rows: bool = False,
    engine: str = ENGINES[0],
    address: str | None = None,
    workers: int | None = None,
    resume: bool = False,
    verify: bool = False,
    plot: str | Path | None = None,
    tracker: Tracker | None = None,
) -> dict[str, Any]:
    """Fill the gaps of every item of a lake; an item may lie in several Parquet files.

    Parameters
    ----------
    inputs
        Files, folders, globs, or addresses of Parquet such as ``s3://bucket/lake/**/*.parquet``. A
        file of text is imputed by itself.
    output
        Folder or address; a file of an input folder or pattern keeps its place below it, any other
        file its name.
    mode
        ``"two_sided"`` or ``"causal"``; a hyphen will do as well.
    fill_rows
        Whether rows are added for stamps that have none: each after the row before it, in the same
        file, with nothing in columns other than id, stamp and targets.
    engine
        ``"local"`` or ``"ray"``; values do not depend on it, nor on `workers`.
    address
        Of a running Ray cluster.
    workers
        Processes at once; by default one per core.
    resume
        Whether what the manifest proves done is kept; otherwise an unfinished job starts anew.
    verify
        Whether the output is read back and compared with the input.
    plot
        HTML file for examples of filled gaps.
    tracker
        By default an MLflow run, at the environment's address.

    Returns
    -------
    report
        What ``report.json`` holds, with ``message``. ``failed`` has a line for every file that
        could not be imputed, and what an earlier job wrote for it is removed; the others are
        written all the same.

    Raises
    ------
    DataError
        When no file can be imputed, two would be written to one place, or an input would be
        overwritten.
    """
    options = FillOptions(
        mode=mode.replace("-", "_"),
        max_gap=max_gap,
        quantile_levels=tuple(quantile_levels),
        id_column=id_column,
        timestamp_column=timestamp_column,
        target=(target,) if isinstance(target, str) else tuple(target),
        freq=freq,
        calendar=calendar,
        fill_rows=fill_rows,
    )
    check_engine(engine)
    if address is not None and engine != "ray":
        raise ConfigError(
            f"address is that of a Ray cluster, got {address!r} for the engine "
            f"{engine!r}; ask for the engine 'ray' too, or leave it out"
        )
    if workers is not None and workers < 1:
        raise ConfigError(f"workers must be at least 1, got {workers}; leave it out for all cores")
    if plot is not None:
        from tsfm.tasks.plot import check_plot

        check_plot(plot)
    # Ray's workers start in another folder.
    is_elsewhere = engine == "ray"
    root = str(Path(output).absolute() if is_elsewhere and not is_address(output) else output)
    job = _Job(_filling(root, options, model), engine, workers or n_cores(), address)
    places = lake_places(inputs, output, absolute=is_elsewhere)
    with ExitStack() as held:
        report = _run(job, places, resume, tracker or make_tracker(TrackingConfig()), held)
        if verify:
            report = _verified(job, places, report)
    if plot is not None:
        from tsfm.jobs.impute_plot import plot_report

        report["plot"] = str(plot_report(report, options, plot))
        report["message"] += f"\nexamples of filled gaps in {plot}"
    return report


def _filling(output: str, options: FillOptions, model: str | None) -> Filling:
    """Load the model, and say what is wrong with the options, before anything is read."""
    checkpoint = Checkpoint.load(model or bundled_for(options.mode))
    check_options(options, checkpoint.imputer())
    return Filling(output, options, checkpoint, digest_of(options, checkpoint))


def _run(
    job: _Job, places: dict[str, str], resume: bool, tracker: Tracker, held: ExitStack
) -> dict[str, Any]:
    """Plan, and do what is left; the folder is held from then on."""
    output, digest = job.filling.output, job.filling.job
    check_report_place(join(output, REPORT_FILE))
    parts, items, failed = _scanned(places, job.filling.options)
    plan = make_plan(parts, items)
    partitions = plan.partitions()
    known = read_records(output)
    records = {
        name: record
        for name, record in known.items()
        if name in partitions and proves(record, output, job=digest, partition=partitions[name])
    }
    is_done = not failed and len(records) == len(parts)
    if is_done and (found := finished_report(output, digest, set(records))):
        return found
    # Where all is done, only the report is not: it is missing, or about other files.
    done = records if resume or is_done else {}
    if parts and not is_address(output):
        held.enter_context(locked(Path(output) / FOLDER, refusal=BUSY.format(output)))
    remove_leftovers(output)
    remove_fills(output)
    forget(output, partitions.keys() - done.keys())
    items_of = {part.name: own for part, own in zip(parts, items, strict=True)}
    progress = Progress(job.filling, items_of, list(done.values()), failed)
    facts = _facts(job)
    with recorded(tracker, "impute", facts) as tracker:
        progress.open(facts, tracker)
        left = plan.without(set(done))
        _fill(job, left, progress)
        lost = set(places.values()) - {record.name for record in progress.records}
        remove_parts(output, [known[name] for name in lost if name in known])
        if not progress.records:
            raise DataError(progress.failed[0])
        remove_fills(output)
        progress.log_inputs(parts, tracker)
        return record_report(progress, tracker)


def _facts(job: _Job) -> dict[str, Any]:
    return {
        "model": job.filling.checkpoint.name,
        "model_version": _model_version(job.filling.checkpoint.name),
        "model_digest": job.filling.checkpoint.digest,
        **asdict(job.filling.options),
        "engine": job.engine,
        "output": job.filling.output,
    }


def _scanned(
    places: dict[str, str], options: FillOptions
) -> tuple[list[Part], list[pl.DataFrame], list[str]]:
    """Look every file over; return the parts, their items, and what is wrong with the others."""
    parts, items, failed = [], [], []
    for source, name in places.items():
        outcome = attempt(lambda one: scan(one[0], one[1], options), (source, name))
        if outcome.error is None:
            part, own = outcome.value
            parts.append(part)
            items.append(own)
        else:
            failed.append(named(source, outcome.error))
    wrong = find_blank_twins(parts, items)
    kept = [number for number, part in enumerate(parts) if part.name not in wrong]
    failed += wrong.values()
    return [parts[number] for number in kept], [items[number] for number in kept], failed


def _fill(job: _Job, plan: Plan, progress: Progress) -> None:
    """Fill everything that stands by itself, then write the parts that share items."""
    lost: dict[str, str] = {}
    for outcome in job.run(job.filling, [*plan.wholes, *plan.chunks]):
        if outcome.error is None:
            progress.add(outcome.value)
        elif hasattr(outcome.unit, "key"):
            lost[outcome.unit.key] = outcome.error
        else:
            progress.fail(outcome.unit.part.source, outcome.error)
    whole = []
    for merge in plan.merges:
        reasons = [lost[key] for key in merge.chunks if key in lost]
        if reasons:
            progress.fail(merge.part.source, f"shares items with others: {reasons[0]}")
        else:
            whole.append(merge)
    for outcome in job.run(job.filling, whole):
        if outcome.error is None:
            progress.add(outcome.value)
        else:
            progress.fail(outcome.unit.part.source, outcome.error)


def _verified(job: _Job, places: dict[str, str], report: dict[str, Any]) -> dict[str, Any]:
    """Read the output back; what is wrong with it counts as failed."""
    parts, _, _ = _scanned(places, job.filling.options)
    written = {one["name"] for one in report["files"]}
    parts = [part for part in parts if part.name in written]
    checking = Checking(job.filling.output, job.filling.options)
    problems = [
        outcome.error or outcome.value
        for outcome in job.run(checking, parts)
        if outcome.error or outcome.value
    ]
    report["failed"] = [*report["failed"], *problems]
    report["verified"] = len(parts) - len(problems)
    report["message"] += f"\n{report['verified']} of {len(parts)} files verified"
    return rewrite_report(job.filling.output, report)


def _model_version(name: str) -> str | None:
    """Return the version that an alias of a registered model stands for now."""
    if not name.startswith("models:/") or "@" not in name:
        return None
    mlflow = import_mlflow()
    address = None if mlflow.is_tracking_uri_set() else DEFAULT_URI
    client = mlflow.MlflowClient(tracking_uri=address, registry_uri=address)
    model, _, alias = name.removeprefix("models:/").partition("@")
    return str(client.get_model_version_by_alias(model, alias).version)
