"""From files to a pool by the command line, and a pool that is larger than the memory allowed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

from tsfm import cli
from tsfm.jobs import data
from tsfm.series.pool import SingleSeriesPool
from tsfm.series.pool_builder import save_pool
from tsfm.series.windows import WindowSampler

PARQUET = pytest.mark.skipif(
    "TSFM_DATA" not in os.environ, reason="TSFM_DATA must name the folder of the data files"
)


@pytest.fixture
def folder(tmp_path: Path, tiny_frame: pl.DataFrame) -> Path:
    """Two files of the same two hourly series."""
    (tmp_path / "files").mkdir()
    tiny_frame.write_parquet(tmp_path / "files" / "one.parquet")
    tiny_frame.write_csv(tmp_path / "files" / "two.csv")
    return tmp_path / "files"


def test_build_writes_a_pool_that_windows_come_from(folder, tmp_path, capsys, generator) -> None:
    output = tmp_path / "pool"
    assert cli.main(["data", "build", str(folder), "el_nino", "--output", str(output)]) == 0
    pool = SingleSeriesPool.open(output)
    assert pool.datasets == ("one", "two", "el_nino")
    assert WindowSampler(pool).sample(16, 32, generator).observed.any(1).all()
    report = json.loads((output / "report.json").read_text())
    assert (report["series"], report["points"]) == (5, 2 * 84 + 732)
    assert f"5 series and 900 points in {output}" in capsys.readouterr().out


def test_what_is_hidden_in_a_folder_is_no_part_of_its_pool(folder, tmp_path) -> None:
    (folder / ".ipynb_checkpoints").mkdir()
    (folder / ".ipynb_checkpoints" / "two.csv").write_bytes((folder / "two.csv").read_bytes())
    (folder / "._two.csv").write_text("not for us")
    assert cli.main(["data", "build", str(folder), "--output", str(tmp_path / "pool")]) == 0
    assert SingleSeriesPool.open(tmp_path / "pool").datasets == ("one", "two")


def test_an_index_that_pandas_wrote_is_no_series(tmp_path) -> None:
    rows = pd.DataFrame({"item_id": "a", "timestamp": range(40), "target": np.arange(40.0) ** 2})
    (tmp_path / "files").mkdir()
    rows.to_csv(tmp_path / "files" / "one.csv")
    rows[::-1].to_parquet(tmp_path / "files" / "two.parquet")
    pd.read_csv(tmp_path / "files" / "one.csv").to_csv(tmp_path / "files" / "three.csv")
    output = str(tmp_path / "pool")
    assert cli.main(["data", "build", str(tmp_path / "files"), "--output", output]) == 0
    assert SingleSeriesPool.open(output).item_ids == ("a", "a", "a")


def test_a_second_build_to_the_same_folder_is_refused(folder, tmp_path, capsys) -> None:
    arguments = ["data", "build", str(folder), "--output", str(tmp_path / "pool")]
    assert cli.main(arguments) == 0
    assert cli.main(arguments) == 1
    assert "must not exist yet" in capsys.readouterr().err


def test_list_shows_every_card(capsys) -> None:
    assert cli.main(["data", "list"]) == 0
    text = capsys.readouterr().out
    assert "| el_nino " in text
    assert "| ETTh1 " in text


def test_path_and_verify_find_the_samples(capsys, checkout, monkeypatch) -> None:
    monkeypatch.delenv("TSFM_DATA", raising=False)
    assert cli.main(["data", "path", "el_nino"]) == 0
    assert capsys.readouterr().out.strip() == str(checkout / "data" / "el_nino" / "el_nino.csv")
    report = data.verify()
    assert report["verified"] == ["el_nino", "mauna_loa_co2"]
    assert report["failed"] == []
    assert cli.main(["data", "path", "ETTh1"]) == 1


def test_verify_names_a_file_that_changed(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("TSFM_DATA", str(tmp_path))
    (tmp_path / "us_births.parquet").write_bytes(b"other")
    assert cli.main(["data", "verify"]) == 3
    assert "failed: us_births: " in capsys.readouterr().err
    assert "must have the checksum of its card" in data.verify(["us_births"])["failed"][0]
    assert cli.main(["data", "verify", "us_births"]) == 3


@PARQUET
def test_the_files_that_are_here_are_those_of_the_cards() -> None:
    assert data.verify()["failed"] == []


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA counts mapped memory on Linux")
def test_a_pool_larger_than_the_memory_allowed_is_sampled(tmp_path) -> None:
    megabytes = 100
    points = np.tile(np.arange(1000.0), megabytes * 2**20 // 5 // 1000)
    save_pool(SingleSeriesPool.from_series(np.array_split(points, 4)), tmp_path / "pool")
    script = """
import resource, sys
import numpy as np
from tsfm.series.pool import SingleSeriesPool
from tsfm.series.windows import WindowSampler
held = int(next(line for line in open("/proc/self/status") if "VmData" in line).split()[1]) * 1024
limit = held + 40 * 2**20
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
pool = SingleSeriesPool.open(sys.argv[1])
sampler, generator = WindowSampler(pool), np.random.default_rng(0)
for _ in range(20):
    assert sampler.sample(256, 512, generator).observed.all()
try:
    np.array(pool.values)
except MemoryError:
    print("the values do not fit")
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "pool")],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "the values do not fit\n"
