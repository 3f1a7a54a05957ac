"""Scripts rely on exit codes and on one line per error; people rely on the help."""

import signal
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from polars.exceptions import PanicException

from tsfm import cli
from tsfm.errors import DataError

Verb = Callable[[Callable[[], object]], list[str]]


@pytest.fixture
def verb() -> Iterator[Verb]:
    """Add a verb for the length of a test; returns the arguments that call it."""

    def add(function: Callable[[], object]) -> list[str]:
        cli.app.command(function, name="tried")
        return ["tried"]

    yield add
    if "tried" in cli.app:
        del cli.app["tried"]


@pytest.mark.parametrize(
    ("report", "code"),
    [({}, 0), ({"message": "done"}, 0), ({"failed": []}, 0), ({"failed": ["a", "b"]}, 3)],
)
def test_the_report_decides_between_done_and_partly_done(
    verb: Verb, report: dict[str, object], code: int
) -> None:
    assert cli.main(verb(lambda: report)) == code


def test_the_message_of_a_report_is_printed(verb: Verb, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(verb(lambda: {"message": "two\nlines", "failed": ["part 3: no rows"]}))
    assert capsys.readouterr() == ("two\nlines\n", "tsfm: failed: part 3: no rows\n")


@pytest.mark.parametrize(
    "error", [DataError("item 'a' has\n2 duplicates"), OSError("item 'a' has\n2 duplicates")]
)
def test_an_error_is_one_line_and_exit_1(
    verb: Verb, error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise error

    assert cli.main(verb(fail)) == 1
    assert capsys.readouterr().err == "tsfm: error: item 'a' has; 2 duplicates\n"


def test_an_error_that_nobody_foresaw_keeps_its_traceback(verb: Verb) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        cli.main(verb(fail))


def test_a_request_to_end_is_ctrl_c(verb: Verb, capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGTERM)
    assert cli.main(verb(lambda: signal.raise_signal(signal.SIGTERM))) == 130
    assert capsys.readouterr().err == "tsfm: interrupted\n"
    assert signal.getsignal(signal.SIGTERM) is before


def test_ctrl_c_is_exit_130(verb: Verb, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    assert cli.main(verb(interrupt)) == 130
    assert capsys.readouterr().err == "tsfm: interrupted\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["nope"],
        ["forecast"],
        ["forecast", "a.csv"],
        ["forecast", "a.csv", "--prediction-length", "many"],
        ["forecast", "a.csv", "--prediction-length", "3", "--nope"],
        ["forecast", "a.csv", "--prediction-length", "3", "--quantiles", "low,high"],
        ["data", "path"],
    ],
)
def test_a_wrong_call_is_one_line_and_exit_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(arguments) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("number", ["1.5", "2.0", "1e3", ""])
@pytest.mark.parametrize(
    "arguments",
    [
        ["forecast", "a.csv", "--prediction-length"],
        ["impute", "a.csv", "--output", "out", "--max-gap"],
        ["impute", "a.csv", "--output", "out", "--workers"],
        ["data", "synth", "--output", "a.csv", "--n-series"],
        ["data", "synth", "--output", "a.csv", "--length"],
        ["data", "synth", "--output", "a.csv", "--seed"],
        ["serve", "model", "--port"],
    ],
    ids=lambda arguments: arguments[-1],
)
def test_a_number_that_is_not_whole_is_not_rounded(
    arguments: list[str], number: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*arguments, number]) == 2
    said = f"Invalid value for {arguments[-1]}: must be a whole number, got {number!r}; see tsfm "
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "verb_with_help"),
    [
        (["nope"], "tsfm"),
        (["tsfm", "forecast"], "tsfm"),
        (["forecast", "a.csv"], "tsfm forecast"),
        (["data", "path"], "tsfm data path"),
    ],
)
def test_a_wrong_call_leads_to_the_help_of_its_verb(
    arguments: list[str], verb_with_help: str, capsys: pytest.CaptureFixture[str]
) -> None:
    cli.main(arguments)
    said = capsys.readouterr().err
    assert said.endswith(f"; see {verb_with_help} --help\n")
    assert ".;" not in said
    assert ", ;" not in said


def test_an_unknown_recipe_is_exit_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["evaluate", "zero_shoot"]) == 1
    assert "did you mean zero_shot?" in capsys.readouterr().err


def test_a_missing_input_is_exit_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = str(tmp_path / "missing.csv")
    assert cli.main(["forecast", missing, "--prediction-length", "3"]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "missing.csv" in error


def test_our_warnings_are_one_line_and_others_are_silent(
    verb: Verb, capsys: pytest.CaptureFixture[str]
) -> None:
    def warn() -> None:
        warnings.warn_explicit("ours", UserWarning, "a.py", 1, module="tsfm.series.frame")
        warnings.warn_explicit("theirs", UserWarning, "b.py", 1, module="torch.nn")

    cli.main(verb(warn))
    assert capsys.readouterr().err == "tsfm: warning: ours\n"


def test_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == "0.1.0"


def test_a_panic_of_the_library_that_reads_files_is_one_line(verb: Verb, capsys) -> None:
    def panics() -> None:
        raise PanicException("called `Option::unwrap()` on a `None` value")

    assert cli.main(verb(panics)) == 1
    assert capsys.readouterr().err.startswith("tsfm: error: called `Option::unwrap()`")
