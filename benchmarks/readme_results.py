"""Write the tables of results into README.md from the reports of runs, never by hand.

    TSFM_DATA=… tsfm evaluate zero_shot
    python benchmarks/readme_results.py runs/zero_shot/0

Every block between ``<!-- results:RECIPE -->`` and ``<!-- /results:RECIPE -->`` is replaced by the
table of that recipe's report.
"""

import json
import re
import sys
from pathlib import Path
from statistics import mean
from typing import Any

from tsfm.evaluation.zero_shot_tables import COVERAGE, METRICS, with_interval
from tsfm.markdown import markdown_table

README = Path(__file__).parents[1] / "README.md"


def zero_shot_table(report: dict[str, Any]) -> str:
    """Return one table per group with several sets: ours, the baselines, and the published."""
    parts = []
    for group in dict.fromkeys(row["group"] for row in report["summary"] if row["n_sets"] > 1):
        rows = [row for row in report["summary"] if row["group"] == group]
        body = [
            [
                f"**{row['model']}**" if row["kind"] == "model" else row["model"],
                row["label"],
                *(with_interval(row, metric) for metric in METRICS),
                with_interval(row, COVERAGE, 2),
            ]
            for row in sorted(rows, key=lambda row: row["wql_ratio"])
        ]
        header = ["model", "scores are", "MASE ratio", "WQL ratio", "80 % coverage"]
        parts += [f"{group}, {rows[0]['n_sets']} sets:", markdown_table(header, body)]
    return "\n\n".join(parts)


def imputation_table(report: dict[str, Any]) -> str:
    """Return the mean absolute error of hidden values: models by set, length and kind of gap."""
    rows: dict[tuple[str, str], dict[str, list[float]]] = {}
    for result in report["results"]:
        # "seasonal linear, 24" has the season of its set.
        name = result["model"].split(",")[0]
        where = f"{result['dataset']}, {result['window_length']}: {result['gaps']}"
        rows.setdefault((name, result["label"]), {}).setdefault(where, []).append(result["mae"])
    columns = list(dict.fromkeys(where for found in rows.values() for where in found))
    best = {c: min(mean(found[c]) for found in rows.values()) for c in columns}
    body = []
    for column in columns:
        cells = [mean(found[column]) for found in rows.values()]
        shown = [f"**{one:.3f}**" if one == best[column] else f"{one:.3f}" for one in cells]
        body.append([column, *shown])
    header = ["set, window: gaps", *(f"{name}, {label}" for name, label in rows)]
    return markdown_table(header, body)


TABLES = {
    "zero_shot": zero_shot_table,
    "gift_eval": zero_shot_table,
    "imputation": imputation_table,
}


def main(folders: list[str]) -> None:
    """Replace the blocks of the recipes whose run folders are given."""
    text = README.read_text(encoding="utf-8")
    for folder in folders:
        report = json.loads((Path(folder) / "report.json").read_text(encoding="utf-8"))
        name = report["recipe"]
        block = re.compile(rf"(<!-- results:{name} -->\n).*?(<!-- /results:{name} -->)", re.DOTALL)
        if not block.search(text):
            sys.exit(f"README.md must have a block results:{name}, got none; add its two marks")
        table = f"\n{TABLES[name](report)}\n\n"
        text = block.sub(lambda marks, table=table: marks[1] + table + marks[2], text)
    README.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
