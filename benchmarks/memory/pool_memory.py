"""A pool larger than memory: built and sampled by processes that may not hold it.

Writes a Parquet file of random walks, then builds the pool and draws windows from it in processes
of their own under RLIMIT_DATA: memory that a process owns (heap, anonymous maps, stacks) beyond the
limit is refused by the system. Pages of mapped files are not the process's own, the system takes
them back at will; their resident peak is reported beside it, with and without
`SingleSeriesPool.release`. Prints one JSON object. Needs Linux, no privileges, and about twice the
size of the pool on disk.

    python benchmarks/memory/pool_memory.py --megabytes 4096 --limit-mb 1024
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

BYTES_PER_POINT = 5  # a float32 and a bool
PARTS = ("write", "build", "sample", "sample_and_release")
KINDS = ("VmRSS", "RssAnon", "RssFile", "VmData")


class MemoryWatch:
    """Reads this process's memory every few milliseconds and keeps the peaks."""

    def __enter__(self) -> "MemoryWatch":
        self.peaks = dict.fromkeys(KINDS, 0)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.005):
            status = Path("/proc/self/status").read_text()
            for kind, kilobytes in re.findall(r"^(\w+):\s+(\d+) kB", status, re.MULTILINE):
                if kind in self.peaks:
                    self.peaks[kind] = max(self.peaks[kind], int(kilobytes))

    def report(self) -> dict[str, int]:
        """Return the peaks in megabytes."""
        return {f"peak_{kind}_mb": kilobytes // 1024 for kind, kilobytes in self.peaks.items()}


def write(folder: Path, megabytes: int, points_per_item: int) -> dict[str, Any]:
    """Write random walks, a row group per item."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    n_items = max(1, megabytes * 2**20 // BYTES_PER_POINT // points_per_item)
    schema = pa.schema([("item_id", pa.string()), ("timestamp", pa.int64()), ("x", pa.float32())])
    generator = np.random.default_rng(0)
    step = np.arange(points_per_item)
    with pq.ParquetWriter(folder / "walks.parquet", schema, compression="none") as writer:
        for number in range(n_items):
            walk = generator.standard_normal(points_per_item, np.float32).cumsum()
            names = pa.array([f"walk {number:06d}"] * points_per_item)
            writer.write_table(pa.table([names, step, walk], schema=schema))
    return {"items": n_items, "points": n_items * points_per_item}


def build(folder: Path) -> dict[str, Any]:
    """Build the pool."""
    from tsfm.series.pool_builder import build_pool

    index = build_pool([folder / "walks.parquet"], folder / "pool")
    size = sum(file.stat().st_size for file in (folder / "pool").iterdir())
    return {"pool_mb": size // 2**20, "series": index["statistics"][0]["series"]}


def sample(folder: Path, n_batches: int, *, release: bool) -> dict[str, Any]:
    """Draw batches of 256 windows of 512 points from everywhere in the pool."""
    from tsfm.series.pool import SingleSeriesPool
    from tsfm.series.windows import WindowSampler

    pool = SingleSeriesPool.open(folder / "pool")
    sampler = WindowSampler(pool)
    generator = np.random.default_rng(0)
    seconds, checksum = 0.0, 0.0
    for number in range(n_batches):
        started = time.perf_counter()
        windows = sampler.sample(256, 512, generator)
        seconds += time.perf_counter() - started
        checksum += float(windows.values.mean())
        if release and number % 2:
            pool.release()
    return {
        "windows": 256 * n_batches,
        "windows_per_second": round(256 * n_batches / seconds),
        "mean": round(checksum / n_batches, 6),
    }


def run_part(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run one part in this process, watched."""
    import resource

    if arguments.part != "write":
        limit = arguments.limit_mb * 2**20
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    folder, started = arguments.folder, time.perf_counter()
    with MemoryWatch() as watch:
        if arguments.part == "write":
            found = write(folder, arguments.megabytes, arguments.points_per_item)
        elif arguments.part == "build":
            found = build(folder)
        else:
            release = arguments.part == "sample_and_release"
            found = sample(folder, arguments.batches, release=release)
    return {**found, "seconds": round(time.perf_counter() - started, 1), **watch.report()}


def run_all(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run every part in a process of its own."""
    folder = Path(tempfile.mkdtemp(dir=arguments.folder))
    # One thread each: every further one adds arenas of its own to what is counted.
    threads = dict.fromkeys(("OMP_NUM_THREADS", "POLARS_MAX_THREADS"), "1")
    report: dict[str, Any] = {"megabytes": arguments.megabytes, "limit_mb": arguments.limit_mb}
    try:
        for part in PARTS:
            command = [sys.executable, __file__, "--part", part, "--folder", str(folder)]
            for name in ("megabytes", "limit_mb", "points_per_item", "batches"):
                command += [f"--{name.replace('_', '-')}", str(getattr(arguments, name))]
            done = subprocess.run(
                command, env={**os.environ, **threads}, capture_output=True, text=True, check=False
            )
            if done.returncode:
                raise SystemExit(f"{part} failed under the limit:\n{done.stderr}")
            report[part] = json.loads(done.stdout)
    finally:
        shutil.rmtree(folder)
    return report


def main() -> None:
    """Parse the arguments, run, and print the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=int, default=4096, help="size of the pool")
    parser.add_argument("--limit-mb", type=int, default=1024, help="RLIMIT_DATA of each process")
    parser.add_argument("--points-per-item", type=int, default=1_000_000)
    parser.add_argument("--batches", type=int, default=2000)
    parser.add_argument("--folder", type=Path, default=None, help="where the files go")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    report = run_part(arguments) if arguments.part else run_all(arguments)
    print(json.dumps(report, indent=None if arguments.part else 1))


if __name__ == "__main__":
    main()
