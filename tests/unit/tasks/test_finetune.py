"""Fine-tuning must help on series unlike the training data, and leave its start as it was."""

import numpy as np
import polars as pl
import pytest
import torch

from tsfm.arguments import a_seed
from tsfm.errors import ConfigError, DataError
from tsfm.models.pretrained import load_pretrained
from tsfm.series.frame import SeriesFrame
from tsfm.series.windows import WindowBatch
from tsfm.tasks.finetune import check_options, finetuned
from tsfm.tasks.forecast import Forecaster
from tsfm.training.policies import Mode
from tsfm.training.pool_stream import PoolStream

CPU = torch.device("cpu")


def odd_series(n_steps: int = 600) -> pl.DataFrame:
    """The squares by 31: a season of a length and a form that no prior has."""
    step = np.arange(n_steps)
    return pl.DataFrame({"timestamp": step, "target": (step**2 % 31).astype(float)})


def error_of(model: Forecaster, frame: pl.DataFrame) -> float:
    future = model.predict(frame.head(500), prediction_length=62)["predictions"].to_numpy()
    return float(np.abs(future - frame["target"].to_numpy()[500:562]).mean())


@pytest.mark.parametrize("mode", ["full", "lora"])
def test_it_learns_what_the_bundled_model_does_not_know(mode: Mode) -> None:
    model = load_pretrained("tsfm-small")
    before = {name: one.clone() for name, one in model.backbone.state_dict().items()}
    frame = odd_series()
    ours = finetuned(
        model,
        SeriesFrame.from_any(frame.head(500)),
        mode=mode,
        steps=15,
        learning_rate=1e-3,
        device=CPU,
        progress=False,
    )
    assert error_of(Forecaster(ours), frame) < 0.95 * error_of(Forecaster(model), frame)
    assert all(torch.equal(one, before[name]) for name, one in model.backbone.state_dict().items())
    assert list(ours.backbone.state_dict()) == list(before)
    assert ours.provenance.details["finetuned"]["mode"] == mode


def test_the_same_seed_gives_the_same_weights() -> None:
    model = load_pretrained("tsfm-small")
    series = SeriesFrame.from_any(odd_series(120))
    first, second = (
        finetuned(model, series, steps=2, device=CPU, seed=3, progress=False).backbone.state_dict()
        for _ in range(2)
    )
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_windows_and_batches_have_the_size_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = []
    call = PoolStream.__call__

    def seen(stream: PoolStream, number: int) -> WindowBatch:
        batch = call(stream, number)
        shapes.append(tuple(batch.values.shape))
        return batch

    monkeypatch.setattr(PoolStream, "__call__", seen)
    Forecaster.from_pretrained("tsfm-small", device="cpu").finetune(
        odd_series(300), steps=1, context_length=64, batch_size=5, progress=False
    )
    assert shapes == [(5, 64, 1)]


def test_too_short_a_series_is_refused() -> None:
    with pytest.raises(DataError, match="more than 32 steps to fine-tune on, got at most 20"):
        finetuned(load_pretrained("tsfm-small"), SeriesFrame.from_any(odd_series(20)), device=CPU)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "all"}, r"mode must be one of \['full', 'gradual', 'head', 'lora'\], got 'all'"),
        ({"steps": 0}, "steps must be a whole number of at least 1, got 0"),
        ({"rank": 0}, "rank must be a whole number of at least 1, got 0"),
        ({"learning_rate": 0.0}, "learning_rate must be a positive number, got 0.0"),
        ({"learning_rate": "x"}, "learning_rate must be a positive number, got 'x'"),
        ({"learning_rate": float("nan")}, "learning_rate must be a positive number, got nan"),
        ({"seed": -1}, r"seed must be a whole number from 0 to 2\*\*63 - 1, got -1"),
        ({"seed": None}, "seed must be a whole number from 0 to .*, got None"),
        ({"seed": 1.5}, "seed must be a whole number from 0 to .*, got 1.5"),
        ({"seed": 2**63}, "seed must be a whole number from 0 to .*, got 9223372036854775808"),
    ],
)
def test_wrong_options_are_refused(options, message) -> None:
    right = {"mode": "full", "steps": 1, "rank": 1, "learning_rate": None, "seed": 0}
    check_options(**right)
    with pytest.raises(ConfigError, match=message):
        check_options(**{**right, **options})


def test_wrong_options_are_refused_before_training() -> None:
    model, series = load_pretrained("tsfm-small"), SeriesFrame.from_any(odd_series(120))
    with pytest.raises(ConfigError, match="steps must be a whole number of at least 1, got -1"):
        finetuned(model, series, steps=-1, device=CPU, progress=False)


def test_data_without_a_value_are_refused() -> None:
    frame = odd_series(120).with_columns(target=pl.lit(None, pl.Float64))
    message = (
        "must have values to fine-tune on, got only missing ones in all 1 items; check target="
    )
    with pytest.raises(DataError, match=message):
        finetuned(load_pretrained("tsfm-small"), SeriesFrame.from_any(frame), device=CPU)


@pytest.mark.parametrize("views", [True, False])
def test_a_fine_tuned_forecaster_looks_at_series_as_the_one_before(views: bool) -> None:
    model = Forecaster(load_pretrained("tsfm-small"), device="cpu", views=views)
    assert model.finetune(odd_series(120), steps=1, progress=False).views is views


@pytest.mark.parametrize("mode", ["head", "lora"])
def test_random_numbers_of_the_caller_are_left_alone(mode: Mode) -> None:
    model = Forecaster.from_pretrained("tsfm-small", device="cpu")
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    model.finetune(odd_series(120), mode=mode, steps=1, progress=False)
    assert torch.equal(torch.rand(3), expected)


def test_a_seed_of_numpy_is_one_that_torch_takes() -> None:
    seed = a_seed(np.int64(3))
    assert type(seed) is int
    assert torch.Generator().manual_seed(seed).initial_seed() == 3
