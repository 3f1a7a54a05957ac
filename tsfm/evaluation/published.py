"""Scores that others published for the same sets, read from a table beside the data."""

import os
from pathlib import Path

import polars as pl

RESULTS = Path("published") / "chronos_results.csv"
PREFERRED_SOURCE = "autogluon/fev chronos_zeroshot"
"""Of two sources of one row this one wins: it scores every model with the same seasonality."""
SEASONAL_NAIVE = "seasonal_naive"


def published_results(folder: Path | None = None) -> pl.DataFrame:
    """Return one row per set and model: ``dataset``, ``model``, ``mase``, ``wql``, ``source``.

    Sets have their published names. Models have one spelling whatever the source: lower case,
    underscores, no owner; ``amazon/chronos-t5-tiny`` is ``chronos_tiny``.

    Parameters
    ----------
    folder
        Where the data sets are; by default the environment's ``TSFM_DATA``. Without the file the
        table is empty.
    """
    folder = folder or Path(os.environ.get("TSFM_DATA", ""))
    path = folder / RESULTS
    columns = ["dataset", "model", "mase", "wql", "evaluation", "source"]
    if not path.is_file():
        text, number = pl.String, pl.Float64
        return pl.DataFrame(
            schema=dict(zip(columns, [text, text, number, number, text, text], strict=True))
        )
    spelling = (
        pl.col("model")
        .str.to_lowercase()
        .str.strip_prefix("amazon/")
        .str.replace_all("-", "_")
        .str.replace("^chronos_t5_", "chronos_")
    )
    return (
        pl.read_csv(path)
        .rename({"MASE": "mase", "WQL": "wql"})
        .with_columns(spelling, (pl.col("source") != PREFERRED_SOURCE).alias("_second"))
        .sort("_second", maintain_order=True)
        .unique(["dataset", "model"], keep="first", maintain_order=True)
        .select(columns)
    )
