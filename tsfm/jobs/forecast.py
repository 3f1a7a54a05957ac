"""Forecast files: a Parquet or CSV out, `report.json` last."""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tsfm.environment import versions
from tsfm.mlflow_tracker import TrackingConfig, make_tracker
from tsfm.series.files import read_input, write_output
from tsfm.series.frame import SeriesFrame
from tsfm.tasks.forecast import Forecaster
from tsfm.tasks.plot import plot_forecast


def run(
    inputs: Sequence[str | Path],
    *,
    prediction_length: int,
    output: Path | None = None,
    quantile_levels: Sequence[float],
    model: str = "tsfm-small",
    calendar: str | None = None,
    plot: Path | None = None,
    id_column: str = "item_id",
    timestamp_column: str = "timestamp",
    target: str | Sequence[str] = "target",
    freq: str | None = None,
) -> dict[str, Any]:
    """Forecast every series of the input; the run is recorded once the forecast is written."""
    started = time.perf_counter()
    frame, sources = read_input(inputs)
    series = SeriesFrame.from_any(
        frame,
        id_column=id_column,
        timestamp_column=timestamp_column,
        target=target,
        freq=freq,
        calendar=calendar,
        sources=sources,
    )
    forecaster = Forecaster.from_pretrained(model)
    forecast = forecaster.forecast_series(series, prediction_length, quantile_levels)
    if plot is not None:
        plot_forecast(series, forecast, plot)
    if output is None:
        return {"message": forecast.write_csv()}
    write_output(forecast, output)
    seconds = round(time.perf_counter() - started, 3)
    report = {
        "items": series.n_items,
        "rows": forecast.height,
        "seconds": seconds,
        "model": model,
        "inputs": [name for name, _ in sources],
        "output": str(output),
        "versions": versions(),
    }
    file = Path(output).with_name("report.json")
    tracker = make_tracker(TrackingConfig())
    tracker.start("forecast", {"model": model, "prediction_length": prediction_length})
    tracker.log(0, {"items": float(series.n_items), "seconds": seconds})
    tracker.finish("FINISHED")
    file.write_text(json.dumps(report, indent=2) + "\n")
    return {**report, "message": f"{forecast.height} rows in {output}, report in {file}"}
