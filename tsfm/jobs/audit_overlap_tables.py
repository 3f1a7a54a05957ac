"""The page of the overlap audit."""

from typing import Any

from tsfm.markdown import markdown_table

CAPTION = """\
Made by `tsfm audit overlap`: {points:,} values of {sets} sets ({origin}) against {benchmarks}
benchmarks. A window is {window} steps, whatever its level and scale; every eighth window of a
benchmark is looked up among all windows of the training data. Windows that are constant, idle,
incomplete or made of few different steps are left out, and so are shorter series: a dash is a
benchmark that cannot be compared."""
NEAR = """\
Series of {sets} that tell one of a monthly or quarterly benchmark again: revised, rounded
otherwise, in logarithms, or as means of several steps (rate). Likeness is the lowest correlation
of changes, of their changes and of changes since a year before, over all steps that both have."""
NOT_NEAR = "Other revisions, and copies at another rate, were not looked for: `--near` does."


def render(report: dict[str, Any]) -> str:
    """Return the report as Markdown."""
    caption = CAPTION.format(
        points=sum(report["training"].values()),
        sets=len(report["training"]),
        origin=f"the pool {report['pool']}" if report["pool"] else "the cards of role pretrain",
        benchmarks=len(report["benchmarks"]),
        window=report["window"],
    )
    parts = ["# Benchmarks in the training data", caption, "## By benchmark"]
    parts.append(_by_benchmark(report))
    if report["pairs"]:
        parts += ["## By pair", _by_pair(report)]
    if report["flagged"]:
        parts.append(
            f"More than {report['threshold']:.0%} of the windows, or most of a series, are in "
            f"both: {', '.join(report['flagged'])}."
        )
    else:
        parts.append(
            f"No training set has more than {report['threshold']:.0%} of a benchmark's windows, or "
            "most of a series."
        )
    parts += _near(report) if report["near_sets"] else [NOT_NEAR]
    if report["absent"]:
        parts.append(f"Not here, and not compared: {', '.join(report['absent'])}.")
    return "\n\n".join(parts) + "\n"


def _by_benchmark(report: dict[str, Any]) -> str:
    most_in: dict[str, str] = {}
    for pair in report["pairs"]:
        most_in.setdefault(pair["benchmark"], pair["training"])
    body = [
        [
            one["name"],
            f"{one['n_series']:,}",
            f"{one['n_short']:,}",
            f"{one['compared']:,}",
            f"{one['compared'] / one['n_windows']:.0%}" if one["n_windows"] else "-",
            f"{one['share']:.2%}" if one["compared"] else "-",
            most_in.get(one["name"], ""),
        ]
        for one in report["benchmarks"]
    ]
    header = ["benchmark", "series", "too short", "windows", "of all", "in training", "most in"]
    return markdown_table(header, body)


def _near(report: dict[str, Any]) -> list[str]:
    body = [
        [
            f"{one['benchmark']} {one['item_id']}",
            f"{one['training']} {one['training_item_id'].replace('|', '/')}",
            f"{one['rate']:g}" if one["rate"] >= 1 else f"1/{1 / one['rate']:g}",
            f"{one['likeness']:.3f}",
            str(one["n_steps"]),
        ]
        for one in report["near"]
    ]
    table = markdown_table(["benchmark", "training", "rate", "likeness", "steps"], body)
    items = {(one["benchmark"], one["item_id"]) for one in report["near"]}
    counts = [
        f"{one['name']} {count} of {one['n_series']}"
        for one in report["benchmarks"]
        if (count := sum(name == one["name"] for name, _ in items))
    ]
    caption = NEAR.format(sets=", ".join(report["near_sets"]))
    verdict = f"Series of the benchmark: {', '.join(counts)}." if body else "None."
    return ["## Told again", caption, *([table] if body else []), verdict]


def _by_pair(report: dict[str, Any]) -> str:
    body = [
        [
            pair["benchmark"],
            pair["training"],
            f"{pair['share']:.2%}",
            f"{pair['n_windows']:,}",
            f"{pair['n_series']:,}",
            f"{pair['n_whole']:,}",
            pair["example"].replace("|", "/"),
            "overlap" if f"{pair['benchmark']} in {pair['training']}" in report["flagged"] else "",
        ]
        for pair in report["pairs"]
    ]
    header = [
        "benchmark",
        "training set",
        "share",
        "windows",
        "series",
        "mostly",
        "example",
        "flag",
    ]
    return markdown_table(header, body)
