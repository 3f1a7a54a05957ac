"""What every test may use: tiny frames, generators, and stores of their own."""

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

# Before torch is imported: waiting threads sleep, and nothing reports to anybody.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, settings

from tsfm.series import cards

settings.register_profile(
    "ci", deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("ci")


@pytest.fixture
def generator() -> np.random.Generator:
    """Random numbers that are the same in every run."""
    return np.random.default_rng(0)


@pytest.fixture
def tiny_frame() -> pl.DataFrame:
    """Two hourly series of 48 and 36 steps with a season of a day."""
    stamps = pl.datetime_range(
        pl.datetime(2024, 1, 1), pl.datetime(2024, 1, 2, 23), "1h", time_unit="us", eager=True
    )
    season = 10 + np.sin(np.arange(48) * 2 * np.pi / 24)
    first = pl.DataFrame({"item_id": "a", "timestamp": stamps, "target": season})
    second = pl.DataFrame({"item_id": "b", "timestamp": stamps, "target": 3 * season}).head(36)
    return pl.concat([first, second])


@pytest.fixture(scope="session")
def _one_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tracking") / "mlflow.db"


@pytest.fixture
def tracking_uri(_one_store: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Address of the one tracking database of this session, since making one takes seconds."""
    uri = f"sqlite:///{_one_store}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    # Artifacts land beside the working directory of whoever makes the experiment.
    monkeypatch.chdir(_one_store.parent)
    return uri


@pytest.fixture
def write_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Make a folder for `made.parquet` with its card, the only one there is; more keys at will."""

    def write(channels: Sequence[str] = ("target",), more: str = "") -> Path:
        folder = tmp_path / "made"
        folder.mkdir()
        (folder / "card.toml").write_text(
            'name = "made"\ntitle = "Made"\nrole = "benchmark"\nsource = "made"\n'
            'licence = "CC0"\nsha256 = "0"\nfile = "made.parquet"\nformat = "parquet"\n'
            'item_id = "item_id"\ntimestamp = "timestamp"\n'
            f"channels = {json.dumps(channels)}\n{more}"
        )
        monkeypatch.setattr(cards, "CARD_FOLDERS", (tmp_path,))
        monkeypatch.delenv("TSFM_DATA", raising=False)
        return folder

    return write


@pytest.fixture
def checkout() -> Path:
    """Root of the repository."""
    return Path(__file__).parents[1]
