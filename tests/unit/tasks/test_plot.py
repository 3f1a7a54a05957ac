"""A plot is what most people look at: it must open anywhere and show what was forecast."""

import json
import re
import sys
from datetime import date, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tsfm.errors import ConfigError, UnsupportedError
from tsfm.series.frame import SeriesFrame
from tsfm.tasks.plot import check_plot, plot_forecast

pytest.importorskip("plotly")

HORIZON = 5
LEVELS = (0.1, 0.3, 0.5, 0.7, 0.9)


def forecast_of(series: SeriesFrame, horizon: int = HORIZON, levels=LEVELS) -> pl.DataFrame:
    """Return made-up quantiles, rising with level and step."""
    parts = [
        pl.DataFrame(
            {
                series.columns.id: series.items.gather(np.repeat(range(series.n_items), horizon)),
                series.columns.timestamp: series.future_timestamps(horizon),
                "target_name": target,
                "predictions": np.tile(np.arange(horizon) + 0.5, series.n_items),
                **{
                    str(level): np.tile(np.arange(horizon) + level, series.n_items)
                    for level in levels
                },
            }
        )
        for target in series.targets
    ]
    return pl.concat(parts)


def page_of(frame: pl.DataFrame, tmp_path: Path, *, target="target", **options) -> str:
    series = SeriesFrame.from_any(frame, target=target, freq=options.pop("freq", None))
    file = plot_forecast(series, forecast_of(series, **options), tmp_path / "new" / "plot.html")
    return file.read_text("utf-8")


def figure_of(page: str) -> tuple[list, dict]:
    """Read traces and layout as the browser does."""
    start = page.rindex("Plotly.newPlot(")
    place = page.index("[", start)
    traces, end = json.JSONDecoder().raw_decode(page[place:])
    layout, _ = json.JSONDecoder().raw_decode(page[page.index("{", place + end) :])
    return traces, layout


def panel(traces: list, n_bands: int = 2, number: int = 0) -> tuple[list, dict, dict]:
    size = n_bands + 2
    *bands, observed, median = traces[number * size : (number + 1) * size]
    assert (observed["name"], median["name"]) == ("observed", "median")
    return bands, observed, median


def test_the_page_needs_nothing_else(tiny_frame, tmp_path):
    page = page_of(tiny_frame, tmp_path)
    assert not re.search(r"<(script|link|img|iframe)[^>]*\b(src|href)=", page)
    assert "Plotly.newPlot" in page
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["plot.html"]


def test_history_ends_where_the_forecast_begins(tiny_frame, tmp_path):
    traces, layout = figure_of(page_of(tiny_frame, tmp_path))
    _, observed, median = panel(traces)
    past = tiny_frame.filter(item_id="a")
    assert observed["x"][-1].startswith("2024-01-02 23:00:00")
    assert median["x"][0].startswith("2024-01-03 00:00:00")
    np.testing.assert_array_equal(observed["y"], past["target"])
    np.testing.assert_array_equal(median["y"], np.arange(HORIZON) + 0.5)
    assert layout["xaxis"]["title"]["text"] == "timestamp"
    assert layout["yaxis"]["title"]["text"] == "target"


def test_only_the_last_part_of_a_long_history_is_drawn(tmp_path):
    frame = pl.DataFrame({"timestamp": range(1000), "target": np.arange(1000.0)})
    _, observed, _ = panel(figure_of(page_of(frame, tmp_path))[0])
    assert observed["x"] == list(range(940, 1000))
    _, observed, _ = panel(figure_of(page_of(frame, tmp_path, horizon=20))[0])
    assert len(observed["x"]) == 120


def test_bands_are_drawn_from_the_widest_on(tiny_frame, tmp_path):
    bands, _, _ = panel(figure_of(page_of(tiny_frame, tmp_path))[0])
    assert [band["name"] for band in bands] == ["0.1 to 0.9", "0.3 to 0.7"]
    steps = np.arange(HORIZON)
    for band, (low, high) in zip(bands, ((0.1, 0.9), (0.3, 0.7)), strict=True):
        np.testing.assert_allclose(band["y"], [*(steps + low), *(steps + high)[::-1]])
        assert band["x"] == [*band["x"][:HORIZON], *band["x"][:HORIZON][::-1]]
    assert bands[0]["fillcolor"] != bands[1]["fillcolor"]


def test_levels_in_any_order_make_the_same_bands(tiny_frame, tmp_path):
    orders = (LEVELS, (0.9, 0.3, 0.5, 0.1, 0.7))
    bands = [
        panel(figure_of(page_of(tiny_frame, tmp_path, levels=levels))[0])[0] for levels in orders
    ]
    assert bands[0] == bands[1]


def test_a_tiny_level_is_a_band_too(tiny_frame, tmp_path):
    page = page_of(tiny_frame, tmp_path, levels=(1e-5, 0.5))
    bands, _, _ = panel(figure_of(page)[0], n_bands=1)
    assert bands[0]["name"] == "1e-05 to 0.5"


def test_one_level_makes_no_band(tiny_frame, tmp_path):
    traces, _ = figure_of(page_of(tiny_frame, tmp_path, levels=(0.9,)))
    assert len(traces) == 2 * 2


def test_a_list_picks_one_item_and_target_at_a_time(tiny_frame, tmp_path):
    frame = tiny_frame.with_columns(load=pl.col("target") * 2)
    traces, layout = figure_of(page_of(frame, tmp_path, target=["target", "load"]))
    buttons = layout["updatemenus"][0]["buttons"]
    assert [button["label"] for button in buttons] == [
        "a: target",
        "a: load",
        "b: target",
        "b: load",
    ]
    assert [trace["visible"] for trace in traces] == buttons[0]["args"][0]["visible"]
    for number, button in enumerate(buttons):
        shown, layout = button["args"]
        assert np.flatnonzero(shown["visible"]).tolist() == [4 * number + n for n in range(4)]
        assert layout["yaxis.title.text"] == button["label"][3:]
    _, observed, _ = panel(traces, number=3)
    np.testing.assert_array_equal(observed["y"], frame.filter(item_id="b")["load"])


def test_twelve_of_many_items_can_be_picked(tmp_path):
    frame = pl.concat(
        pl.DataFrame({"item_id": f"item {n:02d}", "timestamp": [0, 1], "target": [n, n]})
        for n in range(30)
    )
    traces, layout = figure_of(page_of(frame, tmp_path))
    labels = [button["label"] for button in layout["updatemenus"][0]["buttons"]]
    assert labels == [f"item {n:02d}" for n in range(12)]
    assert len(traces) == 12 * 4
    assert "the first 12 of 30 items" in layout["title"]["text"]


def test_colours_are_the_same_for_every_item(tiny_frame, tmp_path):
    traces, _ = figure_of(page_of(tiny_frame, tmp_path))
    first, second = (panel(traces, number=n) for n in (0, 1))
    for one, other in zip([*first[0], *first[1:]], [*second[0], *second[1:]], strict=True):
        assert one["line"] == other["line"]
        assert one.get("fillcolor") == other.get("fillcolor")


def test_a_single_series_needs_no_list(tiny_frame, tmp_path):
    page = page_of(tiny_frame.filter(item_id="a").drop("item_id"), tmp_path)
    _, layout = figure_of(page)
    assert not layout.get("updatemenus")
    assert layout["title"]["text"] == "Forecast of target"


def test_values_without_neighbours_are_dots(tmp_path):
    values = [1.0, None, 3.0, None, 5.0, 6.0]
    frame = pl.DataFrame({"timestamp": range(6), "target": values})
    _, observed, _ = panel(figure_of(page_of(frame, tmp_path))[0])
    assert observed["y"] == values
    is_dot = [size > 0 for size in observed["marker"]["size"]]
    assert is_dot == [True, False, True, False, False, False]


def test_an_item_of_one_step_is_drawn(tmp_path):
    frame = pl.DataFrame({"timestamp": [datetime(2024, 1, 1)], "target": [3.0]})
    _, observed, median = panel(figure_of(page_of(frame, tmp_path, freq="D"))[0])
    assert observed["y"] == [3.0]
    assert observed["marker"]["size"][0] > 0
    assert len(median["x"]) == HORIZON


def test_a_forecast_of_one_step_is_drawn(tiny_frame, tmp_path):
    bands, _, median = panel(figure_of(page_of(tiny_frame, tmp_path, horizon=1))[0])
    assert median["mode"] == "markers"
    assert all(band["line"]["width"] > 0 for band in bands)


@pytest.mark.parametrize(
    ("stamps", "shown"),
    [
        ([date(2024, 1, 1), date(2024, 1, 2)], ["2024-01-01", "2024-01-02"]),
        ([7, 8], [7, 8]),
        (
            pl.Series([datetime(2024, 6, 1, 22), datetime(2024, 6, 1, 23)])
            .dt.replace_time_zone("UTC")
            .dt.convert_time_zone("Europe/Berlin"),
            ["2024-06-02 00:00:00", "2024-06-02 01:00:00"],
        ),
    ],
    ids=["dates", "steps", "wall clock of a time zone"],
)
def test_stamps_are_shown_as_they_are_written(tmp_path, stamps, shown):
    frame = pl.DataFrame({"timestamp": stamps, "target": [1.0, 2.0]})
    _, observed, _ = panel(figure_of(page_of(frame, tmp_path))[0])
    assert [x.removesuffix(".000000") if isinstance(x, str) else x for x in observed["x"]] == shown


def test_names_cannot_break_the_page(tiny_frame, tmp_path):
    name = '</script><b>"&'
    frame = tiny_frame.with_columns(pl.col("item_id").replace("a", name)).rename({"target": name})
    page = page_of(frame, tmp_path, target=name)
    assert page.count("</script>") == page.count("<script")
    _, layout = figure_of(page)
    assert layout["updatemenus"][0]["buttons"][0]["label"] == '&lt;/script&gt;&lt;b&gt;"&amp;'


def test_without_plotly_the_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "plotly", None)
    with pytest.raises(UnsupportedError, match=r"plots need plotly.* 'tsfm-kit\[plot\]'"):
        check_plot(tmp_path / "plot.html")


@pytest.mark.parametrize("name", ["plot.png", "plot"])
def test_a_plot_is_a_page(tiny_frame, tmp_path, name):
    series = SeriesFrame.from_any(tiny_frame)
    with pytest.raises(ConfigError, match=rf"plot must end in \.html, got '.*{name}'"):
        plot_forecast(series, forecast_of(series), tmp_path / name)
    assert not list(tmp_path.iterdir())
