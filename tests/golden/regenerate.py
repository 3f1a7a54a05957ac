"""Make the golden files anew; `make golden` shows what changed.

The expected forecasts are written every time. Checkpoint and input are written only where they are
missing: what they prove is that old files are still read, and still mean the same.
"""

from pathlib import Path

import numpy as np
import polars as pl
import torch

from tsfm.models.model import Provenance, TimeSeriesModel
from tsfm.models.pretrained import save_pretrained
from tsfm.models.timer import Timer, TimerConfig
from tsfm.tasks.forecast import Forecaster

FOLDER = Path(__file__).parent
CHECKPOINT = FOLDER / "timer_random"
INPUT = FOLDER / "input.csv"
EXPECTED = FOLDER / "expected.csv"
# More than the two patches of eight steps that the model sees ahead at once.
PREDICTION_LENGTH = 20


def make_checkpoint() -> TimeSeriesModel:
    """Return a Timer with random weights; none is zero, so that all of them matter."""
    config = TimerConfig(
        patch_length=8,
        d_model=16,
        n_heads=2,
        n_layers=2,
        d_ff=32,
        n_output_patches=2,
        quantile_levels=(0.1, 0.5, 0.9),
    )
    backbone = Timer(config)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in backbone.parameters():
            parameter.normal_(0.0, 0.2, generator=generator)
    return TimeSeriesModel("timer", backbone, 128, Provenance(details={"name": "timer-random"}))


def make_input() -> pl.DataFrame:
    """Return hourly series: a season with gaps, a short walk, a constant."""
    generator = np.random.default_rng(0)
    season = 20 + 5 * np.sin(np.arange(150) * 2 * np.pi / 24) + generator.normal(size=150)
    season[[3, 60, 61, 62, 120]] = np.nan
    walk = generator.normal(size=11).cumsum()
    frames = []
    for name, values in (("season", season), ("walk", walk), ("constant", np.full(30, 4.25))):
        start = pl.datetime(2024, 1, 1)
        stamps = pl.datetime_range(start, start + pl.duration(hours=len(values) - 1), "1h")
        target = pl.Series(values.round(4)).fill_nan(None)
        frames.append(pl.select(item_id=pl.lit(name), timestamp=stamps, target=target))
    return pl.concat(frames)


def forecast() -> pl.DataFrame:
    """Return the forecasts of the checkpoint for the input."""
    return Forecaster.from_pretrained(CHECKPOINT, device="cpu").predict(
        pl.read_csv(INPUT, try_parse_dates=True),
        prediction_length=PREDICTION_LENGTH,
        quantile_levels=[0.1, 0.5, 0.9],
    )


def main() -> None:
    """Write the files."""
    if not CHECKPOINT.is_dir():
        save_pretrained(make_checkpoint(), CHECKPOINT)
    if not INPUT.is_file():
        make_input().write_csv(INPUT)
    forecast().write_csv(EXPECTED)


if __name__ == "__main__":
    main()
