"""Covariates as channels: nothing before training, much after it, and never a look ahead."""

from itertools import pairwise

import numpy as np
import polars as pl
import pytest
import torch

import tsfm
from tsfm.errors import ConfigError, DataError, UnsupportedError
from tsfm.models.model import Provenance, TimeSeriesModel
from tsfm.models.timer import Timer, TimerConfig
from tsfm.models.timer_covariates import CovariateTimer, CovariateTimerConfig, with_covariates
from tsfm.tasks.covariates import CovariateForecaster
from tsfm.tasks.forecast import Forecaster
from tsfm.tasks.with_covariates.channels import ChannelForecaster
from tsfm.tasks.with_covariates.finetune import CovariateStream

HORIZON = 8
N_STEPS = 360
PATCH = 4


def demand(seed: int = 0) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Sales of four shops that promotions at random steps raise: past, known future, truth."""
    generator = np.random.default_rng(seed)
    parts = []
    for item in range(4):
        promo = (generator.random(N_STEPS) < 0.25).astype(float)
        week = np.sin(np.arange(N_STEPS) * 2 * np.pi / 7)
        sold = 10.0**item * (5 + week + 3 * promo + 0.1 * generator.normal(size=N_STEPS))
        columns = {"item_id": f"shop {item}", "timestamp": range(N_STEPS), "target": sold}
        noise = generator.normal(size=N_STEPS)
        parts.append(pl.DataFrame({**columns, "promo": promo, "visits": noise}))
    whole = pl.concat(parts)
    later = whole.filter(pl.col("timestamp") >= N_STEPS - HORIZON)
    return whole.filter(pl.col("timestamp") < N_STEPS - HORIZON), later.drop("target"), later


def tiny_model(seed: int = 0) -> TimeSeriesModel:
    config = TimerConfig(
        patch_length=PATCH, d_model=32, n_heads=2, n_layers=2, d_ff=64, n_output_patches=2
    )
    backbone = Timer(config)
    backbone.reset_parameters(torch.Generator().manual_seed(seed))
    return TimeSeriesModel("timer", backbone, 64, Provenance())


def adapter(*covariates: str) -> CovariateForecaster:
    return CovariateForecaster(Forecaster(tiny_model(), device="cpu"), covariates=covariates)


@pytest.fixture(scope="module")
def trained() -> ChannelForecaster:
    past, _, _ = demand()
    return adapter("promo", "visits").finetune(
        past, known=["promo"], mode="full", steps=80, learning_rate=3e-3
    )


def relative_error(found: pl.DataFrame, truth: pl.DataFrame) -> float:
    both = truth.join(found, on=["item_id", "timestamp"])
    errors = (both["predictions"] - both["target"]).abs() / (both["target"] + 1)
    return float(errors.mean())


def test_before_training_the_forecast_is_the_one_without_covariates():
    past, future, _ = demand()
    plain = Forecaster(tiny_model(), device="cpu", views=False).predict(
        past, prediction_length=HORIZON
    )
    backbone = with_covariates(tiny_model().backbone, ("promo",), ("visits",))
    untrained = ChannelForecaster(
        TimeSeriesModel("timer_covariates", backbone, 64, Provenance()), device="cpu"
    )
    found = untrained.predict(past, future=future, prediction_length=HORIZON)
    assert found.equals(plain)


def test_known_promotions_more_than_halve_the_error_of_training_without(trained):
    past, future, truth = demand()
    plain = Forecaster(tiny_model(), device="cpu").finetune(past, steps=80, learning_rate=3e-3)
    without = relative_error(plain.predict(past, prediction_length=HORIZON), truth)
    found = trained.predict(past, future=future, prediction_length=HORIZON)
    assert relative_error(found, truth) < 0.5 * without


def test_a_promotion_that_is_known_moves_the_forecast_of_its_step_most(trained):
    past, future, _ = demand()
    step = N_STEPS - HORIZON + 3
    quiet = future.with_columns(promo=pl.lit(0.0))
    on = (pl.col("timestamp") == step).cast(pl.Float64)
    before = trained.predict(past, future=quiet, prediction_length=HORIZON)
    after = trained.predict(past, future=quiet.with_columns(promo=on), prediction_length=HORIZON)
    moved = (after["predictions"] - before["predictions"]).to_numpy().reshape(4, HORIZON)
    assert (np.abs(moved).argmax(1) == 3).all()
    assert (moved[:, 3] > 0).all()


def test_the_future_of_a_past_covariate_is_never_read(trained):
    past, future, _ = demand()
    before = trained.predict(past, future=future, prediction_length=HORIZON)
    wild = future.with_columns(visits=pl.lit(1e6))
    assert trained.predict(past, future=wild, prediction_length=HORIZON).equals(before)
    bare = future.drop("visits")
    assert trained.predict(past, future=bare, prediction_length=HORIZON).equals(before)
    other = past.with_columns(visits=pl.col("visits") * pl.col("timestamp"))
    assert not trained.predict(other, future=future, prediction_length=HORIZON).equals(before)


@pytest.fixture
def wild_backbone() -> CovariateTimer:
    """All weights random, so that whatever is read shows."""
    config = CovariateTimerConfig(
        patch_length=PATCH,
        d_model=32,
        n_heads=2,
        n_layers=2,
        d_ff=64,
        n_output_patches=2,
        known_covariates=("known",),
        past_covariates=("past",),
    )
    backbone = CovariateTimer(config).eval()
    with torch.no_grad():
        for parameter in backbone.parameters():
            parameter.normal_(0.0, 0.3, generator=torch.Generator().manual_seed(1))
    return backbone


@torch.no_grad()
def test_a_token_reads_known_covariates_up_to_its_horizon_and_past_ones_up_to_itself(wild_backbone):
    generator = torch.Generator().manual_seed(2)
    values = torch.randn(2, 24, 1, generator=generator)
    observed, inside = torch.ones(2, 24, 1).bool(), torch.ones(2, 24).bool()
    covariates = torch.randn(2, 32, 2, generator=generator)
    before = wild_backbone.forecast_patches(values, observed, inside, covariates).values
    for column, reach in ((0, 3 * PATCH), (1, PATCH)):
        for token, end in enumerate(range(reach, 24, PATCH)):
            changed = covariates.clone()
            changed[:, end:, column] += 5
            after = wild_backbone.forecast_patches(values, observed, inside, changed).values
            torch.testing.assert_close(after[:, :, : token + 1], before[:, :, : token + 1])
            assert not torch.allclose(after[:, :, token + 1], before[:, :, token + 1])


@torch.no_grad()
def test_a_past_covariate_is_not_read_where_the_target_is_unknown(wild_backbone):
    values = torch.randn(1, 24, 1, generator=torch.Generator().manual_seed(3))
    observed, inside = torch.ones(1, 24, 1).bool(), torch.ones(1, 24).bool()
    observed[:, 16:] = False
    covariates = torch.zeros(1, 32, 2)
    before = wild_backbone.forecast_patches(values, observed, inside, covariates).values
    covariates[:, 16:, 1] = 9.0
    after = wild_backbone.forecast_patches(values, observed, inside, covariates).values
    assert torch.equal(before, after)


def test_training_windows_never_hold_what_is_held_out():
    rows = np.arange(100.0)
    series = [np.stack([rows, rows], 1)]
    stream = CovariateStream(series, window_length=24, validation_share=0.2, seed=0)
    newest = max(stream(number).values.max() for number in range(20))
    held = stream.validation(0)
    assert held.supervised is not None
    first = held.values[held.supervised].min()
    assert newest < first


def test_it_is_saved_and_loaded_with_its_names(trained, tmp_path):
    past, future, _ = demand()
    trained.save_pretrained(tmp_path / "shops")
    before = trained.predict(past, future=future, prediction_length=HORIZON)
    loaded = ChannelForecaster.from_pretrained(tmp_path / "shops", device="cpu")
    assert (loaded.known_covariates, loaded.past_covariates) == (("promo",), ("visits",))
    assert loaded.predict(past, future=future, prediction_length=HORIZON).equals(before)
    found = tsfm.forecast(
        past, prediction_length=HORIZON, model=tmp_path / "shops", future=future, device="cpu"
    )
    assert found.equals(before)
    with pytest.raises(UnsupportedError, match=r"must read the target alone, got .*shops"):
        Forecaster.from_pretrained(tmp_path / "shops")
    with pytest.raises(ConfigError, match=r"those that the model was fine-tuned with.*price"):
        tsfm.forecast(
            past,
            prediction_length=HORIZON,
            model=tmp_path / "shops",
            future=future,
            covariates=["price"],
        )


def test_a_known_covariate_must_have_its_future(trained):
    past, future, _ = demand()
    with pytest.raises(ConfigError, match=r"future must have the covariates \['promo'\].*add"):
        trained.predict(past, prediction_length=HORIZON)
    with pytest.raises(DataError, match=r"column 'promo': must be known at every step"):
        trained.predict(past, future=future.head(3), prediction_length=HORIZON)


def test_what_cannot_be_channels_is_refused(trained):
    past, _, _ = demand()
    with pytest.raises(UnsupportedError, match=r"must be a Timer without covariates"):
        CovariateForecaster(Forecaster(trained.model), covariates=["promo"]).finetune(past)
    with pytest.raises(UnsupportedError, match=r"must be fine-tuned with covariates"):
        ChannelForecaster(tiny_model())
    static = CovariateForecaster(Forecaster(tiny_model()), static_covariates=["size"])
    with pytest.raises(UnsupportedError, match=r"must change with time.*\['size'\]"):
        static.finetune(past)
    with pytest.raises(ConfigError, match=r"known must be among covariates=\['visits'\]"):
        adapter("visits").finetune(past, known=["promo"])
    with pytest.raises(ConfigError, match="covariates must name at least one column"):
        CovariateForecaster(Forecaster(tiny_model())).finetune(past)
    with pytest.raises(DataError, match=r"must have more than 8 steps to fine-tune on"):
        adapter("promo").finetune(past.head(6))
    empty = past.with_columns(visits=pl.lit(None, pl.Float64))
    with pytest.raises(DataError, match=r"must have values in the data, got none in \['visits'\]"):
        adapter("visits").finetune(empty)
    with pytest.raises(ValueError, match="covariates must be named once"):
        CovariateTimerConfig(known_covariates=("a",), past_covariates=("a",))


def test_a_step_reads_as_many_windows_as_asked():
    past, future, _ = demand()
    said = [
        adapter("promo")
        .finetune(past, steps=2, batch_size=size, device="cpu")
        .predict(past, future=future, prediction_length=HORIZON)
        for size in (4, 4, 5)
    ]
    assert said[0].equals(said[1])
    assert not said[0].equals(said[2])


def test_wrong_options_of_fine_tuning_are_refused():
    past, _, _ = demand()
    for length in (0, -5):
        with pytest.raises(ConfigError, match=rf"context_length must be .* 1, got {length!r}"):
            adapter("promo").finetune(past, steps=1, context_length=length)
    with pytest.raises(ConfigError, match=r"batch_size must be .* 1, got 0"):
        adapter("promo").finetune(past, steps=1, batch_size=0)
    with pytest.raises(ConfigError, match=r"device must be .*, got 'abacus'"):
        adapter("promo").finetune(past, steps=1, device="abacus")
    with pytest.raises(DataError, match="must have values to fine-tune on, got only missing ones"):
        adapter("promo").finetune(past.with_columns(target=pl.lit(None, pl.Float64)), steps=1)


def test_far_horizons_are_read_with_their_covariates(trained):
    past, _, _ = demand()
    steps = 5 * HORIZON
    stamps = range(N_STEPS - HORIZON, N_STEPS - HORIZON + steps)
    item = past["item_id"].unique(maintain_order=True)
    future = item.to_frame().join(pl.DataFrame({"timestamp": stamps}), how="cross")
    future = future.with_columns(promo=(pl.col("timestamp") % 9 == 0).cast(pl.Float64))
    found = trained.predict(past, future=future, prediction_length=steps)
    rows = found.join(future, on=["item_id", "timestamp"]).group_by("item_id", "promo")
    means = rows.agg(pl.col("predictions").tail(3).mean()).sort("item_id", "promo")
    levels = means["predictions"].to_list()
    assert all(on > off for off, on in list(pairwise(levels))[::2])
