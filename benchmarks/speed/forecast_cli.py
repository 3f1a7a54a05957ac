"""How long `tsfm forecast` takes from the shell: CSV in, Parquet out, run recorded.

Makes a CSV of seasonal series in a folder of its own, forecasts it in a process of its own, first
into a store that has to be made and then into the same store, and prints one JSON object: seconds
of each, start-up seconds (what `tsfm --version` takes, and the imports of the verb), and the peak
memory of the process. Processor seconds count all threads and hardly move when other
programs keep the machine busy. Needs a Unix.

    python benchmarks/speed/forecast_cli.py --series 1000 --points 512 --horizon 96
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

# `ru_maxrss` counts kilobytes on Linux and bytes on macOS.
PEAK_UNITS_PER_MB = 1024**2 if sys.platform == "darwin" else 1024


def write_csv(file: Path, n_series: int, n_points: int) -> None:
    """Write hourly series with a season of a day, noise and a drift."""
    generator = np.random.default_rng(0)
    hour = np.arange(n_points)
    season = 10 * np.sin(hour * 2 * np.pi / 24 + generator.uniform(0, 6, (n_series, 1)))
    drift = generator.normal(0, 0.5, (n_series, n_points)).cumsum(1)
    values = 50 + season + drift + generator.normal(size=(n_series, n_points))
    stamps = np.datetime64("2024-01-01T00:00:00", "us") + hour * np.timedelta64(1, "h")
    frame = pl.DataFrame(
        {
            "item_id": np.repeat([f"series {number:05d}" for number in range(n_series)], n_points),
            "timestamp": np.tile(stamps, n_series),
            "target": values.ravel().round(4),
        }
    )
    frame.write_csv(file, datetime_format="%Y-%m-%d %H:%M:%S")


def run(command: list[str], folder: Path) -> dict[str, float]:
    """Run to the end; return seconds, processor seconds and the peak memory of the process."""
    environment = {**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db"}
    started = time.perf_counter()
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return {
        "seconds": round(seconds, 2),
        "processor_seconds": round(usage.ru_utime + usage.ru_stime, 2),
        "peak_memory_mb": round(usage.ru_maxrss / PEAK_UNITS_PER_MB),
    }


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure start-up, then the whole verb twice."""
    tsfm = [sys.executable, "-m", "tsfm"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_csv(folder / "series.csv", arguments.series, arguments.points)
        forecast = [*tsfm, "forecast", "series.csv", "--output", "out/forecast.parquet"]
        forecast += ["--prediction-length", str(arguments.horizon)]
        parts = {
            "version": run([*tsfm, "--version"], folder),
            "imports": run([sys.executable, "-c", "import tsfm.cli, tsfm.jobs.forecast"], folder),
            "forecast_and_new_store": run(forecast, folder),
            "forecast_and_known_store": run(forecast, folder),
        }
        report = json.loads((folder / "out" / "report.json").read_text())
        rows = pl.read_parquet(folder / "out" / "forecast.parquet").height
    if rows != arguments.series * arguments.horizon:
        raise SystemExit(f"the forecast must have a row per series and step, got {rows}")
    return {
        "series": arguments.series,
        "points": arguments.points,
        "horizon": arguments.horizon,
        "cores": os.cpu_count(),
        "load_before": round(arguments.load, 2),
        **parts,
        "seconds_until_the_report": report["seconds"],
    }


def main() -> None:
    """Parse the arguments, measure, and print the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--series", type=int, default=1000)
    parser.add_argument("--points", type=int, default=512)
    parser.add_argument("--horizon", type=int, default=96)
    arguments = parser.parse_args()
    arguments.load = os.getloadavg()[0]
    print(json.dumps(measure(arguments), indent=1))


if __name__ == "__main__":
    main()
