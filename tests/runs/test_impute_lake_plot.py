"""The drawing of what the batch job costs shows every lake that was measured."""

import json
import runpy


def test_reports_of_several_runs_are_one_page_and_one_drawing(checkout, tmp_path) -> None:
    files = []
    for number, (rows, seconds) in enumerate([(4_000_000, 40.0), (1_000_000, 12.0)]):
        lake = dict.fromkeys(("files", "rows_per_second", "peak_memory_mb", "times_plain_copy"), 7)
        report = {"engine": "local", "workers": 2, "cores": 2}
        report["lakes"] = [{**lake, "rows": rows, "seconds": seconds}]
        files.append(tmp_path / f"{number}.json")
        files[-1].write_text(json.dumps(report))
    script = runpy.run_path(str(checkout / "benchmarks" / "speed" / "impute_lake_plot.py"))
    script["main"](list(map(str, files)), tmp_path / "out")
    page = (tmp_path / "out" / "impute_lake.md").read_text()
    assert page.index("1,000,000") < page.index("4,000,000")
    drawing = (tmp_path / "out" / "impute_lake.svg").read_text()
    assert "1 M: 12 s" in drawing
    assert "4 M: 40 s" in drawing
    assert drawing.count("polyline") == 2
