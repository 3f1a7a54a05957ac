"""Examples of filled gaps as one HTML file, by the length of the gap; nothing is fetched."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tsfm.tasks.plot import (
    FORECAST_RGB,
    OBSERVED_COLOUR,
    check_plot,
    page_layout,
    picked_from,
    text,
    write_page,
)

FILLED_COLOUR = f"rgb{FORECAST_RGB}"


@dataclass(frozen=True)
class GapExample:
    """A filled gap and what is around it.

    Parameters
    ----------
    group
        What it is an example of, such as a range of lengths.
    title
        Which series it is from.
    stamps, values, imputed
        Steps around the gap, in order; None where a value is missing.
    """

    group: str
    title: str
    stamps: Sequence[str]
    values: Sequence[float | None]
    imputed: Sequence[bool]


def plot_gaps(examples: Sequence[GapExample], file: str | Path) -> Path:
    """Draw examples, to be picked from a list; observed values dark, filled ones in colour.

    Raises
    ------
    UnsupportedError
        When plotly is not installed.
    ConfigError
        When `file` does not end in ``.html``.
    """
    check_plot(file)
    import plotly.graph_objects as go

    figure = go.Figure()
    for number, example in enumerate(examples):
        for trace in _traces(go, example):
            trace.visible = number == 0
            figure.add_trace(trace)
    titles = [text(f"{one.group}: {one.title}") for one in examples] or ["no gap was filled"]
    buttons = [
        {
            "label": title,
            "method": "update",
            "args": [
                {"visible": [n // 2 == number for n in range(len(figure.data))]},
                {"title.text": title, "xaxis.autorange": True, "yaxis.autorange": True},
            ],
        }
        for number, title in enumerate(titles)
    ]
    figure.update_layout(**page_layout(titles[0]), updatemenus=picked_from(buttons))
    return write_page(figure, file, "Filled gaps")


def _traces(go: Any, example: GapExample) -> list[Any]:
    seen = [
        None if flag else value for value, flag in zip(example.values, example.imputed, strict=True)
    ]
    filled = _with_neighbours(example)
    common = {"x": list(example.stamps), "hovertemplate": "%{y:.5g}"}
    return [
        go.Scatter(
            y=seen,
            mode="lines+markers",
            marker={"size": 4},
            line={"color": OBSERVED_COLOUR, "width": 1.5},
            name="observed",
            **common,
        ),
        go.Scatter(
            y=filled,
            mode="lines+markers",
            marker={"size": [5 if flag else 0 for flag in example.imputed]},
            line={"color": FILLED_COLOUR, "width": 2},
            name="filled",
            **common,
        ),
    ]


def _with_neighbours(example: GapExample) -> list[float | None]:
    """Return filled values and those beside them, so that lines meet."""
    flags = [False, *example.imputed, False]
    near = [any(flags[number : number + 3]) for number in range(len(example.imputed))]
    return [value if keep else None for value, keep in zip(example.values, near, strict=True)]
