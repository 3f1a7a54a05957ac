"""An input is never an output, however the two are written."""

from pathlib import Path

import pytest

from tsfm.errors import ConfigError
from tsfm.jobs.places import lake_places, output_places

ANOTHER = "output must be another folder than that of"


@pytest.fixture(autouse=True)
def _lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("lake/sub").mkdir(parents=True)
    Path("lake/a.parquet").touch()
    Path("link").symlink_to("lake")
    Path("elsewhere").mkdir()
    Path("elsewhere/away").symlink_to(tmp_path / "lake" / "sub")


@pytest.mark.parametrize(
    ("entry", "output"),
    [
        ("lake", "lake"),
        ("lake", "missing/../lake"),
        ("lake", "link"),
        ("link", "lake"),
        ("lake", "elsewhere/away/.."),
        ("lake/*.parquet", "missing/../lake"),
        ("lake/a.parquet", "missing/../lake"),
    ],
)
def test_an_input_is_not_overwritten(entry, output):
    with pytest.raises(ConfigError, match=ANOTHER):
        lake_places([entry], output)
    with pytest.raises(ConfigError, match=ANOTHER):
        output_places([entry], Path(output))


@pytest.mark.parametrize("entry", ["lake", "lake/a.parquet", "file://{}/lake"])
@pytest.mark.parametrize("output", ["file://{}/lake", "file://{}/missing/../lake", "lake", "link"])
def test_an_input_is_not_overwritten_by_way_of_an_address(entry, output):
    here = Path.cwd()
    with pytest.raises(ConfigError, match=ANOTHER):
        lake_places([entry.format(here)], output.format(here))


@pytest.mark.parametrize("entry", ["lake", "file://{}/lake", "link"])
@pytest.mark.parametrize("output", ["lake/sub", "file://{}/lake/sub", "elsewhere/away"])
def test_what_lies_in_an_output_below_the_input_is_no_input(entry, output):
    here = Path.cwd()
    Path("lake/sub/a.parquet").touch()
    found = lake_places([entry.format(here)], output.format(here))
    assert list(found.values()) == ["a.parquet"]


def test_another_folder_is_fine():
    Path("other").mkdir()
    Path("other/a.parquet").touch()
    assert lake_places(["lake"], "other") == {"lake/a.parquet": "a.parquet"}
    assert lake_places(["lake"], f"file://{Path.cwd()}/new") == {"lake/a.parquet": "a.parquet"}


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        (
            "lake/*.parquet",
            "named once each, got a.parquet twice, as lake/a.parquet and as lake/a.",
        ),
        ("lake/sub/*.parquet", "place each, got lake/sub/b.parquet for sub/b.parquet and for b.pa"),
    ],
)
def test_inputs_that_overlap_are_refused_as_such(pattern, message):
    Path("lake/sub/b.parquet").touch()
    with pytest.raises(ConfigError, match=message):
        lake_places(["lake", pattern], "out")
