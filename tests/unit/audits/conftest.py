"""The frame that the tests of the audit share."""

import numpy as np
import polars as pl
import pytest


@pytest.fixture
def frame() -> pl.DataFrame:
    """Three items of forty steps of noise."""
    generator = np.random.default_rng(0)
    return pl.DataFrame(
        {
            "item_id": np.repeat(["a", "b", "c"], 40),
            "timestamp": np.tile(np.arange(40), 3),
            "target": generator.normal(size=120),
        }
    )
