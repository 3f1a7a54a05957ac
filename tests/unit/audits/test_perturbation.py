"""A future that does not differ finds nothing, and one that reaches back accuses the innocent."""

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tsfm.audits.perturbation import PERTURBATIONS, VALUES_ONLY, WHOLE, Keys, change_the_future

KEYS = Keys("item_id", "timestamp")
N_ITEMS, N_STEPS = 14, 30
COLUMNS = ["price", "signed", "count", "flag", "word"]


def frame_of(seed: int) -> pl.DataFrame:
    generator = np.random.default_rng(seed)
    size = N_ITEMS * N_STEPS
    return pl.DataFrame(
        {
            "item_id": np.repeat([f"i{number}" for number in range(N_ITEMS)], N_STEPS),
            "timestamp": np.tile(np.arange(N_STEPS), N_ITEMS),
            "price": generator.uniform(1, 2, size),
            "signed": generator.normal(size=size),
            "count": pl.Series(generator.integers(0, 100, size), dtype=pl.UInt8),
            "flag": generator.random(size) < 0.5,
            "word": generator.choice(["x", "y"], size),
            "left": generator.normal(size=size),
        }
    ).sample(fraction=1.0, shuffle=True, seed=seed)


def changed(frame: pl.DataFrame, cutoff: int = 14, **options: Any) -> pl.DataFrame:
    options = {"generator": np.random.default_rng(1)} | options
    return change_the_future(frame, KEYS, COLUMNS, cutoff, **options)


def later(frame: pl.DataFrame, cutoff: int = 14) -> pl.DataFrame:
    return frame.filter(pl.col("timestamp") > cutoff)


@given(st.integers(0, 1000), st.integers(-1, N_STEPS), st.integers(0, 20))
@settings(max_examples=30)
def test_the_past_stays_row_by_row(seed: int, cutoff: int, turn: int) -> None:
    frame = frame_of(seed)
    after = changed(frame, cutoff, turn=turn, generator=np.random.default_rng(seed))
    past = pl.col("timestamp") <= cutoff
    assert after.filter(past).equals(frame.filter(past))
    assert after.schema == frame.schema
    if cutoff < N_STEPS - 2:
        assert not after.equals(frame)


def test_every_fate_is_met_at_once() -> None:
    frame = frame_of(0)
    before, after = later(frame), later(changed(frame))
    counts = after.group_by("item_id").len()
    old = counts.filter(pl.col("item_id").str.starts_with("i"))
    assert len(old) < N_ITEMS  # some vanish
    assert old["len"].min() < N_STEPS - 15  # some have fewer rows  # type: ignore[operator]
    assert len(counts) - len(old) == 3  # one newcomer for five
    both = before.join(after, on=["item_id", "timestamp"], suffix="_after")
    ratio = (both["price_after"] / both["price"]).log().abs()
    assert (ratio > 5).any()  # a thousand times as large or small
    assert (ratio != 0).mean() > 0.99  # and no price as it was  # type: ignore[operator]
    assert (both["signed"].sign() == -both["signed_after"].sign()).any()


@pytest.mark.parametrize("kind", VALUES_ONLY)
def test_values_change_and_rows_stay(kind: Any) -> None:
    frame = frame_of(0)
    after = changed(frame, kinds=[kind])
    assert after.select("item_id", "timestamp", "left").equals(
        frame.select("item_id", "timestamp", "left")
    )
    before, after = later(frame), later(after)
    assert (before["price"] != after["price"]).mean() > 0.8  # type: ignore[operator]
    assert (after["price"] > 0).all()
    assert after["count"].dtype == pl.UInt8
    if kind == "flip":
        assert (after["flag"] != before["flag"]).all()
        assert (after["signed"] == -before["signed"]).all()
        low, high = before["price"].min(), before["price"].max()
        assert after["price"].is_between(low, high).all()
    if kind == "resample":  # rows of an item change together, so that bars stay bars
        keys = ["item_id", "price", "signed", "count", "flag", "word"]
        assert after.join(before, on=keys, how="anti").is_empty()


@pytest.mark.parametrize("kind", ["gaps", "shorten", "vanish"])
def test_rows_go_and_values_stay(kind: Any) -> None:
    frame = frame_of(0)
    after = changed(frame, kinds=[kind])
    assert len(after) < len(frame)
    assert after.join(frame, on=frame.columns, how="anti").is_empty()
    last = after["timestamp"].max()
    assert last == {"gaps": N_STEPS - 1, "vanish": 14}.get(kind, last)
    if kind == "gaps":  # the step after the cutoff, by which most leaks reach
        assert after.filter(pl.col("timestamp") == 15).is_empty()


def test_newcomers_have_no_past_and_names_of_their_own() -> None:
    frame = frame_of(0)
    after = changed(frame, kinds=["appear"])
    assert after.head(len(frame)).equals(frame)
    new = after.tail(len(after) - len(frame))
    assert new["timestamp"].min() == 15
    assert new["item_id"].unique().sort().to_list() == [f"newcomer {n}" for n in range(3)]
    numbered = frame.with_columns(pl.col("item_id").str.strip_prefix("i").cast(pl.Int32))
    new = changed(numbered, kinds=["appear"]).tail(3 * 15)
    assert set(new["item_id"]) == {14, 15, 16}
    named = frame.with_columns(pl.col("item_id").cast(pl.Categorical))
    assert changed(named, kinds=["appear"]).equals(named)  # no new names for a fixed set of them


def test_one_item_meets_another_fate_at_every_turn() -> None:
    frame = frame_of(0).filter(pl.col("item_id") == "i0").drop("item_id")
    keys = Keys(None, "timestamp")
    fates = len(PERTURBATIONS) - len(WHOLE)
    found = {
        tuple(
            change_the_future(
                frame, keys, ["price"], 14, turn=turn, generator=np.random.default_rng(0)
            )["price"]
        )
        for turn in range(fates)
    }
    assert len(found) == fates
