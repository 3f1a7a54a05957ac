"""A forecast as one HTML file: context, median and bands, with nothing fetched from a network."""

from pathlib import Path
from typing import Any

import polars as pl

from tsfm.errors import UnsupportedError
from tsfm.series.frame import SeriesFrame

MOST_ITEMS = 12
HISTORY_PER_HORIZON = 6


def plot_forecast(series: SeriesFrame, forecast: pl.DataFrame, file: str | Path) -> Path:
    """Draw up to 12 items, to be picked from a list."""
    try:
        import plotly.graph_objects as go
    except ImportError:
        raise UnsupportedError("plots need plotly, got none; pip install tsfm-kit[plot]") from None
    names: list[str] = []
    figure = go.Figure()
    item_column, stamp, target = series.columns.id, series.columns.timestamp, series.targets[0]
    for item in series.items.head(MOST_ITEMS):
        future = forecast.filter((pl.col(item_column) == item) & (pl.col("target_name") == target))
        past = series.frame.filter(pl.col(item_column) == item).tail(
            HISTORY_PER_HORIZON * future.height
        )
        for trace in _traces(go, past, future, stamp, target):
            trace.visible = not names
            figure.add_trace(trace)
        names.append(str(item))
    per_item = len(figure.data) // len(names)
    buttons = [
        {
            "label": name,
            "method": "update",
            "args": [{"visible": [n // per_item == number for n in range(len(figure.data))]}],
        }
        for number, name in enumerate(names)
    ]
    figure.update_layout(
        template="plotly_white", title=f"Forecast of {target}", updatemenus=[{"buttons": buttons}]
    )
    file = Path(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(figure.to_html(include_plotlyjs=True), encoding="utf-8")
    return file


def _traces(
    go: Any, past: pl.DataFrame, future: pl.DataFrame, stamp: str, target: str
) -> list[Any]:
    levels = [name for name in future.columns if name.startswith("0.")]
    levels.sort(key=float)
    stamps = future[stamp].to_list()
    traces = [go.Scatter(x=past[stamp].to_list(), y=past[target].to_list(), name="observed")]
    for low, high in zip(levels[: len(levels) // 2], levels[::-1], strict=False):
        traces.append(
            go.Scatter(
                x=stamps + stamps[::-1],
                y=future[low].to_list() + future[high].to_list()[::-1],
                fill="toself",
                line={"width": 0},
                fillcolor="rgba(31, 119, 180, 0.15)",
                name=f"{low} to {high}",
            )
        )
    traces.append(go.Scatter(x=stamps, y=future["predictions"].to_list(), name="median"))
    return traces
