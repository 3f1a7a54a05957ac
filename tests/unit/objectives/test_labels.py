"""Labels learned by recipe must be what the scikit-learn estimators learn and load."""

from typing import Any

import numpy as np
import pytest
import torch

from tsfm.errors import ConfigError, DataError
from tsfm.models.tst import Tst, TstConfig
from tsfm.objectives.labels import (
    ClassConfig,
    ClassOfSeries,
    LabelledSamples,
    LabelsConfig,
    ValueOfSeries,
    class_codes,
    standardised_values,
)
from tsfm.objectives.objective import OBJECTIVES, Objective
from tsfm.series.sample_form import SampleForm
from tsfm.series.samples import SampleSet
from tsfm.training.step import TrainingStep

WORDS = ["up", "down", "up", "flat", "down", "up"]
NUMBERS = ["10", "20", "30", "40", "50", "60"]
LENGTH = 9


def labelled(labels: list[str]) -> LabelledSamples:
    values = np.random.default_rng(0).normal(size=(len(labels), 2, LENGTH))
    samples = SampleSet.from_arrays(values, labels)
    scaler = samples.fit_scaler()
    return LabelledSamples(samples.scaled(scaler), scaler, LENGTH)


def backbone() -> Tst:
    sizes = {"d_model": 8, "n_heads": 2, "n_layers": 1, "d_ff": 8, "dropout": 0.0}
    model = Tst(TstConfig(n_channels=2, context_length=LENGTH, **sizes)).eval()
    model.reset_parameters(torch.Generator().manual_seed(0))
    return model


def drawn(objective: Any) -> Any:
    with torch.no_grad():
        for parameter in objective.head.parameters():
            parameter.normal_(0.0, 0.3, generator=torch.Generator().manual_seed(1))
    return objective


def test_the_loss_of_classes_is_the_cross_entropy_of_the_rows_of_the_batch() -> None:
    data, model = labelled(WORDS), backbone()
    objective = drawn(ClassOfSeries(ClassConfig(), model, data))
    rows = np.array([4, 0, 3])
    batch = data.samples.windows(rows, LENGTH)
    loss = objective(model, batch, torch.Generator())
    tokens = model.encode(batch.values, batch.observed, batch.inside)
    chances = objective.head(tokens, batch.inside).softmax(-1)
    truth = torch.tensor([["down", "flat", "up"].index(WORDS[row]) for row in rows])
    expected = -chances[torch.arange(3), truth].log().mean()
    assert loss.total.item() == pytest.approx(expected.item(), rel=1e-5)
    assert loss.count == 3
    assert objective.heads["class"].config.classes == ("down", "flat", "up")
    assert objective.heads["class"].config.loc == tuple(data.scaler.loc.tolist())
    form = SampleForm(scaling="sample")
    formed = ClassOfSeries(ClassConfig(), model, data._replace(form=form))
    assert formed.heads["class"].config.form == form


def test_the_loss_of_values_is_in_units_of_their_deviation() -> None:
    data, model = labelled(NUMBERS), backbone()
    objective = ValueOfSeries(LabelsConfig(), model, data)
    batch = data.samples.windows(np.arange(6), LENGTH)
    assert objective(model, batch, torch.Generator()).total.item() == pytest.approx(1.0)
    config = objective.heads["value"].config
    assert (config.target_loc, config.target_scale) == (
        35.0,
        pytest.approx(np.std(range(10, 61, 10))),
    )
    mean_only = ValueOfSeries(LabelsConfig(pooling="mean"), model, data)
    assert mean_only.head.linear.in_features == 8


def test_smoothing_gives_all_classes_a_share() -> None:
    data, model = labelled(WORDS), backbone()
    batch = data.samples.windows(np.arange(6), LENGTH)
    plain, smooth = (
        drawn(ClassOfSeries(ClassConfig(label_smoothing=share), model, data))(
            model, batch, torch.Generator()
        ).total
        for share in (0.0, 0.3)
    )
    assert not torch.isclose(plain, smooth)


@pytest.mark.parametrize("name", ["class", "value"])
def test_targets_are_not_saved_and_everything_learns(name: str) -> None:
    data, model = labelled(NUMBERS), backbone()
    step = TrainingStep(model, drawn(OBJECTIVES[name](OBJECTIVES[name].Config(), model, data)))
    assert isinstance(step.objective, Objective)
    assert not any("target" in key for key in step.state_dict())
    step(data.samples.windows(np.arange(6), LENGTH), torch.Generator()).total.backward()
    for module in (model.embedding, step.objective.head):
        assert all(parameter.grad.any() for parameter in module.parameters())


def test_codes_and_values_come_with_what_undoes_them() -> None:
    codes, classes = class_codes(np.array([3, 1, 3]))
    assert [classes[code] for code in codes] == [3, 1, 3]
    targets, loc, scale = standardised_values(np.array(["2", "4"]))
    assert (targets.double() * scale + loc).tolist() == [2.0, 4.0]
    assert standardised_values(np.array([5.0, 5.0]))[2] == 1.0


def test_what_cannot_be_learned_is_said() -> None:
    with pytest.raises(DataError, match=r"y must hold numbers, got: .*'up'"):
        standardised_values(np.array(["up"]))
    with pytest.raises(DataError, match=r"y must be finite, got NaN or infinity .* 1 samples"):
        standardised_values(np.array([np.nan, 1.0]))
    with pytest.raises(ConfigError, match="ClassOfSeries needs an Encoder, got Linear; choose"):
        ClassOfSeries(ClassConfig(), torch.nn.Linear(1, 1), labelled(WORDS))
