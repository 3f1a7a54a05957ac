"""Which epoch is delivered is decided on samples that were held out: else the last one would be."""

from collections.abc import Callable

import numpy as np
import pytest

from tsfm.errors import NonFiniteLossError
from tsfm.series.samples import held_out
from tsfm.tasks.classify import SeriesClassifier, SeriesRegressor

Draw = Callable[..., tuple[list[np.ndarray], np.ndarray]]
MakeClassifier = Callable[..., SeriesClassifier]
MakeRegressor = Callable[..., SeriesRegressor]


def seed_of(random_state: int) -> int:
    return int(np.random.RandomState(random_state).randint(np.iinfo(np.int32).max))


def test_the_epoch_is_chosen_on_held_out_samples_and_patience_ends_the_run(
    problem: Draw, classifier: MakeClassifier
) -> None:
    samples, labels = problem()
    options = {"max_epochs": 60, "patience": 5, "kernel_length": 1}
    found = classifier(**options, refit=False).fit(samples, labels)
    errors = [(e["validation_error"], e["validation_loss"]) for e in found.history_]
    best = errors.index(min(errors))
    assert len(errors) == best + 1 + 5 < 60
    _, held = held_out(labels, 0.2, np.random.default_rng([seed_of(0), 0]))
    chances = found.predict_proba([samples[row] for row in held])
    truth = np.searchsorted(found.classes_, labels[held])
    loss = -np.log(chances[np.arange(len(held)), truth]).mean()
    assert loss == pytest.approx(errors[best][1], rel=0.01)


def test_without_a_held_out_part_the_last_epoch_is_taken(
    problem: Draw, classifier: MakeClassifier
) -> None:
    found = classifier(validation_share=0.0, max_epochs=3).fit(*problem(20))
    assert [set(entry) for entry in found.history_] == [{"train_loss"}] * 3


def test_after_the_choice_all_samples_are_learned_for_so_many_epochs(
    problem: Draw, classifier: MakeClassifier
) -> None:
    samples, labels = problem()
    _, held = held_out(labels, 0.2, np.random.default_rng([seed_of(0), 0]))
    options = {"max_epochs": 20, "patience": 5}
    chosen = classifier(**options).fit(samples, labels)
    best = chosen.model_.provenance.details["fitted"]["epochs"]
    errors = [(e["validation_error"], e["validation_loss"]) for e in chosen.history_]
    assert best == 1 + errors.index(min(errors))
    again = classifier(validation_share=0.0, max_epochs=best).fit(samples, labels)
    assert (again.predict_proba(samples) == chosen.predict_proba(samples)).all()
    alone = classifier(**options, refit=False).fit(samples, labels)
    assert not np.allclose(alone.predict_proba(samples), chosen.predict_proba(samples))
    scale = chosen.model_.heads["class"].config.scale
    assert scale != alone.model_.heads["class"].config.scale
    assert len(held) == 12


def test_where_nothing_is_learned_the_refit_keeps_the_mean(regressor: MakeRegressor) -> None:
    generator = np.random.default_rng(0)
    samples, target = generator.normal(size=(30, 10)), generator.normal(size=30)
    options = {"learning_rate": 0.1, "patience": 1}
    fits = [regressor(**options, random_state=seed) for seed in range(4)]
    found = [fit.fit(samples, target) for fit in fits]
    still = [fit for fit in found if not fit.model_.provenance.details["fitted"]["epochs"]]
    assert still
    np.testing.assert_allclose(still[0].predict(samples), target.mean())


def test_on_the_held_out_samples_it_is_never_worse_than_their_mean(
    regressor: MakeRegressor,
) -> None:
    """A target of pure noise: whatever is learned, the start takes part in the choice."""
    generator = np.random.default_rng(0)
    samples, target = generator.normal(size=(30, 10)), generator.normal(size=30)
    n_means = 0
    for seed in range(4):
        options = {"learning_rate": 0.1, "patience": 1, "random_state": seed, "refit": False}
        found = regressor(**options).fit(samples, target).predict(samples)
        _, held = held_out(target, 0.2, np.random.default_rng([seed_of(seed), 0]))
        error, of_mean = ((guess - target)[held] for guess in (found, target.mean()))
        assert (error**2).mean() <= (of_mean**2).mean() * 1.001
        n_means += found.std() < 1e-6
    assert n_means > 0


@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_changed_samples_still_teach_the_classes(
    problem: Draw, classifier: MakeClassifier, strength: float
) -> None:
    found = classifier(augmentation=strength, max_epochs=30).fit(*problem())
    assert found.score(*problem(seed=1)) > 0.9


def test_a_loss_that_is_not_finite_ends_the_training(
    problem: Draw, classifier: MakeClassifier
) -> None:
    with pytest.raises(NonFiniteLossError, match=r"must be finite, got .*in epoch \d+; lower lear"):
        classifier(learning_rate=1e30, norm="layer").fit(*problem(20))
