"""Filling gaps must not touch anything else: rows, order, types and every value that was there."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch

import tsfm
from tsfm.errors import ConfigError, DataError, NotCalibratedError, UnsupportedError
from tsfm.models.heads import ReconstructionHead
from tsfm.models.model import Provenance, TimeSeriesModel
from tsfm.models.timer import Timer, TimerConfig
from tsfm.models.tst import Tst, TstConfig
from tsfm.tasks.imputation.rows import StaysMissingWarning
from tsfm.tasks.impute import Imputer

START = datetime(2024, 1, 1)


def forecaster(**options: Any) -> Imputer:
    backbone = Timer(
        TimerConfig(patch_length=4, d_model=16, n_heads=2, n_layers=1, d_ff=16, **options)
    )
    backbone.reset_parameters(torch.Generator().manual_seed(0))
    return Imputer(TimeSeriesModel("timer", backbone, 64, Provenance()))


def series(n_steps: int = 40, seed: int = 0, missing: float = 0.2) -> pl.Series:
    generator = np.random.default_rng(seed)
    values = generator.normal(size=n_steps).cumsum() + 100
    values[generator.random(n_steps) < missing] = np.nan
    values[[0, -1]] = 100.0
    return pl.Series(values).fill_nan(None)


def frame(n_steps: int = 40, *, missing: float = 0.2) -> pl.DataFrame:
    """Two hourly items of two targets, in no order."""
    stamps = [START + timedelta(hours=hour) for hour in range(n_steps)]
    parts = [
        pl.DataFrame({"item_id": name, "timestamp": stamps}).with_columns(
            series(n_steps, seed, missing).alias("target"),
            series(n_steps, seed + 9, missing).alias("other"),
        )
        for seed, name in enumerate("ba")
    ]
    return pl.concat(parts).sample(fraction=1.0, shuffle=True, seed=3)


def as_kind(data: pl.DataFrame, kind: str) -> Any:
    makers = {"pandas": data.to_pandas, "lazy": data.lazy, "pyarrow": data.to_arrow}
    return makers[kind]() if kind in makers else data


def as_polars(data: Any) -> pl.DataFrame:
    if isinstance(data, pl.LazyFrame):
        return data.collect()
    if isinstance(data, pl.DataFrame):
        return data
    return pl.DataFrame(pl.from_arrow(data) if isinstance(data, pa.Table) else pl.from_pandas(data))


@pytest.mark.parametrize("kind", ["polars", "lazy", "pandas", "pyarrow"])
def test_the_same_rows_come_back_with_gaps_filled_in_the_kind_that_came(
    filler: Callable[..., Imputer], kind: str
) -> None:
    data = frame()
    given = as_kind(data, kind)
    found = filler().impute(given, target=["target", "other"])
    assert type(found) is type(given)
    out = as_polars(found)
    assert out.columns == [*data.columns, "target_imputed", "other_imputed"]
    assert out.select("item_id", "timestamp").equals(data.select("item_id", "timestamp"))
    for name in ("target", "other"):
        was_missing = data[name].is_null()
        assert out[name].dtype == data[name].dtype
        assert out[name].is_finite().all()
        assert out[f"{name}_imputed"].to_list() == was_missing.to_list()
        assert out[name].filter(~was_missing).equals(data[name].filter(~was_missing))


def test_an_arrow_batch_is_filled_to_a_table(filler: Callable[..., Imputer]) -> None:
    table = frame().to_arrow().combine_chunks()
    found = filler().impute(table.to_batches()[0])
    assert found.equals(filler().impute(table))


def test_all_kinds_of_frames_are_filled_alike(filler: Callable[..., Imputer]) -> None:
    data = frame()
    found = [
        as_polars(filler().impute(as_kind(data, kind))) for kind in ("polars", "pandas", "pyarrow")
    ]
    for other in found[1:]:
        assert found[0]["target"].equals(other["target"])


@pytest.mark.parametrize("kind", ["polars", "lazy", "pandas", "pyarrow"])
def test_a_complete_frame_comes_back_to_the_bit(filler: Callable[..., Imputer], kind: str) -> None:
    data = frame(missing=0.0).with_columns(count=pl.int_range(pl.len(), dtype=pl.Int64) + 2**60)
    given = as_kind(data, kind)
    out = as_polars(filler().impute(given, target=["target", "count"]))
    assert out.select(data.columns).equals(as_polars(given))
    assert not out["target_imputed"].any()
    assert not out["count_imputed"].any()


def test_a_pandas_frame_keeps_index_types_and_what_it_holds(filler: Callable[..., Imputer]) -> None:
    data = frame().to_pandas().astype({"item_id": "category"})
    data.index = pd.Index(np.arange(len(data)) * 7, name="seven")
    data["note"] = pd.array([1, None] * (len(data) // 2), dtype="Int64")
    before = data.copy(deep=True)
    out = filler().impute(data)
    pd.testing.assert_frame_equal(data, before)
    pd.testing.assert_frame_equal(
        out[["item_id", "timestamp", "note"]], data[["item_id", "timestamp", "note"]]
    )
    assert out.index.equals(data.index)


def test_stamps_in_the_index_of_a_pandas_frame_stay_there(filler: Callable[..., Imputer]) -> None:
    data = frame().filter(item_id="a").sort("timestamp").to_pandas().set_index("timestamp")
    out = filler().impute(data)
    assert out.index.equals(data.index)
    assert list(out.columns) == [*data.columns, "target_imputed"]


@pytest.mark.parametrize(
    "dtype", [pl.Int8, pl.UInt16, pl.Int64, pl.Float32, pl.Float64, pl.String, pl.Decimal(12, 2)]
)
def test_a_column_keeps_its_type(filler: Callable[..., Imputer], dtype: Any) -> None:
    values = pl.Series([100, None, 120, None, None, 101], dtype=pl.Int64).cast(dtype)
    data = pl.DataFrame({"timestamp": range(6), "target": values})
    out = filler().impute(data)
    assert out["target"].dtype == dtype
    assert out["target"].null_count() == 0
    assert out["target"].gather([0, 2, 5]).equals(values.gather([0, 2, 5]))


@pytest.mark.parametrize("dtype", ["Int64", "Float64", "float32", "object"])
def test_a_pandas_column_keeps_its_type(filler: Callable[..., Imputer], dtype: str) -> None:
    missing = pd.NA if dtype[0] in "IF" else np.nan
    data = pd.DataFrame(
        {"timestamp": range(5), "target": pd.Series([1, missing, 9, missing, 5], dtype=dtype)}
    )
    out = filler().impute(data)
    assert out["target"].dtype == data["target"].dtype
    assert out["target"].notna().all()
    assert out["target"][[0, 2, 4]].tolist() == [1, 9, 5]


def test_whole_numbers_beyond_those_of_floats_are_not_touched(
    filler: Callable[..., Imputer],
) -> None:
    big = 2**62 + 1
    data = pl.DataFrame({"timestamp": range(4), "target": [big, None, big, big + 2]})
    out = filler(drawn=False).impute(data)
    assert out["target"].gather([0, 2, 3]).to_list() == [big, big, big + 2]
    assert out["target_imputed"].to_list() == [False, True, False, False]


def test_quantiles_stand_beside_what_is_filled_and_are_the_value_where_there_was_one(
    filler: Callable[..., Imputer],
) -> None:
    data = frame()
    out = filler().impute(data, quantile_levels=[0.1, 0.5, 0.95])
    assert out.columns[-4:] == ["target_imputed", "target_0.1", "target_0.5", "target_0.95"]
    assert (out["target_0.1"] <= out["target_0.5"]).all()
    assert (out["target_0.5"] <= out["target_0.95"]).all()
    assert out["target_0.5"].equals(out["target"].alias("target_0.5"))
    filled, seen = out.filter("target_imputed"), out.filter(~pl.col("target_imputed"))
    assert (filled["target_0.1"] < filled["target_0.95"]).any()
    assert (seen["target_0.1"] == seen["target"]).all()


def test_an_untrained_model_interpolates_and_repeats_at_the_ends(
    filler: Callable[..., Imputer],
) -> None:
    data = pl.DataFrame({"timestamp": range(7), "target": [None, 1.0, None, None, 4.0, None, None]})
    out = filler(drawn=False).impute(data)
    assert out["target"].to_list() == [1.0, 1.0, 2.0, 3.0, 4.0, 4.0, 4.0]


def test_a_series_without_a_value_stays_missing_and_is_named(
    filler: Callable[..., Imputer],
) -> None:
    data = frame().with_columns(
        pl.when(pl.col("item_id") == "a").then(None).otherwise("target").alias("target")
    )
    with pytest.warns(
        StaysMissingWarning, match="item 'a', column 'target': 40 rows stay missing, since"
    ):
        out = filler().impute(data)
    assert out.filter(item_id="a")["target"].null_count() == 40
    assert not out.filter(item_id="a")["target_imputed"].any()
    assert out.filter(item_id="b")["target"].null_count() == 0


def test_causal_mode_leaves_the_start_and_fills_the_first_steps_of_long_gaps() -> None:
    values = [None, 1.0, 2.0, None, None, None, 3.0, None]
    data = pl.DataFrame({"timestamp": range(8), "target": values})
    with pytest.warns(StaysMissingWarning, match="2 rows stay missing"):
        out = forecaster().impute(data, max_gap=2, mode="causal")
    assert out["target_imputed"].to_list() == [False, False, False, True, True, False, False, True]


def test_an_encoder_with_a_head_that_reconstructs_fills_all_channels_together() -> None:
    pytest.importorskip("tsfm.tasks.imputation.reconstruct")
    encoder = Tst(
        TstConfig(n_channels=2, context_length=48, d_model=8, n_heads=2, n_layers=1, d_ff=8)
    )
    encoder.reset_parameters(torch.Generator().manual_seed(0))
    heads = {"reconstruction": ReconstructionHead.on(encoder)}
    imputer = Imputer(TimeSeriesModel("tst", encoder, 48, Provenance(), heads))
    data = frame()
    out = imputer.impute(data, target=["target", "other"])
    assert out["target"].null_count() == 0
    assert out["target"].filter(data["target"].is_not_null()).equals(data["target"].drop_nulls())
    with pytest.raises(NotCalibratedError, match=r"quantile_levels must be \[0.5\]"):
        imputer.impute(data, target=["target", "other"], quantile_levels=[0.1])


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"mode": "both"},
            ConfigError,
            "mode must be one of .*'two_sided', 'causal'.*, got 'both'",
        ),
        ({"max_gap": 0}, ConfigError, "max_gap must be a whole number of at least 1, got 0"),
        ({"batch_size": 0}, ConfigError, "batch_size must be a whole number"),
        ({"context_length": -1}, ConfigError, "context_length must be a whole number"),
        ({"quantile_levels": [2.0]}, ConfigError, "quantile_levels must be different numbers"),
        ({"mode": "causal"}, UnsupportedError, "mode='causal' needs a model that forecasts, got"),
        ({"target": "absent"}, DataError, "column 'absent' must be present"),
    ],
)
def test_what_is_wrong_is_said(
    filler: Callable[..., Imputer], options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        filler().impute(frame(), **options)


def test_a_forecaster_does_not_fill_from_both_sides() -> None:
    with pytest.raises(
        UnsupportedError, match="needs a model that fills gaps from both sides, got 'ti"
    ):
        forecaster().impute(frame(), mode="two_sided")


def test_a_column_that_would_be_overwritten_is_refused(filler: Callable[..., Imputer]) -> None:
    with pytest.raises(DataError, match="'target_imputed' must not be there: imputation adds"):
        filler().impute(frame().with_columns(target_imputed=True))


def test_finetuning_gives_a_new_imputer_that_can_be_saved_and_loaded(
    filler: Callable[..., Imputer], tmp_path: Path
) -> None:
    data, before = frame(200), filler(drawn=False, context_length=32)
    after = before.finetune(data, steps=6)
    first, second = (one.impute(data)["target"] for one in (before, after))
    assert not first.equals(second)
    assert before.impute(data)["target"].equals(first)
    after.save_pretrained(tmp_path)
    assert Imputer.from_pretrained(tmp_path).impute(data)["target"].equals(second)


def test_the_bundled_models_fill_a_frame_in_both_modes() -> None:
    data = frame()
    for mode in ("two_sided", "causal"):
        out = tsfm.impute(data, mode=mode, quantile_levels=[0.1, 0.9])
        assert out["target"].null_count() == 0
        assert (out["target_0.1"] <= out["target_0.9"]).all()


@pytest.mark.parametrize("levels", [0.5, None, ["low"]])
@pytest.mark.usefixtures("as_users_call")
def test_levels_that_are_no_list_of_numbers_are_refused(levels):
    frame = pl.DataFrame({"timestamp": range(4), "target": [3.0, None, None, 3.0]})
    with pytest.raises(ConfigError, match="quantile_levels must be different numbers between"):
        tsfm.impute(frame, quantile_levels=levels)
