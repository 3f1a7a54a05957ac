"""A forecast as one HTML file: context, median and bands, with nothing fetched from a network."""

import html
import importlib.util
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from tsfm.errors import ConfigError, UnsupportedError
from tsfm.series.frame import SeriesFrame

MOST_ITEMS = 12
MOST_TARGETS = 6
HISTORY_PER_HORIZON = 6
LEAST_HISTORY = 60
OBSERVED_COLOUR = "#1f2937"
FORECAST_RGB = (37, 99, 235)
HEAD = "<head><title>{}</title><style>body {{ margin: 0 }}</style>"
FAINTEST, STRONGEST = 0.1, 0.65


def check_plot(file: str | Path) -> None:
    """Say what would keep a plot from being drawn to `file`, before anything is computed."""
    if importlib.util.find_spec("plotly") is None:
        raise UnsupportedError("plots need plotly, got none; pip install 'tsfm-kit[plot]'")
    if Path(file).suffix not in (".html", ".htm"):
        raise ConfigError(f"plot must end in .html, got {str(file)!r}; rename it")


def plot_forecast(series: SeriesFrame, forecast: pl.DataFrame, file: str | Path) -> Path:
    """Draw the first 12 items and 6 targets of each, to be picked from a list.

    Parameters
    ----------
    series
        What was forecast; of every item the last steps are drawn.
    forecast
        What `Forecaster.forecast_series` returned for it.
    file
        An HTML file that needs nothing else; its folder is made.

    Raises
    ------
    UnsupportedError
        When plotly is not installed.
    ConfigError
        When `file` does not end in ``.html``.
    """
    check_plot(file)
    import plotly.graph_objects as go

    panels = _panels(series, forecast)
    figure = go.Figure()
    for number, (_, past, future) in enumerate(panels):
        for trace in _traces(go, past, future):
            trace.visible = number == 0
            figure.add_trace(trace)
    (item, target), _, _ = panels[0]
    figure.update_layout(
        **page_layout(_title(series, item, target)),
        xaxis={"title": {"text": text(series.columns.timestamp)}},
        yaxis={"title": {"text": text(series.targets[0])}, "zeroline": False},
        updatemenus=picked_from(_buttons(series, panels, len(figure.data))),
    )
    return write_page(figure, file, "Forecast")


def page_layout(title: str) -> dict[str, Any]:
    """Return what all pages look like."""
    return {
        "template": "plotly_white",
        "title": {"text": title, "x": 0.01, "xanchor": "left"},
        "font": {"family": "system-ui, sans-serif", "size": 13},
        "hovermode": "x",
        "legend": {"orientation": "h", "x": 0, "y": 1.01, "yanchor": "bottom"},
        "margin": {"l": 70, "r": 30, "t": 110, "b": 60},
    }


def picked_from(buttons: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the list that a reader picks from; none where there is nothing to choose."""
    menu = {"buttons": buttons, "x": 1, "xanchor": "right", "y": 1.16, "yanchor": "top"}
    return [menu] if len(buttons) > 1 else []


def write_page(figure: Any, file: str | Path, title: str) -> Path:
    """Write a figure as a page that needs nothing else; it appears when it is whole."""
    page = figure.to_html(
        include_plotlyjs=True,
        default_height="100vh",
        config={"displaylogo": False, "responsive": True},
    )
    file = Path(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.partial")
    temporary.write_text(page.replace("<head>", HEAD.format(title), 1), "utf-8")
    return temporary.replace(file)


Panel = tuple[tuple[Any, str], pl.DataFrame, pl.DataFrame]


def _panels(series: SeriesFrame, forecast: pl.DataFrame) -> list[Panel]:
    """Return item, target, past and future of everything that is drawn, stamps as `x`."""
    id_column, stamp = series.columns.id, series.columns.timestamp
    shown = _first_items(series, MOST_ITEMS)
    found = []
    for item in shown.items:
        history, ahead = (x.filter(pl.col(id_column) == item) for x in (shown.frame, forecast))
        for target in series.targets[:MOST_TARGETS]:
            future = ahead.filter(pl.col("target_name") == target).drop(id_column, "target_name")
            n_steps = max(LEAST_HISTORY, HISTORY_PER_HORIZON * future.height)
            past = history.select(stamp, pl.col(target).alias("observed")).tail(n_steps)
            found.append(((item, target), _as_text(past, stamp), _as_text(future, stamp)))
    return found


def _buttons(series: SeriesFrame, panels: list[Panel], n_traces: int) -> list[dict[str, Any]]:
    """Return what shows each panel alone."""
    per_panel = n_traces // len(panels)
    return [
        {
            "label": _label(series, item, target),
            "method": "update",
            "args": [
                {"visible": [n // per_panel == number for n in range(n_traces)]},
                {
                    "title.text": _title(series, item, target),
                    "yaxis.title.text": text(target),
                    # Another series has another scale: forget how the last one was zoomed.
                    "xaxis.autorange": True,
                    "yaxis.autorange": True,
                },
            ],
        }
        for number, ((item, target), _, _) in enumerate(panels)
    ]


def _first_items(series: SeriesFrame, n_items: int) -> SeriesFrame:
    offsets = series.offsets[: n_items + 1]
    return replace(
        series,
        values=series.values[: offsets[-1]],
        offsets=offsets,
        items=series.items.head(n_items),
        first=series.first[:n_items],
        origin_stamps=series.origin_stamps[:n_items],
    )


def _as_text(frame: pl.DataFrame, stamp: str) -> pl.DataFrame:
    """Name the stamps `x`, as wall-clock text unless they are steps."""
    kind = frame[stamp].dtype
    x = pl.col(stamp)
    if isinstance(kind, pl.Datetime):
        x = x.dt.replace_time_zone(None).dt.to_string("%Y-%m-%d %H:%M:%S%.f")
    elif kind == pl.Date:
        x = x.dt.to_string("%Y-%m-%d")
    return frame.select(x.alias("x"), pl.exclude(stamp))


Bands = list[tuple[str, str]]


def _traces(go: Any, past: pl.DataFrame, future: pl.DataFrame) -> list[Any]:
    """Draw from back to front: bands from the widest on, what was observed, the median."""
    levels = sorted(future.columns[2:], key=float)
    bands = list(zip(levels[: len(levels) // 2], levels[::-1], strict=False))
    return [*_band_traces(go, future, bands), _observed(go, past), _median(go, future, bands)]


def _band_traces(go: Any, future: pl.DataFrame, bands: Bands) -> list[Any]:
    x = future["x"].to_list()
    is_point = future.height == 1
    traces = []
    for number, (low, high) in enumerate(bands):
        share = FAINTEST + (STRONGEST - FAINTEST) * (number + 1) / (len(bands) + 1)
        # A band of one step has no width: a thick line stands for it.
        width = 10 if is_point else 0
        traces.append(
            go.Scatter(
                x=x + x[::-1],
                y=future[low].to_list() + future[high].to_list()[::-1],
                mode="lines",
                fill="none" if is_point else "toself",
                line={"width": width, "color": _blend(share)},
                fillcolor=_blend(share),
                hoverinfo="skip",
                name=f"{low} to {high}",
            )
        )
    return traces


def _observed(go: Any, past: pl.DataFrame) -> Any:
    observed = past["observed"]
    alone = observed.shift(1).is_null() & observed.shift(-1).is_null()
    return go.Scatter(
        x=past["x"].to_list(),
        y=observed.to_list(),
        # A value between gaps has no neighbour to draw a line to.
        mode="lines+markers",
        marker={"size": [6 if one else 0 for one in alone]},
        line={"color": OBSERVED_COLOUR, "width": 1.5},
        hovertemplate="%{y:.5g}",
        name="observed",
    )


def _median(go: Any, future: pl.DataFrame, bands: Bands) -> Any:
    lines = ["median %{y:.5g}"]
    lines += [
        f"{low} to {high}: %{{customdata[{2 * n}]:.5g}} to %{{customdata[{2 * n + 1}]:.5g}}"
        for n, (low, high) in enumerate(bands)
    ]
    return go.Scatter(
        x=future["x"].to_list(),
        y=future["predictions"].to_list(),
        customdata=future.select(name for band in bands for name in band).rows(),
        mode="markers" if future.height == 1 else "lines",
        line={"color": _blend(1.0), "width": 2},
        hovertemplate="<br>".join(lines) + "<extra></extra>",
        name="median",
    )


def _blend(share: float) -> str:
    """Mix the colour of forecasts with white, opaque, so that the legend shows what is drawn."""
    return "rgb({}, {}, {})".format(*(round(255 - share * (255 - one)) for one in FORECAST_RGB))


def text(name: object) -> str:
    """Return a name as text of a page."""
    return html.escape(str(name), quote=False)


def _label(series: SeriesFrame, item: object, target: str) -> str:
    return text(item) if len(series.targets) == 1 else f"{text(item)}: {text(target)}"


def _title(series: SeriesFrame, item: object, target: str) -> str:
    title = f"Forecast of {text(target)}"
    if series.columns.has_id:
        title += f", {text(item)}"
    if series.n_items > MOST_ITEMS:
        title += f"<br><sup>the first {MOST_ITEMS} of {series.n_items:,} items can be picked</sup>"
    return title
