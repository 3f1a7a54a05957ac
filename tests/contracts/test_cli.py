"""The command line is frozen: a new knob is a field of a recipe.

If this test fails, the change breaks or grows what scripts rely on: think of a recipe first, and
change the list together with the changelog.
"""

import inspect

import pytest

from tsfm import cli

FROZEN = {
    "forecast": {
        "inputs",
        "--prediction-length",
        "--output",
        "--quantiles",
        "--model",
        "--calendar",
        "--plot",
        "--id-column",
        "--timestamp-column",
        "--target",
        "--freq",
    },
    "impute": {
        "inputs",
        "--output",
        "--engine",
        "--address",
        "--workers",
        "--mode",
        "--max-gap",
        "--fill-rows",
        "--resume",
        "--verify",
        "--plot",
        "--model",
        "--quantiles",
        "--id-column",
        "--timestamp-column",
        "--target",
        "--freq",
        "--calendar",
    },
    "detect": {
        "inputs",
        "--output",
        "--model",
        "--id-column",
        "--timestamp-column",
        "--target",
        "--freq",
        "--calendar",
    },
    "pretrain": {"recipe", "--set"},
    "finetune": {"recipe", "--set"},
    "evaluate": {"recipe", "--like", "--set"},
    "backtest": {"recipe", "--set"},
    "export": {"model", "--output"},
    "serve": {"model", "--host", "--port"},
    "replay": {"run_id"},
    "audit": {"recipe", "--strict", "--set"},
    "audit overlap": {"pool", "--near"},
    "data list": set(),
    "data verify": {"names"},
    "data path": {"name"},
    "data build": {"inputs", "--output", "--apart-from"},
    "data synth": {
        "--output",
        "--n-series",
        "--length",
        "--families",
        "--seed",
        "--freq",
        "--missing-share",
    },
}


def _verbs() -> dict[str, cli.App]:
    groups = {"audit": cli.audit, "data": cli.data}
    names = [name for name in cli.app if not name.startswith("-") and name != "data"]
    verbs = {name: cli.app[name] for name in names}
    return verbs | {
        f"{group} {name}": app[name]
        for group, app in groups.items()
        for name in app
        if name[0] != "-"
    }


def _options(verb: cli.App) -> set[str]:
    found = set()
    for argument in verb.assemble_argument_collection():
        is_positional = argument.field_info.kind is inspect.Parameter.POSITIONAL_ONLY
        found.add(argument.field_info.name if is_positional else argument.name)
    return found


def test_the_verbs_and_their_options_are_frozen() -> None:
    assert {name: _options(verb) for name, verb in _verbs().items()} == FROZEN


@pytest.mark.parametrize("name", FROZEN)
def test_every_verb_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*name.split(), "--help"]) == 0
    text = capsys.readouterr().out
    for option in FROZEN[name]:
        if option.startswith("--"):
            assert option in text


@pytest.mark.parametrize("name", FROZEN)
def test_every_parameter_of_a_verb_is_described(name: str) -> None:
    verb = _verbs()[name]
    for argument in verb.assemble_argument_collection(parse_docstring=True):
        assert argument.parameter.help, f"{name}: {argument.name} has no description"
