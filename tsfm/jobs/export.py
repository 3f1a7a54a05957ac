"""Export a model for ONNX Runtime: a folder out, `report.json` last."""

import time
from pathlib import Path
from typing import Any

from tsfm.environment import ran_on
from tsfm.export import GRAPH_FILE, export_onnx
from tsfm.jobs.reports import REPORT_FILE, write_report
from tsfm.models.pretrained import load_pretrained


def run(model: str, output: str | Path) -> dict[str, Any]:
    """Export a model; see `export_onnx`.

    Parameters
    ----------
    model
        Bundled name, folder, or ``models:/name@alias``.
    output
        Folder for ``model.onnx``, ``export.json``, a guide, and ``report.json``.

    Returns
    -------
    report
        What ``report.json`` holds, with ``message``.
    """
    started = time.perf_counter()
    folder = Path(output)
    loaded = load_pretrained(model)
    (folder / REPORT_FILE).unlink(missing_ok=True)
    settings = export_onnx(loaded, folder)
    size = (folder / GRAPH_FILE).stat().st_size
    report = {
        "model": model,
        "output": str(output),
        "bytes": size,
        "largest_difference": settings["largest_difference"],
        "seconds": round(time.perf_counter() - started, 3),
        **ran_on(),
    }
    write_report(folder / REPORT_FILE, report)
    message = (
        f"{folder / GRAPH_FILE}: {size / 1e6:.1f} MB, at most {settings['largest_difference']:.1g} "
        f"from torch; {folder / 'README.md'} says how to call it"
    )
    return {**report, "message": message}
