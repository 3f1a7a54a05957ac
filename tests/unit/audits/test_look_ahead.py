"""The audit is what a reader believes: it finds every leak, and accuses nobody without one."""

import runpy
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

import tsfm
from tsfm.audits.perturbation import PERTURBATIONS

DEMONSTRATION = runpy.run_path(
    str(Path(__file__).parents[3] / "benchmarks" / "audit" / "planted_leaks.py")
)
PLANTED, DAYS = DEMONSTRATION["PLANTED"], DEMONSTRATION["DAYS"]
SPLIT = DAYS[DEMONSTRATION["LAST_TRAINING_DAY"]]
value = pl.col("target")


@pytest.fixture(scope="module")
def prices() -> pl.DataFrame:
    return DEMONSTRATION["prices"]()


def maximum(data: pl.DataFrame) -> pl.DataFrame:
    return data.with_columns((value / value.abs().max()).alias("scaled"))


@pytest.mark.parametrize("planted", PLANTED, ids=lambda one: one.name)
def test_a_planted_leak_is_found_with_its_first_date(planted: Any, prices: pl.DataFrame) -> None:
    report = tsfm.audit(planted.leaky, prices, 5, start=SPLIT)
    assert not report.ok
    assert report.leaks["first_affected"].min() == DAYS[planted.first]
    assert set(report.leaks["column"]) <= {"(rows)", *planted.leaky(prices).columns}
    assert str(DAYS[planted.first]) in str(report)


@pytest.mark.parametrize("planted", PLANTED, ids=lambda one: one.name)
def test_a_corrected_pipeline_passes(planted: Any, prices: pl.DataFrame) -> None:
    report = tsfm.audit(planted.cured, prices, start=SPLIT if planted.fitted else None)
    assert report.ok
    assert len(report.cutoffs) == 50
    assert report.leaks.is_empty()
    assert "no look-ahead: after 50 cutoffs" in str(report)
    assert report.n_calls == 52


def test_the_demonstration_finds_all_six(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    audit = tsfm.audit
    monkeypatch.setattr(tsfm, "audit", lambda *args, **options: audit(*args, 3, **options))
    DEMONSTRATION["main"]()
    assert "6 of 6 leaks found with the right date" in capsys.readouterr().out


def test_a_leak_says_where_how_much_and_by_what(frame: pl.DataFrame) -> None:
    def tomorrow(data: pl.DataFrame) -> pl.DataFrame:
        return data.with_columns(value.shift(-1).over("item_id").alias("next"))

    report = tsfm.audit(tomorrow, frame, cutoffs=range(12, 31))
    (row,) = report.leaks.rows(named=True)
    assert (row["column"], row["first_affected"], row["cutoff"]) == ("next", 12, 12)
    assert row["n_cutoffs"] == 19
    assert row["size"] == float("inf")  # an item vanished
    assert row["share"] == pytest.approx(1 / 22, rel=0.3)  # the last of 13 to 31 days
    assert {"flip", "vanish", "gaps"} <= set(row["perturbation"].split(", "))
    assert "appear" not in row["perturbation"]


def test_the_size_is_in_standard_deviations(frame: pl.DataFrame) -> None:
    def centred(data: pl.DataFrame) -> pl.DataFrame:
        return data.with_columns(shifted=value - value.mean())

    report = tsfm.audit(centred, frame, cutoffs=[20], perturbations=["flip"])
    spread = frame["target"].std(ddof=0)
    future = frame.filter(pl.col("timestamp") > 20)["target"]
    moved = 2 * abs(future.sum()) / len(frame) / spread
    assert report.leaks["size"][0] == pytest.approx(moved)
    assert tsfm.audit(centred, frame, cutoffs=[20], perturbations=["flip"], tolerance=2 * moved).ok


def test_the_last_bit_counts(frame: pl.DataFrame) -> None:
    def a_hair(data: pl.DataFrame) -> pl.DataFrame:
        return data.with_columns(value + 1e-13 * value.last().over("item_id"))

    report = tsfm.audit(a_hair, frame, 10)
    assert not report.ok
    assert tsfm.audit(a_hair, frame, 10, tolerance=1e-6).ok


def test_missing_equals_missing_and_differs_from_a_value(frame: pl.DataFrame) -> None:
    gaps = frame.with_columns(
        pl.when(pl.col("timestamp") % 3 == 0).then(None).otherwise(value).alias("target")
    )
    assert tsfm.audit(lambda data: data, gaps, 10).ok

    def filled_backwards(data: pl.DataFrame) -> pl.DataFrame:
        return data.sort("item_id", "timestamp").with_columns(value.backward_fill().over("item_id"))

    assert not tsfm.audit(filled_backwards, gaps, 10).ok


def test_columns_that_come_with_the_future_are_a_leak(frame: pl.DataFrame) -> None:
    def with_dummies(data: pl.DataFrame) -> pl.DataFrame:
        late = data.with_columns(late=pl.when(pl.col("timestamp") > 38).then(value.sign()))
        return late.to_dummies("late")

    report = tsfm.audit(with_dummies, frame, cutoffs=[10])
    assert "late_-1.0" in report.leaks["column"].to_list()


def test_words_truths_and_lists_are_compared(frame: pl.DataFrame) -> None:
    def described(data: pl.DataFrame) -> pl.DataFrame:
        return data.with_columns(
            word=pl.when(value > value.mean()).then(pl.lit("high")).otherwise(pl.lit("low")),
            truth=value > value.mean(),
            pair=pl.concat_list(value, value.max()),
            count=pl.col("item_id").n_unique(),
        )

    found = tsfm.audit(described, frame, 20).leaks
    assert set(found["column"]) == {"word", "truth", "pair", "count"}


def test_a_frame_of_one_item_meets_every_fate_in_turn(frame: pl.DataFrame) -> None:
    one = frame.filter(pl.col("item_id") == "a").drop("item_id")
    assert tsfm.audit(lambda data: data.with_columns(value.cum_sum()), one).ok
    report = tsfm.audit(lambda data: data.with_columns(value / len(data)), one)
    assert set(report.leaks["perturbation"][0].split(", ")) == {"gaps", "shorten", "vanish", "end"}


def test_the_same_seed_gives_the_same_report(frame: pl.DataFrame) -> None:
    first, again, other = (tsfm.audit(maximum, frame, 5, seed) for seed in (3, 3, 4))
    assert first.leaks.equals(again.leaks)
    assert first.cutoffs == again.cutoffs != other.cutoffs


@pytest.mark.parametrize("kind", ["pandas", "polars", "lazy", "pyarrow"])
def test_the_kind_of_frame_that_comes_in_goes_out(kind: str, frame: pl.DataFrame) -> None:
    stamped = frame.with_columns(pl.date(2020, 1, 1) + pl.duration(days=pl.col("timestamp")))
    data = {
        "pandas": stamped.to_pandas,
        "polars": lambda: stamped,
        "lazy": stamped.lazy,
        "pyarrow": stamped.to_arrow,
    }[kind]()

    def scaled(known: Any) -> Any:
        assert type(known) is type(data)
        if kind == "pandas":
            assert known["target"].dtype == data["target"].dtype
            known["target"] = known["target"] / known["target"].abs().max()  # in place
            return known
        plain = pl.from_arrow(known) if kind == "pyarrow" else known.lazy().collect()
        result = plain.with_columns(value / value.abs().max())  # type: ignore[union-attr]
        return result.to_arrow() if kind == "pyarrow" else result

    report = tsfm.audit(scaled, data, 6)
    assert type(report.leaks) is type(data)
    assert not report.ok


def test_a_pandas_frame_keeps_its_index() -> None:
    stamps = pd.date_range("2020-01-01", periods=40, freq="D")
    data = pd.DataFrame({"target": np.random.default_rng(0).normal(size=40)}, index=stamps)
    report = tsfm.audit(lambda df: df.rolling("3D").mean(), data)
    assert report.ok
    named = data.rename_axis("timestamp")
    report = tsfm.audit(lambda df: df.rolling(3, center=True).mean(), named, cutoffs=["2020-01-20"])
    assert report.leaks["first_affected"].tolist() == [pd.Timestamp("2020-01-20")]


def test_other_names_of_keys_are_understood(frame: pl.DataFrame) -> None:
    renamed = frame.rename({"item_id": "unique_id", "timestamp": "ds", "target": "y"})
    with pytest.warns(UserWarning, match="unique_id"):
        assert tsfm.audit(lambda data: data, renamed, 3).ok
    mine = frame.rename({"item_id": "stock", "timestamp": "day"})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not tsfm.audit(maximum, mine, 3, id_column="stock", timestamp_column="day").ok


def test_only_the_named_columns_are_changed(frame: pl.DataFrame) -> None:
    both = frame.with_columns(other=value * 2)

    def share(data: pl.DataFrame) -> pl.DataFrame:
        return data.with_columns(pl.col("other") / pl.col("other").abs().max())

    options = {"perturbations": ["grow", "flip"]}
    assert tsfm.audit(share, both, 5, target="target", **options).ok  # type: ignore[arg-type]
    assert not tsfm.audit(share, both, 5, target=["other"], **options).ok  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "leak",
    [
        pl.col("timestamp").rank("dense") / pl.col("timestamp").n_unique(),
        pl.col("timestamp").max() - pl.col("timestamp"),
    ],
    ids=["share of the days", "days left"],
)
def test_what_knows_how_long_all_items_last_is_found(leak: pl.Expr) -> None:
    stamps, items = list(range(40)), [f"i{number}" for number in range(16)]
    many = pl.DataFrame({"item_id": items}).join(pl.DataFrame({"timestamp": stamps}), how="cross")
    many = many.with_columns(target=pl.col("timestamp").cast(pl.Float64))

    def known(data: pl.DataFrame) -> pl.DataFrame:
        return data.with_columns(known=leak)

    others = [kind for kind in PERTURBATIONS if kind != "end"]
    assert tsfm.audit(known, many, cutoffs=stamps[5:25], perturbations=others).ok
    report = tsfm.audit(known, many, cutoffs=stamps[5:25])
    assert report.leaks["column"].to_list() == ["known"]
    assert "end" in report.leaks["perturbation"][0]
