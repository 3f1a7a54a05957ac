"""The command line: verbs and options, no logic.

The list of verbs and options is frozen by a test; a new knob is a field of a recipe. Everything
slow is imported by the verb that needs it.
"""

import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, CycloptsError, Parameter

from tsfm import __version__
from tsfm.errors import TsfmError

DONE, WRONG, USAGE, PARTIAL, INTERRUPTED = 0, 1, 2, 3, 130

app = App(
    name="tsfm",
    help="Time-series foundation models: forecasts for any frame, offline, on a CPU.",
    version=__version__,
    suppress_keyboard_interrupt=False,
)
data = App(name="data", help="Data sets: cards, files, and the pool that pre-training reads.")
app.command(data)
audit = App(name="audit", help="Audits: a recipe for look-ahead, the training data for overlap.")
app.command(audit)


def _numbers(_: Any, tokens: Sequence[Any]) -> tuple[float, ...]:
    return tuple(float(part) for part in tokens[0].value.split(","))


Inputs = Annotated[list[str], Parameter(name="INPUT", negative=())]
Levels = Annotated[tuple[float, ...], Parameter(converter=_numbers, n_tokens=1, negative=())]
Flag = Annotated[bool, Parameter(negative=())]
Overrides = Annotated[list[str] | None, Parameter(name="--set", consume_multiple=True, negative=())]


@app.command
def forecast(
    inputs: Inputs,
    /,
    *,
    prediction_length: int,
    output: Path | None = None,
    quantiles: Levels = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9),
    model: str = "tsfm-small",
    calendar: str | None = None,
    plot: Path | None = None,
    id_column: str = "item_id",
    timestamp_column: str = "timestamp",
    target: str = "target",
    freq: str | None = None,
) -> dict[str, Any]:
    """Forecast every series of files, folders or globs of CSV or Parquet.

    Parameters
    ----------
    inputs
        Files, folders or globs, CSV or Parquet, in long form.
    prediction_length
        Steps to forecast.
    output
        Parquet or CSV file for the forecasts; without it they are printed.
    quantiles
        Levels between 0 and 1, with commas between them.
    model
        Bundled name, folder, or models:/name@alias.
    calendar
        Exchange code such as XNYS: future stamps are real sessions.
    plot
        HTML file for a plot.
    id_column
        Column that tells the series apart.
    timestamp_column
        Column of stamps.
    target
        Column to forecast, or several with commas between them.
    freq
        pandas alias; inferred when absent.
    """
    from tsfm.jobs import forecast as job

    return job.run(
        inputs,
        prediction_length=prediction_length,
        output=output,
        quantile_levels=quantiles,
        model=model,
        calendar=calendar,
        plot=plot,
        id_column=id_column,
        timestamp_column=timestamp_column,
        target=target.split(",") if "," in target else target,
        freq=freq,
    )


@app.command
def impute(
    inputs: Inputs,
    /,
    *,
    output: Path,
    mode: str = "two-sided",
    max_gap: int | None = None,
    model: str | None = None,
    quantiles: Levels = (),
    id_column: str = "item_id",
    timestamp_column: str = "timestamp",
    target: str = "target",
    freq: str | None = None,
    calendar: str | None = None,
) -> dict[str, Any]:
    """Fill the gaps of every series of files, folders or globs of CSV or Parquet.

    Parameters
    ----------
    inputs
        Files, folders or globs, CSV or Parquet, in long form.
    output
        Folder; every file is written there under its own name.
    mode
        two-sided, or causal: nothing after a step has a say in what is filled there.
    max_gap
        Longest gap, in steps, that is filled; longer ones stay missing.
    model
        Bundled name, folder, or models:/name@alias; by default the bundled one of the mode.
    quantiles
        Levels between 0 and 1, with commas between them, for which columns are added.
    id_column
        Column that tells the series apart.
    timestamp_column
        Column of stamps.
    target
        Column to fill, or several with commas between them.
    freq
        pandas alias; inferred when absent.
    calendar
        Exchange code such as XNYS: stamps are its sessions.
    """
    from tsfm.jobs import impute as job

    return job.run(
        inputs,
        output=output,
        mode=mode,
        max_gap=max_gap,
        model=model,
        quantile_levels=quantiles,
        id_column=id_column,
        timestamp_column=timestamp_column,
        target=target.split(",") if "," in target else target,
        freq=freq,
        calendar=calendar,
    )


@app.command
def detect(
    inputs: Inputs,
    /,
    *,
    output: Path,
    model: str = "tsfm-small",
    id_column: str = "item_id",
    timestamp_column: str = "timestamp",
    target: str = "target",
    freq: str | None = None,
    calendar: str | None = None,
) -> dict[str, Any]:
    """Score how surprising every row of files, folders or globs of CSV or Parquet is.

    Parameters
    ----------
    inputs
        Files, folders or globs, CSV or Parquet, in long form.
    output
        Folder; every file is written there under its own name.
    model
        Bundled name, folder, or models:/name@alias; a saved detector flags rows too.
    id_column
        Column that tells the series apart.
    timestamp_column
        Column of stamps.
    target
        Column to score, or several with commas between them.
    freq
        pandas alias; inferred when absent.
    calendar
        Exchange code such as XNYS: stamps are its sessions.
    """
    from tsfm.jobs import detect as job

    return job.run(
        inputs,
        output=output,
        model=model,
        id_column=id_column,
        timestamp_column=timestamp_column,
        target=target.split(",") if "," in target else target,
        freq=freq,
        calendar=calendar,
    )


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
    from tsfm.config import load_recipe

    loaded = load_recipe(recipe, overrides or ())
    from tsfm.jobs import pretrain as job

    return job.run(loaded)


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
    from tsfm.config import load_recipe

    loaded = load_recipe(recipe, overrides or ())
    from tsfm.jobs import finetune as job

    return job.run(loaded)


@app.command
def evaluate(recipe: str, /, *, overrides: Overrides = None) -> dict[str, Any]:
    """Measure models on a benchmark.

    Parameters
    ----------
    recipe
        zero_shot, ltsf, imputation, detection, or path of a TOML file.
    overrides
        Assignments section.key=value.
    """
    from tsfm.config import load_recipe

    loaded = load_recipe(recipe, overrides or ())
    from tsfm.jobs import evaluate as job

    return job.run(loaded)


@app.command
def backtest(recipe: str, /, *, overrides: Overrides = None) -> dict[str, Any]:
    """Rank stocks, trade on it, and audit it; seeds that are fitted are not fitted again.

    Parameters
    ----------
    recipe
        sspt_nasdaq_corrected, sspt_nasdaq_faithful, or path of a TOML file.
    overrides
        Assignments section.key=value.
    """
    from tsfm.config import load_recipe

    loaded = load_recipe(recipe, overrides or ())
    from tsfm.jobs import backtest as job

    return job.run(loaded)


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
    from tsfm.config import load_recipe

    loaded = load_recipe(recipe, overrides or ())
    from tsfm.jobs import audit as job

    return job.run(loaded, strict=strict)


@audit.command
def overlap(pool: str | None = None, /) -> dict[str, Any]:
    """Compare the training data with every benchmark, whatever the level and scale of a series.

    Parameters
    ----------
    pool
        Folder of a pool; by default the cards for pre-training.
    """
    from tsfm.jobs import audit_overlap as job

    return job.run(pool)


@data.command(name="list")
def list_data() -> dict[str, Any]:
    """List the data sets that have a card, and whether their file is here."""
    from tsfm.jobs import data as job

    return job.list_data()


@data.command
def verify() -> dict[str, Any]:
    """Compare every file that is here with the checksum on its card."""
    from tsfm.jobs import data as job

    return job.verify()


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
def build(inputs: Inputs, /, *, output: Path) -> dict[str, Any]:
    """Build a single-series pool from files, folders or globs of CSV or Parquet.

    Parameters
    ----------
    inputs
        Every file becomes a data set of the pool, named as the file.
    output
        Folder for the pool; it must not exist yet.
    """
    from tsfm.jobs import data as job

    return job.build(inputs, output)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit code."""
    # Waiting threads must sleep, or two of them fight for one core; torch reads this at import.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    with _own_warnings():
        return _code(lambda: _run(arguments))


def _run(arguments: Sequence[str] | None) -> int:
    report = app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
    if report is None:  # help and version
        return DONE
    if report.get("message"):
        print(report["message"])
    if report.get("wrong"):
        _say(f"error: {report['wrong']}")
        return WRONG
    for problem in report.get("failed", ()):
        _say(f"failed: {problem}")
    return PARTIAL if report.get("failed") else DONE


def _code(run: Callable[[], int]) -> int:
    """Turn what went wrong into one line and an exit code."""
    try:
        code = run()
        sys.stdout.flush()
    except CycloptsError as error:
        _say(f"{error}; see tsfm --help")
        return USAGE
    except BrokenPipeError:
        # The reader left, as `head` does; a closed pipe must not be flushed at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return WRONG
    except (TsfmError, OSError) as error:
        _say(f"error: {error}")
        return WRONG
    except KeyboardInterrupt:
        _say("interrupted")
        return INTERRUPTED
    return code


def _say(text: str) -> None:
    one_line = "; ".join(line.strip() for line in text.splitlines() if line.strip())
    print(f"tsfm: {one_line}", file=sys.stderr)


@contextmanager
def _own_warnings() -> Iterator[None]:
    """Show this package's warnings as a line each, and hide those meant for its developers."""
    with warnings.catch_warnings():
        if not sys.warnoptions:
            warnings.simplefilter("ignore")
            warnings.filterwarnings("default", module=r"tsfm(\.|$)")
        warnings.showwarning = lambda message, *_, **__: _say(f"warning: {message}")
        yield
