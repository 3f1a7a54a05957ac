"""Whatever happens to a job, nobody sees half a part, and resuming ends in the same bytes."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from operator import methodcaller
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from tsfm.jobs import impute
from tsfm.jobs.engines import run_units
from tsfm.lake import store
from tsfm.tracking import ListTracker

# Each time takes some seconds; TSFM_TIMES_KILLED=30 asks for more.
TIMES_KILLED = int(os.environ.get("TSFM_TIMES_KILLED", "4"))
N_FILES = 3 * TIMES_KILLED
PATIENCE_SECONDS = 240


def run(*inputs: Path | str, **options: Any) -> dict[str, Any]:
    return impute.run(inputs, **{"output": Path("out"), "tracker": ListTracker(), **options})


def content(folder: Path | str) -> dict[str, bytes]:
    files = sorted(Path(folder).rglob("*.parquet"))
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


@pytest.fixture
def lake(make_series, tmp_path: Path) -> Path:
    """Files of four items each."""
    folder = tmp_path / "in"
    folder.mkdir()
    table = make_series(4 * N_FILES, 200)
    for number in range(N_FILES):
        pq.write_table(table.slice(number * 800, 800), folder / f"part-{number:02d}.parquet")
    return folder


def _start(verb_options: list[str]) -> subprocess.Popen[bytes]:
    """Start the verb in a process of its own, where every part takes a moment longer."""
    program = (
        "import sys, time\n"
        "from tsfm import cli\n"
        "from tsfm.lake import work\n"
        "write_part = work.write_part\n"
        "def slowly(*arguments):\n"
        "    time.sleep(0.4)\n"
        "    return write_part(*arguments)\n"
        "work.write_part = slowly\n"
        "sys.exit(cli.main(sys.argv[1:]))\n"
    )
    environment = {**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{Path('runs.db').absolute()}"}
    command = [sys.executable, "-c", program, "impute", "in", "--output", "out", "--resume"]
    return subprocess.Popen(command + verb_options, env=environment, stdout=subprocess.DEVNULL)


@pytest.mark.slow
def test_a_job_that_is_killed_again_and_again_ends_in_the_same_bytes(lake):
    run(lake, output=Path("undisturbed"))
    expected = content("undisturbed")
    generator = np.random.default_rng(0)
    n_done = 0
    for number in range(TIMES_KILLED):
        process = _start([])
        deadline = time.monotonic() + PATIENCE_SECONDS
        # Random within the work, not within the start of the interpreter.
        while len(content("out")) <= n_done and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        time.sleep(float(generator.uniform(0, 0.35)))
        process.send_signal(signal.SIGTERM if number % 2 else signal.SIGKILL)
        code = process.wait(PATIENCE_SECONDS)
        assert code == (130 if number % 2 else -signal.SIGKILL)
        found = content("out")
        assert found == {name: expected[name] for name in found}
        assert not Path("out/report.json").exists()
        n_done = len(found)
    assert 0 < n_done < len(expected)
    assert _start(["--verify"]).wait(PATIENCE_SECONDS) == 0
    assert content("out") == expected
    assert not list(Path("out").rglob("*.partial"))


def test_a_disk_that_is_full_leaves_no_half_part_and_resuming_ends_the_job(lake, monkeypatch):
    run(lake, output=Path("undisturbed"))
    from tsfm.lake import write

    locate, opened = write.locate, []

    class Full:
        """A filesystem whose fifth file does not fit."""

        def __init__(self, real: Any) -> None:
            self.real = real

        def open_output_stream(self, path: str) -> Any:
            opened.append(path)
            if len(opened) == 5:
                Path(path).write_bytes(b"half")
                raise OSError(28, "No space left on device")
            return self.real.open_output_stream(path)

    monkeypatch.setattr(write, "locate", lambda one: (Full(locate(one)[0]), locate(one)[1]))
    report = run(lake)
    (problem,) = report["failed"]
    assert "must be writable, got: [Errno 28] No space left on device" in problem
    assert len(content("out")) == len(report["files"]) == N_FILES - 1
    assert not list(Path("out").rglob("*.partial"))
    assert run(lake, resume=True)["kept_files"] == N_FILES - 1
    assert content("out") == content("undisturbed")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="mounting needs root")
def test_a_small_disk_that_fills_up(lake, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    size = sum(file.stat().st_size for file in lake.iterdir()) // 2
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(small)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        try:
            report = run(lake, output=small / "out")
        except OSError as error:  # when the report itself does not fit any more
            report = {"failed": [str(error)]}
        assert "No space left" in report["failed"][0]
        for file in (small / "out").rglob("*.parquet"):
            with pq.ParquetFile(file) as content:  # `read_table` closes it some time later
                content.read()
        assert not list(small.rglob("*.partial"))
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_an_input_that_vanishes_is_listed_and_done_when_it_is_back(lake, monkeypatch):
    file = lake / "part-03.parquet"
    kept = file.read_bytes()
    plan = impute.make_plan

    def lose(*arguments: Any) -> Any:
        file.unlink(missing_ok=True)
        return plan(*arguments)

    monkeypatch.setattr(impute, "make_plan", lose)
    report = run(lake)
    (problem,) = report["failed"]
    assert problem.startswith(f"{file} must be there until the job ends")
    assert len(report["files"]) == N_FILES - 1
    monkeypatch.undo()
    file.write_bytes(kept)
    report = run(lake.absolute(), output=file.parents[1] / "out", resume=True)
    assert report["kept_files"] == N_FILES - 1
    assert len(report["files"]) == N_FILES


def test_a_record_that_is_cut_short_proves_nothing(lake):
    run(lake)
    place = Path("out/_manifest/part-05.parquet.json")
    place.write_text(place.read_text()[:40])
    Path("out/report.json").unlink()
    assert run(lake, resume=True)["kept_files"] == N_FILES - 1


def raise_on_three(unit: int) -> int:
    if unit == 3:
        raise OSError("three")
    return unit * unit


def test_a_unit_that_raises_is_an_outcome_and_the_others_go_on():
    found = list(run_units(raise_on_three, range(5), workers=1))
    assert [one.value for one in found] == [0, 1, 4, None, 16]
    assert found[3].error == "three"


@pytest.mark.slow
def test_a_unit_that_ends_its_process_takes_no_other_with_it():
    units = [partial(pow, number, 2) for number in range(8)]
    units[3] = partial(os._exit, 1)
    found = list(run_units(methodcaller("__call__"), units, workers=2))
    assert sorted(one.value for one in found if one.error is None) == [0, 1, 4, 16, 25, 36, 49]
    (problem,) = [one.error for one in found if one.error]
    assert problem.startswith("its process died 3 times")


def test_addresses_and_patterns():
    assert store._matches("a/b/c.parquet", "**/*.parquet")
    assert store._matches("c.parquet", "**/*.parquet")
    assert store._matches("year=2020/c.parquet", "year=*/c.parquet")
    assert not store._matches("a/b/c.parquet", "*/c.parquet")
    assert store._matches("a/b/c.parquet", "**")
