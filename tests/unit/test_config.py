"""A wrong recipe must be refused before anything is read, with all that is wrong at once."""

from pathlib import Path

import pytest
from pydantic import ConfigDict, model_validator
from pydantic.dataclasses import dataclass

from tsfm.config import (
    build,
    build_sections,
    check_verb,
    load_recipe,
)
from tsfm.errors import ConfigError
from tsfm.recipe_files import recipe_names


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class Training:
    steps: int
    rate: float = 0.1


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class Window:
    context_length: int = 96
    patch_length: int = 16

    @model_validator(mode="after")
    def _divides(self) -> "Window":
        if self.context_length % self.patch_length:
            raise ValueError(
                f"context_length must be a multiple of patch_length={self.patch_length}, got "
                f"context_length={self.context_length}"
            )
        return self


@pytest.fixture
def recipe_file(tmp_path: Path) -> Path:
    file = tmp_path / "mine.toml"
    file.write_text('[run]\nname = "first"\n[training]\nsteps = 10\n')
    return file


def test_a_recipe_is_read_from_a_path(recipe_file: Path) -> None:
    recipe = load_recipe(recipe_file)
    assert recipe.name == "mine"
    assert recipe.source == recipe_file
    assert recipe.sections["training"] == {"steps": 10}


def test_every_recipe_of_the_package_is_read_by_its_name() -> None:
    assert recipe_names()
    for name in recipe_names():
        assert load_recipe(name).name == name


@pytest.mark.parametrize(
    ("name", "verb", "right"),
    [
        ("zero_shot", "pretrain", "evaluate"),
        ("timer_tiny", "evaluate", "pretrain"),
        ("timer_tiny", "finetune", "pretrain"),
        ("timer_ltsf", "pretrain", "finetune"),
        ("sspt_nasdaq_corrected", "evaluate", "backtest"),
        ("zero_shot", "backtest", "evaluate"),
    ],
)
def test_a_recipe_of_another_verb_names_that_verb(name: str, verb: str, right: str) -> None:
    recipe = load_recipe(name)
    check_verb(recipe, right)
    check_verb(recipe, "audit")
    with pytest.raises(
        ConfigError, match=rf"{name}\.toml: tsfm {verb} .* run tsfm {right} {name}$"
    ):
        check_verb(recipe, verb)


def test_an_unknown_recipe_names_those_that_are_close() -> None:
    with pytest.raises(ConfigError, match=r"got 'zero_shoot'; did you mean zero_shot\?"):
        load_recipe("zero_shoot")


def test_a_recipe_may_begin_with_the_mark_that_windows_writes(tmp_path: Path) -> None:
    (tmp_path / "marked.toml").write_text("[run]\nseed = 1\n", encoding="utf-8-sig")
    assert load_recipe(tmp_path / "marked.toml").sections == {"run": {"seed": 1}}


def test_broken_toml_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "broken.toml").write_text("[run\n")
    with pytest.raises(ConfigError, match=r"broken\.toml: a recipe must be valid TOML.*line 1"):
        load_recipe(tmp_path / "broken.toml")


def test_a_recipe_that_extends_another_says_only_what_is_different(
    recipe_file: Path, tmp_path: Path
) -> None:
    before = load_recipe(recipe_file).sections
    (tmp_path / "longer.toml").write_text(
        'extends = "mine.toml"\n[training]\nsteps = 20\n[run.window]\nstride = 3\n'
    )
    (tmp_path / "longest.toml").write_text('extends = "longer.toml"\ntraining.steps = 40\n')
    longer, longest = (load_recipe(tmp_path / f"{name}.toml") for name in ("longer", "longest"))
    assert longer.name == "longer"
    assert longer.sections["training"] == {"steps": 20}
    assert longer.sections["run"]["window"]["stride"] == 3
    assert {**longest.sections, "training": {"steps": 20}} == longer.sections
    # What is not named is that of the recipe below, which stays as it is.
    assert {k: v for k, v in longer.sections.items() if k not in ("training", "run")} == {
        k: v for k, v in before.items() if k not in ("training", "run")
    }
    assert load_recipe(recipe_file).sections == before


def test_a_recipe_can_extend_one_of_the_package(tmp_path: Path) -> None:
    (tmp_path / "quick.toml").write_text('extends = "timer_tiny"\ntraining.steps = 1\n')
    of_package = load_recipe("timer_tiny", ["training.steps=1"])
    assert load_recipe(tmp_path / "quick.toml").sections == of_package.sections


@pytest.mark.parametrize(
    ("extended", "message"),
    [
        ("timer_tyni", r"two\.toml: extends: recipe must be one of .*; did you mean timer_tiny"),
        ("../loop/one.toml", r"two\.toml: extends must not lead back to the recipe itself"),
        (
            "one.toml",
            r"two\.toml: extends must not lead back to the recipe itself, got 'one\.toml'",
        ),
    ],
)
def test_a_recipe_must_extend_one_that_is_there_and_not_itself(
    extended: str, message: str, tmp_path: Path
) -> None:
    folder = tmp_path / "loop"
    folder.mkdir()
    (folder / "one.toml").write_text('extends = "two.toml"\n')
    (folder / "two.toml").write_text(f'extends = "{extended}"\n')
    with pytest.raises(ConfigError, match=message):
        load_recipe(folder / "one.toml")


@pytest.mark.parametrize("header", ["run", "data.config"])
def test_extends_below_a_header_says_where_it_belongs(header: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(f'[{header}]\nseed = 1\nextends = "timer_tiny"\n')
    problem = (
        rf"mine\.toml: extends must stand above the first section, got it below \[{header}\], to "
        "which it would belong; move it to the top of the file$"
    )
    with pytest.raises(ConfigError, match=problem):
        load_recipe(file)


def test_a_section_may_have_a_part_called_extends(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("[backtest.portfolios.extends]\nstocks = 3\n")
    sections = load_recipe(file).sections
    assert sections == {"backtest": {"portfolios": {"extends": {"stocks": 3}}}}


def test_overrides_replace_and_add_values(recipe_file: Path) -> None:
    recipe = load_recipe(recipe_file, ["training.steps=5", "model.config.d_model=64"])
    assert recipe.sections["training"] == {"steps": 5}
    assert recipe.sections["model"] == {"config": {"d_model": 64}}


def test_an_override_cannot_reach_into_a_value(recipe_file: Path) -> None:
    with pytest.raises(ConfigError, match=r"training\.steps must be a section to set .*, got 10"):
        load_recipe(recipe_file, ["training.steps.most=5"])


def test_build_returns_the_dataclass() -> None:
    assert build(Training, {"steps": 3}, section="training", source="f") == Training(steps=3)


def test_build_reports_all_problems_together() -> None:
    with pytest.raises(ConfigError) as caught:
        build(Training, {"rate": [1], "stepz": 3}, section="training", source="f.toml")
    assert sorted(str(caught.value).splitlines()) == [
        "f.toml: training.rate: input should be a valid number, got [1]",
        "f.toml: training.steps: must be given, got nothing",
        "f.toml: training.stepz: there is no such key, got 3; remove it or correct its name",
    ]


def test_true_is_not_taken_for_one() -> None:
    with pytest.raises(ConfigError) as caught:
        build(Training, {"steps": True, "rate": False}, section="training", source="f.toml")
    assert str(caught.value).splitlines() == [
        "f.toml: training.steps: must be a number, got True",
        "f.toml: training.rate: must be a number, got False",
    ]


def test_a_rule_between_fields_is_reported_with_the_section() -> None:
    rule = "window: context_length must be a multiple of patch_length=16, got context_length=97$"
    with pytest.raises(ConfigError, match=rule):
        build(Window, {"context_length": 97}, section="window", source="f.toml")


def test_a_value_in_place_of_a_section_is_refused(tmp_path: Path) -> None:
    (tmp_path / "flat.toml").write_text("training = 3\n")
    recipe = load_recipe(tmp_path / "flat.toml")
    with pytest.raises(ConfigError, match=r"training: must be a section \[training\], got 3"):
        build_sections(recipe, {"training": Training})


def test_sections_that_are_absent_take_their_defaults(recipe_file: Path) -> None:
    recipe = load_recipe(recipe_file, ["run.window.context_length=32"])
    built = build_sections(recipe, {"run": dict, "training": Training, "run.window": Window})
    assert built["training"] == Training(steps=10)
    assert built["run.window"] == Window(context_length=32)


def test_problems_of_all_sections_come_together(recipe_file: Path) -> None:
    recipe = load_recipe(recipe_file, ["training.steps=x", "windov.a=1", "window.b=2"])
    with pytest.raises(ConfigError) as caught:
        build_sections(recipe, {"run": dict, "training": Training, "window": Window})
    text = str(caught.value)
    assert "windov: the section must be one of ['run', 'training', 'window']; did you" in text
    assert "training.steps: input should be a valid integer" in text
    assert "window.b: there is no such key" in text
