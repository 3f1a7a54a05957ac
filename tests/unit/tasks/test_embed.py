"""An embedding is used as features by somebody else's model: it must be stable and leak nothing."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch

import tsfm
from tsfm.errors import ConfigError, DataError, UnsupportedError
from tsfm.models.model import Provenance, TimeSeriesModel
from tsfm.models.tst import Tst, TstConfig
from tsfm.tasks.embed import Embedder


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return Embedder.from_pretrained("tsfm-small")


@pytest.fixture
def frame(generator: np.random.Generator) -> pl.DataFrame:
    """Three items of different lengths, the first with a gap."""
    parts = []
    for item, length in (("a", 70), ("b", 33), ("c", 120)):
        values = generator.normal(size=length).cumsum()
        parts.append(
            pl.DataFrame({"item_id": item, "timestamp": np.arange(length), "target": values})
        )
    return pl.concat(parts).filter(~((pl.col("item_id") == "a") & pl.col("timestamp").eq(20)))


def vectors(found: pl.DataFrame) -> np.ndarray:
    return found.drop("item_id").to_numpy()


def test_a_row_per_item_with_the_width_of_the_model(
    embedder: Embedder, frame: pl.DataFrame
) -> None:
    found = embedder.embed(frame)
    width = embedder.model.backbone.config.d_model
    assert found["item_id"].to_list() == ["a", "b", "c"]
    assert found.columns == ["item_id", *(f"e{number}" for number in range(width))]
    assert np.isfinite(vectors(found)).all()


def test_tokens_are_those_of_the_depth(embedder: Embedder) -> None:
    window = torch.randn(2, 64, 1, generator=torch.Generator().manual_seed(0))
    full = torch.ones_like(window, dtype=torch.bool)
    backbone = embedder.model.backbone
    for depth, n_layers in ((0.01, 1), (0.6, 3), (1.0, backbone.config.n_layers)):
        found = Embedder(embedder.model, depth=depth).tokens(window, full, full[..., 0])
        expected = backbone.encode(window, full, full[..., 0], n_layers=n_layers)
        torch.testing.assert_close(found, expected, rtol=0, atol=0)
    for depth in (0.0, 1.5):
        with pytest.raises(ConfigError, match=f"depth .* up to 1, got {depth}"):
            Embedder(embedder.model, depth=depth)


@pytest.mark.parametrize("pooling", ["mean", "last"])
def test_level_and_scale_do_not_matter_and_shape_does(
    embedder: Embedder, frame: pl.DataFrame, pooling: str
) -> None:
    before = vectors(embedder.embed(frame, pooling=pooling))
    moved = frame.with_columns(pl.col("target") * 8 + 64)
    np.testing.assert_allclose(
        vectors(embedder.embed(moved, pooling=pooling)), before, rtol=1e-3, atol=1e-3
    )
    other = frame.with_columns(pl.col("target").diff().fill_null(0.0))
    assert np.abs(vectors(embedder.embed(other, pooling=pooling)) - before).max() > 0.1


def test_an_item_is_embedded_by_itself(embedder: Embedder, frame: pl.DataFrame) -> None:
    together = vectors(embedder.embed(frame))
    for number, item in enumerate("abc"):
        alone = vectors(embedder.embed(frame.filter(item_id=item)))
        np.testing.assert_allclose(alone[0], together[number], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(
        vectors(embedder.embed(frame, batch_size=1)), together, rtol=1e-5, atol=1e-5
    )


def test_only_the_context_is_read(embedder: Embedder, frame: pl.DataFrame) -> None:
    changed = frame.with_columns(
        pl.when(pl.col("timestamp") < 10).then(99.0).otherwise("target").alias("target")
    )
    same = [vectors(embedder.embed(one, context_length=16)) for one in (frame, changed)]
    np.testing.assert_array_equal(*same)


def test_targets_lie_side_by_side(embedder: Embedder, frame: pl.DataFrame) -> None:
    two = frame.with_columns(-pl.col("target").alias("other"))
    both = vectors(embedder.embed(two, target=["target", "other"]))
    width = embedder.model.backbone.config.d_model
    np.testing.assert_allclose(both[:, :width], vectors(embedder.embed(frame)), atol=1e-6)
    other = vectors(embedder.embed(two, target="other"))
    np.testing.assert_allclose(both[:, width:], other, atol=1e-6)


def test_what_comes_in_comes_out(frame: pl.DataFrame) -> None:
    assert isinstance(tsfm.embed(frame.to_pandas()), pd.DataFrame)
    assert isinstance(tsfm.embed(frame.to_arrow()), pa.Table)
    assert isinstance(tsfm.embed(frame.lazy()), pl.LazyFrame)


def test_wrong_input_is_named(embedder: Embedder, frame: pl.DataFrame) -> None:
    with pytest.raises(ConfigError, match="pooling must be 'mean' or 'last', got 'max'"):
        embedder.embed(frame, pooling="max")
    missing = frame.with_columns(
        pl.when(pl.col("item_id") == "b").then(None).otherwise("target").alias("target")
    )
    with pytest.raises(DataError, match="item 'b', column 'target': must have a value"):
        embedder.embed(missing)
    tst = Tst(TstConfig(n_channels=2, context_length=8, d_model=16, n_heads=2))
    with pytest.raises(UnsupportedError, match="reads channels by themselves to embed, got 'tst'"):
        Embedder(TimeSeriesModel("tst", tst, 8, Provenance()))
