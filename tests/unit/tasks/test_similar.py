"""Neighbours are shown to people as precedents: none of them may have happened after the fact."""

from datetime import date

import numpy as np
import pandas as pd
import polars as pl
import pytest

import tsfm
from tsfm.errors import ConfigError, DataError
from tsfm.tasks.embed import Embedder

OPTIONS = {"window_length": 32, "step_size": 4, "n_neighbors": 3}


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return Embedder.from_pretrained("tsfm-small", device="cpu")


@pytest.fixture(scope="module")
def frame() -> pl.DataFrame:
    """Daily noise; a rare shape lies at the end of 'a', and 100 days before in 'a' and in 'b'."""
    generator = np.random.default_rng(0)
    shape = np.concatenate([np.zeros(8), np.linspace(0, 9, 16), np.full(8, 2.0)])
    parts = []
    for item, size in (("a", 1.0), ("b", 50.0)):
        values = generator.normal(size=200)
        values[68:100] = shape + 0.1 * generator.normal(size=32)
        if item == "a":
            values[168:200] = shape + 0.1 * generator.normal(size=32)
        days = pl.date_range(pl.date(2024, 1, 1), pl.date(2024, 7, 18), "1d", eager=True)
        parts.append(pl.DataFrame({"item_id": item, "timestamp": days, "target": size * values}))
    return pl.concat(parts)


def test_the_same_shape_is_found_whatever_its_size(embedder, frame):
    found = tsfm.similar(frame, model=embedder, **OPTIONS)
    assert found.columns == [
        "item_id", "cutoff", "rank", "similar_item_id", "similar_start", "similar_end", "distance",
    ]  # fmt: skip
    best = found.filter(pl.col("item_id") == "a", pl.col("rank") <= 2)
    assert set(best["similar_item_id"]) == {"a", "b"}
    assert set(best["similar_start"]) == {date(2024, 3, 9)}
    assert best["cutoff"].unique().to_list() == [date(2024, 7, 18)]
    for item in ("a", "b"):
        part = found.filter(item_id=item)
        assert part["rank"].to_list() == [1, 2, 3]
        assert part["distance"].is_sorted()


def test_no_window_overlaps_its_own_query_or_ends_after_the_cutoff(embedder, frame):
    options = {**OPTIONS, "step_size": 1, "n_neighbors": 40, "horizon": 5}
    found = tsfm.similar(frame, model=embedder, cutoff="2024-05-30", **options)
    assert found.height == 2 * 40
    assert found["cutoff"].unique().to_list() == [date(2024, 5, 30)]
    assert found["similar_end"].max() <= date(2024, 5, 25)
    own = found.filter(pl.col("item_id") == pl.col("similar_item_id"))
    assert own["similar_end"].max() < date(2024, 4, 29)


def test_what_comes_after_the_cutoff_changes_nothing(embedder, frame):
    cutoff = date(2024, 5, 30)
    is_later = pl.col("timestamp") > cutoff
    changed = frame.with_columns(
        pl.when(is_later).then(1e6).otherwise(pl.col("target")).alias("target")
    )
    expected = tsfm.similar(frame, model=embedder, cutoff=cutoff, **OPTIONS)
    for other in (changed, frame.filter(~is_later)):
        found = tsfm.similar(other, model=embedder, cutoff=cutoff, **OPTIONS)
        assert found.drop("distance").equals(expected.drop("distance"))
        np.testing.assert_allclose(found["distance"], expected["distance"], rtol=1e-4)


def test_a_query_of_its_own_is_looked_up_in_the_data(embedder, frame):
    query = frame.filter(pl.col("item_id") == "a").tail(32).with_columns(item_id=pl.lit("new"))
    found = tsfm.similar(frame, query=query, model=embedder, **OPTIONS)
    assert found["item_id"].unique().to_list() == ["new"]
    # It is in the data too: under another name that is no overlap.
    assert found["distance"][0] == pytest.approx(0, abs=1e-3)
    assert found["similar_end"][0] == date(2024, 7, 18)


def test_a_query_of_the_last_rows_is_compared_with_what_its_item_did_before(embedder, frame):
    """Where a query begins is a matter of stamps: steps of another frame are counted elsewhere."""
    whole = tsfm.similar(frame, model=embedder, **OPTIONS)
    tails = frame.group_by("item_id", maintain_order=True).tail(OPTIONS["window_length"])
    assert tsfm.similar(frame, query=tails, model=embedder, **OPTIONS).equals(whole)


def test_a_query_with_more_past_than_the_data_does_not_find_itself(embedder, frame):
    recent = frame.filter(pl.col("timestamp") >= date(2024, 4, 1))
    found = tsfm.similar(recent, query=frame, model=embedder, **{**OPTIONS, "n_neighbors": 99})
    own = found.filter(pl.col("item_id") == pl.col("similar_item_id"))
    assert len(own)
    assert own["similar_end"].max() < date(2024, 6, 17)


@pytest.mark.parametrize("column", ["cutoff", "rank", "similar_item_id", "distance"])
def test_an_id_is_not_lost_behind_a_column_of_the_result(embedder, frame, column):
    with pytest.raises(DataError, match=f"column '{column}' must not be the id: .* rename it"):
        tsfm.similar(frame.rename({"item_id": column}), id_column=column, model=embedder, **OPTIONS)


def test_an_item_that_is_alone_and_short_has_no_neighbours(embedder, frame):
    found = tsfm.similar(frame.head(40).to_pandas(), model=embedder, **OPTIONS)
    assert len(found) == 0
    assert list(found.columns)[:3] == ["item_id", "cutoff", "rank"]


def test_where_no_series_is_as_long_as_a_window_that_is_said(embedder, frame):
    short = frame.filter(pl.col("timestamp") < date(2024, 1, 21))
    with pytest.raises(DataError, match="= 21 steps, got at most 20"):
        tsfm.similar(short, model=embedder, window_length=19, horizon=2)


def test_of_a_window_only_the_context_is_read(embedder, frame):
    changed = frame.with_columns(
        pl.when(pl.col("timestamp") < date(2024, 7, 3))
        .then(1e3)
        .otherwise("target")
        .alias("target")
    )
    query = {"query": changed, "model": embedder, "cutoff": "2024-07-18", **OPTIONS}
    whole, part = (
        [tsfm.similar(frame, context_length=n, **{**query, **one})["distance"].to_list()
         for one in ({}, {"query": None})]
        for n in (32, 16)
    )  # fmt: skip
    assert whole[0] != whole[1]
    assert part[0] == part[1]


def test_several_targets_are_compared_together(embedder, frame):
    both = frame.with_columns(other=-pl.col("target"))
    found = tsfm.similar(both, model=embedder, target=["target", "other"], **OPTIONS)
    assert found.filter(item_id="a")["similar_start"][0] == date(2024, 3, 9)


def test_wrong_questions_are_refused(embedder, frame):
    with pytest.raises(
        ConfigError, match="n_neighbors must be a whole number of at least 1, got 0"
    ):
        tsfm.similar(frame, n_neighbors=0, model=embedder)
    short = frame.head(20)  # so short that nothing would be compared
    with pytest.raises(ConfigError, match=r"got 'cosin'; did you mean 'cosine'\?"):
        tsfm.similar(short, metric="cosin", model=embedder)
    with pytest.raises(ConfigError, match="scikit-learn's, got '#'; for example 'euclidean'"):
        tsfm.similar(short, metric="#", model=embedder)
    with pytest.raises(ConfigError, match=r"cutoffs must be stamps of the frame's type Date, got"):
        tsfm.similar(frame, cutoff=17, model=embedder)
    with pytest.raises(DataError, match="steps at or before cutoff='2020-01-01', got none"):
        tsfm.similar(frame, cutoff="2020-01-01", model=embedder)
    steps = pl.DataFrame({"timestamp": range(40), "target": [1.0, 2.0] * 20})
    with pytest.raises(DataError, match="a query must have stamps of the same kind and the target"):
        tsfm.similar(frame, query=steps, model=embedder)
    missing = frame.with_columns(
        pl.when(pl.col("timestamp") < date(2024, 6, 1)).then(pl.col("target"))
    )
    with pytest.raises(
        DataError, match=r"item 'a': must have a value in its last 32 steps, .*\(2 "
    ):
        tsfm.similar(missing, model=embedder, **OPTIONS)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"horizon": -5}, "horizon must be a whole number of at least 0, got -5"),
        ({"pooling": "max"}, "pooling must be 'mean' or 'last', got 'max'"),
        ({"metric": "precomputed"}, "compares two vectors of numbers.*, got 'precomputed'; for "),
        ({"metric": "haversine"}, "compares two vectors of numbers.*, got 'haversine'; for "),
        ({"metric": "jaccard"}, "compares two vectors of numbers.*, got 'jaccard'; for "),
    ],
)
def test_an_option_that_has_no_sense_is_refused(embedder, frame, wrong, message):
    with pytest.raises(ConfigError, match=message):
        tsfm.similar(frame, model=embedder, **{**OPTIONS, **wrong})


def test_stamps_with_and_without_a_time_zone_are_not_compared(embedder, frame):
    zoned = frame.with_columns(
        pl.col("timestamp").cast(pl.Datetime("us")).dt.replace_time_zone("America/New_York")
    )
    with pytest.raises(DataError, match="both or neither with a time zone"):
        tsfm.similar(frame, query=zoned, model=embedder, **OPTIONS)


def test_embeddings_per_cutoff_are_those_of_the_frame_cut_there(embedder, frame):
    cutoffs = ["2024-03-01", date(2024, 5, 30).isoformat()]
    found = embedder.embed(frame, cutoffs=cutoffs)
    assert found.columns[:3] == ["item_id", "cutoff", "e0"]
    assert found["item_id"].to_list() == ["a", "a", "b", "b"]
    for cutoff in (date(2024, 3, 1), date(2024, 5, 30)):
        cut = embedder.embed(frame.filter(pl.col("timestamp") <= cutoff))
        part = found.filter(cutoff=cutoff).drop("cutoff")
        np.testing.assert_allclose(
            part.drop("item_id").to_numpy(), cut.drop("item_id").to_numpy(), atol=1e-4
        )


def test_what_comes_after_a_cutoff_does_not_move_its_embedding(embedder, frame):
    cutoff = date(2024, 5, 30)
    is_later = pl.col("timestamp") > cutoff
    changed = frame.with_columns(
        pl.when(is_later).then(-1e6).otherwise(pl.col("target")).alias("target")
    )
    assert embedder.embed(changed, cutoffs=[cutoff]).equals(embedder.embed(frame, cutoffs=[cutoff]))
    assert not embedder.embed(changed).equals(embedder.embed(frame))


def test_an_item_that_begins_after_a_cutoff_has_no_row(embedder, frame):
    late = frame.filter((pl.col("item_id") == "a") | (pl.col("timestamp") > date(2024, 3, 1)))
    found = tsfm.embed(late, cutoffs=["2024-02-01", "2024-04-01"])
    assert found["item_id"].to_list() == ["a", "a", "b"]


@pytest.mark.parametrize("cutoffs", [[], [3], ["soon"], [None]])
def test_cutoffs_that_are_no_stamps_are_refused(embedder, frame, cutoffs):
    with pytest.raises(ConfigError, match=r"cutoffs must be stamps of the frame's type Date, got"):
        embedder.embed(frame, cutoffs=cutoffs)


@pytest.mark.parametrize(
    "cutoffs",
    [
        [np.datetime64("2024-03-01")],
        [np.datetime64("2024-03-01T00", "h")],
        [np.datetime64("2024-03-01T00:00", "ns")],
        [pd.Timestamp("2024-03-01")],
    ],
)
def test_cutoffs_of_numpy_and_pandas_are_stamps(embedder, frame, cutoffs):
    assert embedder.embed(frame, cutoffs=cutoffs).equals(
        embedder.embed(frame, cutoffs=[date(2024, 3, 1)])
    )


def test_a_cutoff_with_a_zone_is_refused_where_the_frame_has_none(embedder, frame):
    times = frame.with_columns(pl.col("timestamp").cast(pl.Datetime("us")))
    with pytest.raises(ConfigError, match=r"cutoffs must be stamps of the frame's type Datetime"):
        embedder.embed(times, cutoffs=[pd.Timestamp("2024-03-01", tz="America/New_York")])


def test_cutoffs_without_a_zone_are_in_that_of_the_frame(embedder, frame):
    zoned = frame.with_columns(
        pl.col("timestamp").cast(pl.Datetime("us")).dt.replace_time_zone("Europe/Berlin")
    )
    found = embedder.embed(zoned, cutoffs=["2024-03-01 00:00:00"])
    assert found["cutoff"].dtype == pl.Datetime("us", "Europe/Berlin")
    plain = embedder.embed(frame, cutoffs=["2024-03-01"])
    assert found.drop("cutoff").equals(plain.drop("cutoff"))
