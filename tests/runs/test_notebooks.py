"""A notebook that nobody runs rots: each is executed here as plain Python, in small sizes."""

import runpy
from functools import cache
from pathlib import Path
from typing import Any

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("[0-9][0-9]_*.py"))


@cache
def _executed(notebook: Path) -> dict[str, Any]:
    return runpy.run_path(str(notebook))


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("plotly", reason="needs the extra plot")
    monkeypatch.setenv("TSFM_NOTEBOOK_SMALL", "1")
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_draws(notebook: Path, tmp_path: Path) -> None:
    from plotly.graph_objects import Figure

    if "skfolio" in notebook.read_text(encoding="utf-8"):
        pytest.importorskip("skfolio", reason="needs the extra finance")
    figures = [value for value in _executed(notebook).values() if isinstance(value, Figure)]
    assert figures
    assert all(len(figure.data) > 0 for figure in figures)
    assert not list(tmp_path.iterdir())


def test_the_gallery_draws_every_family_and_augmentation() -> None:
    (gallery,) = (path for path in NOTEBOOKS if path.stem == "00_synthetic_gallery")
    names = _executed(gallery)
    assert len(names["families"].data) == names["N_SERIES"] * len(names["FAMILIES"])
    made_here = {
        name
        for name, value in vars(names["augment"]).items()
        if getattr(value, "__module__", None) == names["augment"].__name__ and name[0] != "_"
    }
    assert set(names["changed"]) == made_here


@pytest.mark.parametrize(
    ("stem", "table", "leaking"),
    [
        ("04_stock_selection", "leaks", [True, False, True, False, True]),
        ("06_how_a_published_number_melts", "verdicts", [True, False, False]),
    ],
)
def test_the_audit_finds_the_leaks_of_a_notebook_and_no_others(
    stem: str, table: str, leaking: list[bool]
) -> None:
    pytest.importorskip("skfolio", reason="needs the extra finance")
    (notebook,) = (path for path in NOTEBOOKS if path.stem == stem)
    assert _executed(notebook)[table]["looks ahead"].to_list() == leaking
