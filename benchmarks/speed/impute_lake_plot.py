"""Draw what `impute_lake.py` printed: seconds against rows, both on logarithmic axes.

    python benchmarks/speed/impute_lake.py --rows 5000000 50000000 > lakes.json
    python benchmarks/speed/impute_lake_plot.py lakes.json

Several files are drawn as one. Writes ``results/impute_lake.md`` and ``.svg``; on the dashed line a
row costs as much as in the largest lake.
"""

import json
import math
import sys
from pathlib import Path
from typing import Any

from tsfm.markdown import markdown_table

RESULTS = Path(__file__).parent / "results"
WIDTH, HEIGHT, MARGIN = 480, 320, 50
COLUMNS = ("rows", "files", "seconds", "rows_per_second", "peak_memory_mb", "times_plain_copy")


def main(files: list[str], folder: Path = RESULTS) -> None:
    """Read the reports and write the page and its drawing."""
    reports = [json.loads(Path(file).read_text(encoding="utf-8")) for file in files]
    lakes = sorted((lake for one in reports for lake in one["lakes"]), key=lambda one: one["rows"])
    engine, workers = reports[0]["engine"], reports[0]["workers"]
    body = [[f"{lake[name]:,}" for name in COLUMNS] for lake in lakes]
    table = markdown_table([name.replace("_", " ") for name in COLUMNS], body)
    text = f"`tsfm impute`, engine {engine}, {workers} workers on {reports[0]['cores']} cores."
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "impute_lake.svg").write_text(drawing(lakes), encoding="utf-8")
    parts = ("# A lake with its gaps filled", text, table, "![seconds by rows](impute_lake.svg)")
    (folder / "impute_lake.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def drawing(lakes: list[dict[str, Any]]) -> str:
    """Return points, their line, and the dashed line of constant cost, as SVG."""
    rows = [lake["rows"] for lake in lakes]
    seconds = [lake["seconds"] for lake in lakes]
    constant = [seconds[-1] * one / rows[-1] for one in rows]
    low, high = min(*seconds, *constant), max(seconds)

    def place(x: float, y: float) -> str:
        right = _share(x, rows[0], rows[-1]) * (WIDTH - 2 * MARGIN)
        up = _share(y, low, high) * (HEIGHT - 2 * MARGIN)
        return f"{MARGIN + right:.0f},{HEIGHT - MARGIN - up:.0f}"

    def line(values: list[float], style: str) -> str:
        points = " ".join(place(x, y) for x, y in zip(rows, values, strict=True))
        return f'<polyline points="{points}" fill="none" stroke="#27c" {style}/>'

    labels = []
    for one, spent in zip(rows, seconds, strict=True):
        x, y = place(one, spent).split(",")
        labels.append(f'<text x="{x}" y="{int(y) - 8}">{one / 1e6:g} M: {spent:.0f} s</text>')
    style = 'font-family="sans-serif" font-size="12" text-anchor="middle"'
    size = f'width="{WIDTH}" height="{HEIGHT}" {style}'
    lines = line(constant, 'stroke-dasharray="4"') + line(seconds, 'stroke-width="2"')
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{lines}{"".join(labels)}</svg>\n'


def _share(value: float, low: float, high: float) -> float:
    return math.log(value / low) / math.log(high / low) if high > low else 0.5


if __name__ == "__main__":
    main(sys.argv[1:])
