"""A call may say where the model reads; what it says is heard by every task."""

import polars as pl
import pytest

from tsfm.errors import ConfigError
from tsfm.models.pretrained import load_pretrained
from tsfm.tasks.calibrate import CalibratedForecaster, calibrate
from tsfm.tasks.covariates import CovariateForecaster
from tsfm.tasks.detect import Detector
from tsfm.tasks.embed import Embedder
from tsfm.tasks.forecast import Forecaster
from tsfm.tasks.impute import Imputer
from tsfm.tasks.on_device import OnDevice
from tsfm.tasks.similar import similar


@pytest.fixture(scope="module")
def forecaster() -> Forecaster:
    return Forecaster.from_pretrained("tsfm-small", device="cpu")


def test_a_model_moves_and_stays() -> None:
    model = OnDevice(load_pretrained("tsfm-small"), device="cpu")
    model.move_to("meta")
    model.move_to("auto")
    assert model.device.type == "meta"
    assert {one.device.type for one in model.model.backbone.parameters()} == {"meta"}


def test_every_task_hears_of_the_device(forecaster: Forecaster, tiny_frame: pl.DataFrame) -> None:
    promoted = tiny_frame.with_columns(promo=pl.lit(1.0))
    calls = [
        lambda **on: forecaster.predict(tiny_frame, prediction_length=1, **on),
        lambda **on: forecaster.finetune(tiny_frame, steps=1, **on),
        lambda **on: CovariateForecaster(forecaster, covariates=["promo"]).predict(
            promoted, prediction_length=1, **on
        ),
        lambda **on: Imputer.from_pretrained().impute(tiny_frame, **on),
        lambda **on: Imputer.from_pretrained().finetune(tiny_frame, steps=1, **on),
        lambda **on: Detector(forecaster.model).detect(tiny_frame, **on),
        lambda **on: Detector(forecaster.model).fit_threshold(tiny_frame, **on),
        lambda **on: Embedder(forecaster.model).embed(tiny_frame, **on),
        lambda **on: similar(tiny_frame, window_length=8, **on),
    ]
    for call in calls:
        with pytest.raises(ConfigError, match="got 'abacus'"):
            call(device="abacus")
    assert forecaster.predict(tiny_frame, prediction_length=1, device="cpu").equals(
        forecaster.predict(tiny_frame, prediction_length=1)
    )


def test_a_calibrated_forecaster_hears_of_it_too(tiny_frame: pl.DataFrame) -> None:
    calibrated = calibrate(tiny_frame, prediction_length=1, n_windows=9, device="cpu")
    assert isinstance(calibrated, CalibratedForecaster)
    with pytest.raises(ConfigError, match="got 'abacus'"):
        calibrated.predict(tiny_frame, device="abacus")
    assert calibrated.predict(tiny_frame, device="cpu", progress=False).height == 2


@pytest.mark.parametrize("task", [Detector, Embedder, Forecaster, Imputer])
@pytest.mark.usefixtures("as_users_call")
def test_the_name_of_a_model_is_led_to_what_loads_it(task) -> None:
    remedy = rf"got 'tsfm-small'; load one .* tsfm\.{task.__name__}\.from_pretrained"
    with pytest.raises(ConfigError, match=remedy):
        task("tsfm-small")
    with pytest.raises(ConfigError, match="model must be a TimeSeriesModel, got NoneType"):
        task(None)


@pytest.mark.usefixtures("as_users_call")
def test_covariates_go_with_a_forecaster_and_not_with_its_name() -> None:
    remedy = r"got 'tsfm-small'; load one .* tsfm\.CovariateForecaster\.from_pretrained"
    with pytest.raises(ConfigError, match=remedy):
        CovariateForecaster("tsfm-small")
