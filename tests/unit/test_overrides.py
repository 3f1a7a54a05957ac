"""What stands after `--set`: a path, and a value that is TOML or else text."""

from typing import Any

import pytest

from tsfm.errors import ConfigError
from tsfm.overrides import parse_overrides


@pytest.mark.parametrize(
    ("text", "value"),
    [("3", 3), ("2e-3", 0.002), ("true", True), ("[1, 2]", [1, 2]), ('"3"', "3"), ("cpu", "cpu")],
)
def test_the_value_of_an_override_is_toml_or_else_text(text: str, value: Any) -> None:
    assert parse_overrides([f"section.key={text}"]) == [(("section", "key"), value)]


def test_quotes_keep_the_dots_of_a_name_together() -> None:
    found = parse_overrides(['evaluate.sets."ett1/H".horizon=3', 'a."v1.5"=1', "a.Kid's.b=2"])
    paths = [path for path, _ in found]
    assert paths == [("evaluate", "sets", "ett1/H", "horizon"), ("a", "v1.5"), ("a", "Kid's", "b")]


@pytest.mark.parametrize("override", ["steps=1", "training.steps", ".steps=1", "training.=1"])
def test_a_malformed_override_is_refused(override: str) -> None:
    with pytest.raises(ConfigError, match=r"override must read section\.key=value, got"):
        parse_overrides([override])


@pytest.mark.parametrize("text", ["[tsfm-fill]", "{rule=long_short,top_k=5}", "[]]"])
def test_a_list_whose_quotes_the_shell_took_is_told(text: str) -> None:
    with pytest.raises(ConfigError, match="the shell takes quotes away that are within no others"):
        parse_overrides([f"section.key={text}"])


@pytest.mark.parametrize("text", ["[ab]*.parquet", "{", "it is [so]"])
def test_text_with_a_bracket_stays_text(text: str) -> None:
    assert parse_overrides([f"section.key={text}"]) == [(("section", "key"), text)]
