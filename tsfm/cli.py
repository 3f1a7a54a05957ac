"""The command line: verbs and options, no logic.

The list of verbs and options is frozen by a test; a new knob is a field of a recipe. Everything
slow is imported by the verb that needs it.
"""

import json
import os
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from tsfm import __version__
from tsfm.cli_files import Flag, Inputs, Whole, detect, forecast, impute
from tsfm.outcome import exit_code, own_warnings, terminated_is_interrupted

app = App(
    name="tsfm",
    help="Time-series foundation models: forecasts for any frame, offline, on a CPU.",
    version=__version__,
    suppress_keyboard_interrupt=False,
)
for verb in (forecast, impute, detect):
    app.command(verb)
data = App(name="data", help="Data sets: cards, files, and the pool that pre-training reads.")
app.command(data)
audit = App(name="audit", help="Audits: a recipe for look-ahead, the training data for overlap.")
app.command(audit)


Overrides = Annotated[list[str] | None, Parameter(name="--set", consume_multiple=True, negative=())]


def _on_recipe(
    job: str, recipe: str, overrides: list[str] | None, **options: Any
) -> dict[str, Any]:
    """Read a recipe, and only then import what runs it."""
    from tsfm.config import check_verb, load_recipe

    loaded = load_recipe(recipe, overrides or ())
    check_verb(loaded, job)
    return import_module(f"tsfm.jobs.{job}").run(loaded, **options)


@app.command
def pretrain(recipe: str, /, *, overrides: Overrides = None) -> dict[str, Any]:
    """Pre-train a model; a run that was interrupted goes on where it was.

    Parameters
    ----------
    recipe
        Name of a recipe, or path of a TOML file.
    overrides
        Assignments section.key=value.
    """
    return _on_recipe("pretrain", recipe, overrides)


@app.command
def finetune(recipe: str, /, *, overrides: Overrides = None) -> dict[str, Any]:
    """Fine-tune a checkpoint; a run that was interrupted goes on where it was.

    Parameters
    ----------
    recipe
        Name of a recipe, or path of a TOML file.
    overrides
        Assignments section.key=value.
    """
    return _on_recipe("finetune", recipe, overrides)


@app.command
def evaluate(
    recipe: str, /, *, like: Path | None = None, overrides: Overrides = None
) -> dict[str, Any]:
    """Measure models on a benchmark, or on a file of your own.

    Parameters
    ----------
    recipe
        zero_shot, gift_eval, ltsf, imputation, detection, coverage, classification, or a file.
    like
        Your own file: its gaps are mimicked (imputation), or its last windows are forecast
        (zero_shot, --set evaluate.prediction_length=24).
    overrides
        Assignments section.key=value.
    """
    own = () if like is None else (f"evaluate.like={json.dumps(str(like))}",)
    return _on_recipe("evaluate", recipe, [*own, *(overrides or ())])


@app.command
def backtest(recipe: str, /, *, overrides: Overrides = None) -> dict[str, Any]:
    """Rank stocks, trade on it, and audit it; seeds that are fitted are not fitted again.

    Parameters
    ----------
    recipe
        sspt_nasdaq_corrected, sspt_nasdaq_faithful, walk_forward, or path of a TOML file.
    overrides
        Assignments section.key=value.
    """
    return _on_recipe("backtest", recipe, overrides)


@app.command
def export(model: str, /, *, output: Path) -> dict[str, Any]:
    """Write a forecaster as a file for ONNX Runtime, checked against torch.

    Parameters
    ----------
    model
        Bundled name, folder, or models:/name@alias.
    output
        Folder for model.onnx, export.json, and a guide to both.
    """
    from tsfm.jobs import export as job

    return job.run(model, output)


@app.command
def serve(model: str, /, *, host: str = "127.0.0.1", port: Whole = 5000) -> dict[str, Any]:
    """Serve a model over HTTP until it is stopped, with threads set well.

    Parameters
    ----------
    model
        Bundled name, folder, or models:/name@alias.
    host
        Interface to listen on.
    port
        Port to listen on.
    """
    from tsfm.jobs import serve as job

    return job.run(model, host=host, port=port)


@app.command
def replay(run_id: str, /) -> dict[str, Any]:
    """Run again what a recorded run was, and compare the numbers; exit with 3 when some differ.

    Parameters
    ----------
    run_id
        Of a run of pretrain, finetune, evaluate, backtest or forecast in the tracking store.
    """
    from tsfm.jobs import replay as job

    return job.run(run_id)


@audit.default
def audit_recipe(
    recipe: str, /, *, strict: Flag = False, overrides: Overrides = None
) -> dict[str, Any]:
    """Look-ahead audit: change the future of a recipe's data, and nothing before it may move.

    Parameters
    ----------
    recipe
        Name of a recipe of backtest, pretrain, or evaluate with ltsf, or path of a TOML file.
    strict
        Exit with 1 when something looks ahead.
    overrides
        Assignments section.key=value.
    """
    return _on_recipe("audit", recipe, overrides, strict=strict)


@audit.command
def overlap(pool: str | None = None, /, *, near: str = "") -> dict[str, Any]:
    """Compare the training data with every benchmark, whatever the level and scale of a series.

    Parameters
    ----------
    pool
        Folder of a pool; by default the cards for pre-training.
    near
        Training sets with commas between them: what they tell of slow benchmarks again is found.
    """
    from tsfm.jobs import audit_overlap as job

    return job.run(pool, near=[name for name in near.split(",") if name])


@data.command(name="list")
def list_data() -> dict[str, Any]:
    """List the data sets that have a card, and whether their file is here."""
    from tsfm.jobs import data as job

    return job.list_data()


@data.command
def verify(names: list[str] | None = None, /) -> dict[str, Any]:
    """Compare files with the checksums on their cards.

    Parameters
    ----------
    names
        Names on the cards; by default of every file that is here.
    """
    from tsfm.jobs import data as job

    return job.verify(names or ())


@data.command
def path(name: str, /) -> dict[str, Any]:
    """Print where a data set's file is.

    Parameters
    ----------
    name
        Name on the card.
    """
    from tsfm.jobs import data as job

    return job.path(name)


@data.command
def build(inputs: Inputs, /, *, output: Path, apart_from: str = "") -> dict[str, Any]:
    """Build a single-series pool from files, folders or globs of CSV or Parquet.

    Parameters
    ----------
    inputs
        Every file becomes a data set of the pool, named as the file.
    output
        Folder for the pool; it must not exist yet.
    apart_from
        Cards, roles or files with commas between them, such as benchmark: series that have a
        window in common with one of these sets are left out.
    """
    from tsfm.jobs import data as job

    return job.build(inputs, output, apart_from=[one for one in apart_from.split(",") if one])


@data.command
def synth(
    *,
    output: Path,
    n_series: Whole = 100,
    length: Whole = 1024,
    families: str = "",
    seed: Whole = 0,
    freq: str = "h",
    missing_share: float = 0.0,
) -> dict[str, Any]:
    """Write series of the synthetic prior to a file, with the family of each beside it.

    Parameters
    ----------
    output
        Parquet or CSV file in long form; the same options give the same bytes.
    n_series
        Number of series.
    length
        Steps of every series, at least 16.
    families
        Processes with commas between them; by default all of the prior, in its shares.
    seed
        Another one draws other series.
    freq
        pandas alias of the stamps.
    missing_share
        Share of the series with stretches of missing values.
    """
    from tsfm.jobs import synth as job

    return job.run(
        output,
        n_series=n_series,
        length=length,
        families=[one for one in families.split(",") if one],
        seed=seed,
        freq=freq,
        missing_share=missing_share,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit code."""
    # Waiting threads must sleep, or two of them fight for one core; torch reads this at import.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    with own_warnings(), terminated_is_interrupted():
        return exit_code(lambda: _run(arguments))


def _run(arguments: Sequence[str] | None) -> dict[str, Any] | None:
    return app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
