"""A file of a user is a panel without a card, whatever its legal form, or says what is wrong."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tsfm.errors import DataError
from tsfm.stocks.panel_file import is_file, read_panel_file
from tsfm.stocks.simulation import SimulationConfig, simulated_panel
from tsfm.stocks.stream import PanelConfig, panel_inputs, read_panel

N_DAYS = 40


@pytest.fixture
def long() -> pl.DataFrame:
    """Shuffled bars with text days; C is delisted early, D listed late, A misses a day."""
    panel = simulated_panel(SimulationConfig(n_stocks=4, n_days=N_DAYS))
    day, stock = np.divmod(np.arange(N_DAYS * 4), 4)
    names = dict(zip(("Open", "High", "Low", "Close", "Volume"), range(5), strict=True))
    frame = pl.DataFrame(
        {
            "Symbol": np.array(list("ABCD"))[stock],
            "Date": panel.days[day].astype("datetime64[D]").astype(str),
            **{name: panel.bars[..., place].ravel() for name, place in names.items()},
            "Sector": np.array(["tech", "tech", "oil", ""])[stock],
        }
    )
    there = (
        ~((stock == 2) & (day >= 25)) & ~((stock == 3) & (day < 10)) & ~((stock == 0) & (day == 5))
    )
    return frame.filter(there).sample(fraction=1, shuffle=True, seed=0)


def test_long_files_need_no_card(long: pl.DataFrame, tmp_path: Path) -> None:
    long.write_csv(tmp_path / "mine.csv")
    panel = read_panel_file(tmp_path / "mine.csv")
    assert panel.stocks == ("A", "B", "C", "D")
    assert panel.fields == ("open", "high", "low", "close", "volume")
    assert (panel.name, panel.sectors) == ("mine", ("oil", "tech"))
    assert panel.member.sum(axis=0).tolist() == [39, 40, 25, 30]
    long.write_parquet(tmp_path / "mine.parquet")
    again = read_panel(PanelConfig(dataset=str(tmp_path / "mine.parquet"), start="2013-01-08"))
    np.testing.assert_array_equal(again.bars, panel.between("2013-01-08", None).bars)
    (read,) = panel_inputs(PanelConfig(dataset=str(tmp_path / "mine.parquet")))
    assert (read.name, len(read.digest)) == ("mine.parquet", 64)


@pytest.mark.parametrize("form", ["%Y%m%d", "%Y/%m/%d", "%Y-%m-%d %H:%M:%S", "%d-%b-%Y"])
def test_days_may_be_written_in_many_ways(long: pl.DataFrame, tmp_path: Path, form: str) -> None:
    long.write_csv(tmp_path / "plain.csv")
    day = pl.col("Date").str.to_date().cast(pl.Datetime).dt.strftime(form)
    long.with_columns(day).write_csv(tmp_path / "other.csv")
    plain, other = (read_panel_file(tmp_path / f"{name}.csv") for name in ("plain", "other"))
    np.testing.assert_array_equal(plain.days, other.days)
    np.testing.assert_array_equal(plain.bars, other.bars)


def test_wide_files_are_closes(long: pl.DataFrame, tmp_path: Path) -> None:
    expected = closes_of(long, tmp_path)
    wide = long.pivot("Symbol", index="Date", values="Close").sort("Date")
    wide.write_csv(tmp_path / "wide.csv")
    panel = read_panel_file(tmp_path / "wide.csv")
    order = [panel.stocks.index(one) for one in "ABCD"]
    np.testing.assert_allclose(panel["close"][:, order], expected)
    # As pandas writes an index of stamps: last, and under a name of its own.
    indexed = wide.to_pandas().set_index("Date")
    indexed.index = indexed.index.astype("datetime64[us]")
    indexed.index.name = None
    indexed.to_parquet(tmp_path / "wide.parquet")
    np.testing.assert_allclose(read_panel_file(tmp_path / "wide.parquet")["close"], panel["close"])


def test_missing_closes_of_a_wide_file_may_be_written_in_words(tmp_path: Path) -> None:
    (tmp_path / "wide.csv").write_text("date,A,B\n2017-01-03,NA,1.0\n2017-01-04,2.0,n/a\n")
    panel = read_panel_file(tmp_path / "wide.csv")
    np.testing.assert_array_equal(panel["close"], [[np.nan, 1.0], [2.0, np.nan]])


def test_days_that_a_file_has_not_are_named_with_it(tmp_path: Path) -> None:
    (tmp_path / "wide.csv").write_text("date,A\n2017-01-03,1.0\n")
    with pytest.raises(DataError, match=r"wide\.csv must have days between 2018-01-01 and None"):
        read_panel_file(tmp_path / "wide.csv", start="2018-01-01")


def closes_of(long: pl.DataFrame, folder: Path) -> np.ndarray:
    """The closes of the long form."""
    long.write_csv(folder / "long.csv")
    return read_panel_file(folder / "long.csv")["close"]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"date": ["03/01/2017"], "A": [1.0]}, "must have days in 'date' such as .*03/01/2017"),
        ({"date": ["03-01-17"], "A": [1.0]}, "got '03-01-17' .* year first, in four digits"),
        ({"date": ["17/01/03"], "A": [1.0]}, "must have days in 'date' such as .*17/01/03"),
        ({"date": ["3-Jan-17"], "A": [1.0]}, "must have days in 'date' such as .*3-Jan-17"),
        ({"date": [1_612_010_800], "A": [1.0]}, "must have days in 'date' such as .*1612010800"),
        ({"date": ["2017-01-03"], "close": [1.0]}, "must have a column of stocks, such as ticker"),
        ({"date": ["2017-01-03"], "ticker": ["A"], "px": [1.0]}, "must have a column close"),
        ({"date": ["2017-01-03"], "A": ["high"]}, "must have a column of closes per stock"),
        ({"date": ["2017-01-03"], "A": [1.0], "in": [True]}, r"a column of closes .* got \['in'\]"),
        (
            # What pandas writes for columns of two levels, such as those of a download of bars.
            {"date": ["2017-01-03"], "('Close', 'A')": [1.0], "('Volume', 'A')": [9.0]},
            r"names of one level, got .*\('Volume', 'A'\)",
        ),
    ],
)
def test_what_is_wrong_is_named(
    columns: dict[str, list[object]], message: str, tmp_path: Path
) -> None:
    pl.DataFrame(columns).write_csv(tmp_path / "bad.csv")
    with pytest.raises(DataError, match=message):
        read_panel_file(tmp_path / "bad.csv")


def test_a_missing_file_is_not_taken_for_a_card() -> None:
    assert not is_file("stock_rsr_nyse")
    assert is_file("nowhere.csv")
    with pytest.raises(DataError, match=r"nowhere\.csv must be a file, a folder or a pattern"):
        read_panel(PanelConfig(dataset="nowhere.csv"))


def test_tickers_of_digits_keep_their_zeros(tmp_path: Path) -> None:
    rows = "Date,Ticker,Close\n2017-01-03,0001,1.0\n2017-01-03,700,2.0\n"
    (tmp_path / "bars.csv").write_text(rows)
    assert read_panel_file(tmp_path / "bars.csv").stocks == ("0001", "700")


def test_folders_of_a_wide_file_are_no_stocks(tmp_path: Path) -> None:
    folder = tmp_path / "year=2017" / "market=US"
    folder.mkdir(parents=True)
    (folder / "closes.csv").write_text("date,A,B\n2017-01-03,1.0,2.0\n2017-01-04,1.5,2.5\n")
    assert read_panel_file(tmp_path).stocks == ("A", "B")
