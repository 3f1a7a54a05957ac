"""Numbers move unseen: a committed checkpoint must forecast a committed input as it always did.

A change here is a change of every user's forecasts. When it is wanted, `make golden` writes the
new ones, and the change log says by how much under Numbers.
"""

import runpy
from pathlib import Path

import polars as pl
from polars.testing import assert_frame_equal

FOLDER = Path(__file__).parent
GOLDEN = runpy.run_path(str(FOLDER / "regenerate.py"))


def test_forecasts_are_what_they_were() -> None:
    expected = pl.read_csv(GOLDEN["EXPECTED"], try_parse_dates=True)
    found = GOLDEN["forecast"]()
    assert_frame_equal(found, expected, check_exact=False, rel_tol=1e-5, abs_tol=1e-5)


def test_the_golden_forecasts_can_fail() -> None:
    """They have a spread, differ between items, and reach beyond the head."""
    expected = pl.read_csv(GOLDEN["EXPECTED"])
    assert expected.group_by("item_id").len()["len"].unique().to_list() == [20]
    moving = expected.filter(pl.col("item_id") != "constant")
    assert (moving["0.9"] - moving["0.1"]).min() > 0.01
    assert moving["0.5"].n_unique() == 40


def test_the_files_are_small_enough_to_be_committed() -> None:
    files = [file for file in FOLDER.rglob("*") if file.suffix in {".csv", ".safetensors"}]
    assert len(files) == 3
    assert sum(file.stat().st_size for file in files) < 80_000
