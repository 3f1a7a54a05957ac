"""Time `tsfm impute` over lakes of Parquet, as a user does: from files to files.

Every lake has files of 100 items with 2,500 hourly steps: a season of a day, a drift, noise, and
10 % of the values missing in bursts of up to twenty steps. Printed for every number of rows:
seconds, rows per second (of the whole verb, start-up included), processor seconds, the most memory
that all processes held together (shared pages counted once for each), and how many times longer
the job takes than reading and writing the same files with pyarrow alone, one after the other in
one process. Cost is linear when seconds per row do not rise. Needs Linux.

    python benchmarks/speed/impute_lake.py --rows 250000 1000000 --workers 2
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ITEMS_PER_FILE, STEPS = 100, 2500
MISSING, LONGEST_BURST = 0.1, 20
PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 1024**2
SECONDS_BETWEEN_LOOKS = 0.2


def write_lake(folder: Path, n_rows: int) -> int:
    """Write a lake of about `n_rows` rows; return how many."""
    n_files = max(1, round(n_rows / (ITEMS_PER_FILE * STEPS)))
    for number in range(n_files):
        file = folder / f"group={number % 10}" / f"part-{number:04d}.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(_table(number), file, compression="zstd")
    return n_files * ITEMS_PER_FILE * STEPS


def _table(number: int) -> pa.Table:
    generator = np.random.default_rng(number)
    step = np.arange(STEPS)
    shape = (ITEMS_PER_FILE, STEPS)
    season = 10 * np.sin(step * 2 * np.pi / 24 + generator.uniform(0, 6, (ITEMS_PER_FILE, 1)))
    values = season + generator.normal(0, 0.5, shape).cumsum(1) + generator.normal(size=shape)
    flat = values.ravel().round(4)
    bursts = round(MISSING * flat.size / ((1 + LONGEST_BURST) / 2) * 1.05)
    for start in generator.integers(0, flat.size - LONGEST_BURST, bursts):
        flat[start : start + generator.integers(1, LONGEST_BURST + 1)] = np.nan
    names = [f"item {number:04d} {item:03d}" for item in range(ITEMS_PER_FILE)]
    stamps = np.datetime64("2024-01-01T00:00:00", "us") + step * np.timedelta64(1, "h")
    return pa.table(
        {
            "item_id": np.repeat(names, STEPS),
            "timestamp": np.tile(stamps, ITEMS_PER_FILE),
            "target": pa.array(flat, from_pandas=True),
            "volume": generator.integers(0, 10_000, flat.size),
        }
    )


def copy_lake(folder: Path, output: Path) -> float:
    """Read and write every file with pyarrow; return the seconds."""
    started = time.perf_counter()
    for file in sorted(folder.rglob("*.parquet")):
        place = output / file.relative_to(folder)
        place.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pq.ParquetFile(file).read(), place, compression="zstd")
    return time.perf_counter() - started


def run(command: list[str], folder: Path) -> dict[str, float]:
    """Run to the end; return seconds, processor seconds and the most memory held together."""
    environment = {**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db"}
    before = os.times()
    started = time.perf_counter()
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL)
    peak = [0.0]
    watch = threading.Thread(target=_watch, args=(process, peak), daemon=True)
    watch.start()
    code = process.wait()
    seconds = time.perf_counter() - started
    watch.join()
    if code:
        raise SystemExit(f"{' '.join(command)} ended with {code}")
    after = os.times()
    used = after.children_user + after.children_system
    used -= before.children_user + before.children_system
    return {
        "seconds": round(seconds, 2),
        "processor_seconds": round(used, 2),
        "peak_memory_mb": round(peak[0]),
    }


def _watch(process: subprocess.Popen[bytes], peak: list[float]) -> None:
    while process.poll() is None:
        peak[0] = max(peak[0], _memory_mb(process.pid))
        time.sleep(SECONDS_BETWEEN_LOOKS)


def _memory_mb(pid: int) -> float:
    """Return the resident memory of a process and of all below it."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (OSError, IndexError):
        return 0.0
    return pages * PAGE_MB + sum(_memory_mb(int(child)) for child in children)


def measure(n_rows: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure one lake."""
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as name:
        folder = Path(name)
        rows = write_lake(folder / "lake", n_rows)
        plain = copy_lake(folder / "lake", folder / "copy")
        command = [sys.executable, "-m", "tsfm", "impute", "lake", "--output", "out"]
        command += ["--engine", arguments.engine, "--workers", str(arguments.workers)]
        found = run(command, folder)
        report = json.loads((folder / "out" / "report.json").read_text())
        if report["rows"] != rows or report["failed"]:
            raise SystemExit(f"all {rows} rows must come back, got {report['rows']}")
        return {
            "rows": rows,
            "files": len(report["files"]),
            "filled": report["filled"],
            **found,
            "rows_per_second": round(rows / found["seconds"]),
            "rows_per_second_without_start_up": report["rows_per_second"],
            "rows_per_processor_second": round(rows / found["processor_seconds"]),
            "plain_copy_seconds": round(plain, 2),
            "times_plain_copy": round(found["seconds"] / plain, 1),
        }


def main() -> None:
    """Parse the arguments, measure, and print the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--engine", default="local", choices=["local", "ray"])
    parser.add_argument("--scratch", default=None, help="folder for lakes; they are removed")
    arguments = parser.parse_args()
    report = {
        "cores": os.cpu_count(),
        "load_before": round(os.getloadavg()[0], 2),
        "engine": arguments.engine,
        "workers": arguments.workers,
        "lakes": [measure(n_rows, arguments) for n_rows in arguments.rows],
    }
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
