"""A small lake with whatever a column can be, and one that is split by year."""

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tsfm.jobs import impute
from tsfm.tracking import ListTracker


def series(n_items: int, n_steps: int, seed: int = 0) -> pa.Table:
    """Daily series with a season of a week and gaps of up to nine steps."""
    generator = np.random.default_rng(seed)
    step = np.arange(n_steps)
    values = generator.normal(size=(n_items, n_steps)).cumsum(1) + 5 * np.sin(step * 2 * np.pi / 7)
    for item in values:
        for start in generator.integers(1, n_steps - 12, n_steps // 40 + 1):
            item[start : start + generator.integers(1, 10)] = np.nan
    days = np.datetime64("2020-01-01") + step
    return pa.table(
        {
            "item_id": np.repeat([f"item {number:03d}" for number in range(n_items)], n_steps),
            "timestamp": pa.array(np.tile(days, n_items)).cast(pa.timestamp("us")),
            "target": pa.array(values.ravel(), from_pandas=True),
        }
    )


@pytest.fixture
def make_series() -> Callable[..., pa.Table]:
    """Return what makes a table of series."""
    return series


@pytest.fixture
def run() -> Callable[..., dict[str, Any]]:
    """Fill a lake, into ``out`` and without a record unless asked."""

    def fill(*inputs: Path | str, **options: Any) -> dict[str, Any]:
        return impute.run(inputs, **{"output": Path("out"), "tracker": ListTracker(), **options})

    return fill


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def rich_file(tmp_path: Path) -> Path:
    """One file of two items, in no order of time, with columns of many types."""
    table = series(2, 60)
    n_rows = table.num_rows
    number = np.arange(n_rows)
    hidden = number % 11 == 3
    cents = [None if gone else Decimal(int(n)) / 4 for n, gone in zip(number, hidden, strict=True)]
    stamps = table.column("timestamp").cast(pa.timestamp("ms", "UTC"))
    table = table.set_column(1, "timestamp", stamps.cast(pa.timestamp("ms", "Europe/Berlin")))
    table = table.set_column(0, "item_id", table.column("item_id").dictionary_encode())
    extra = {
        "price": pa.array(cents, pa.decimal128(12, 2)),
        "count": pa.array(number % 7, pa.uint8(), mask=hidden),
        "whole": pa.array(number.astype(np.int16)),
        "note": pa.array([None if n % 5 else f"note {n}" for n in number]).dictionary_encode(),
        "nested": pa.array([{"a": [float(n), float("nan")], "b": None} for n in number]),
        "half": pa.array(np.where(hidden, np.nan, number).astype(np.float32)),
        "day": pa.array([dt.date(2020, 1, 1)] * n_rows),
    }
    for name, column in extra.items():
        table = table.append_column(name, column)
    table = table.take(np.random.default_rng(1).permutation(n_rows))
    file = tmp_path / "rich.parquet"
    pq.write_table(table, file, compression="zstd", row_group_size=50)
    return file


@pytest.fixture
def by_year(tmp_path: Path) -> Path:
    """A lake whose three items lie in three files each, and a fourth item in one."""
    table = series(3, 90)
    alone = series(1, 30, seed=9).set_column(0, "item_id", pa.array(["alone"] * 30))
    folder = tmp_path / "lake"
    part = (np.arange(table.num_rows) % 90) // 30
    for number in range(3):
        place = folder / f"year={2020 + number}"
        place.mkdir(parents=True)
        own = table.take(np.flatnonzero(part == number))
        pq.write_table(own, place / "part-0.parquet", row_group_size=20)
    pq.write_table(alone, folder / "year=2020" / "part-1.parquet")
    return folder
