"""The sets of TST's table: samples, their form, and how long they are learned."""

import argparse
from typing import NamedTuple

import numpy as np

from tsfm.series.sample_form import SampleForm
from tsfm.series.samples import SampleSet

REGRESSION = ("uea_cardanosentiment",)
MOST_TOKENS = 32


class Problem(NamedTuple):
    """One set, and how long it is trained on."""

    name: str
    train: SampleSet
    test: SampleSet
    is_regression: bool
    patch_length: int
    samples_per_batch: int
    epochs: int
    form: SampleForm = SampleForm()

    @property
    def target(self) -> np.ndarray:
        """What is learned."""
        return self.train.labels.astype(float) if self.is_regression else self.train.labels

    @property
    def facts(self) -> dict[str, str]:
        """What every score of the set has."""
        metric = "rmse" if self.is_regression else "accuracy"
        return {"dataset": self.name, "setting": "test", "metric": metric}


def read(name: str, options: argparse.Namespace) -> Problem:
    """Read a set and decide on the length of its training."""
    samples = SampleSet.from_card(name)
    train, test = samples.train, samples.test
    if options.smoke:
        train, test = (
            part.take(np.arange(0, len(part), len(part) // 24)) for part in (train, test)
        )
    size = 16 if len(train) < 200 else 32
    per_epoch = -(-len(train) // size)
    return Problem(
        name,
        train,
        test,
        is_regression=name in REGRESSION,
        patch_length=patch_length(train),
        samples_per_batch=size,
        epochs=-(-options.steps // per_epoch),
    )


def formed_as(problem: Problem, form: SampleForm) -> Problem:
    """Return the problem with samples to be read in a form; they are not changed here."""
    return problem._replace(form=form, patch_length=patch_length(form.of(problem.train)))


def patch_length(samples: SampleSet) -> int:
    """Return the steps per token that make few enough of them."""
    return -(-int(samples.lengths.max()) // MOST_TOKENS)


def score(problem: Problem, found: np.ndarray) -> float:
    """Return accuracy or RMSE on the test samples."""
    if problem.is_regression:
        return float(np.sqrt(np.mean((found - problem.test.labels.astype(float)) ** 2)))
    return float((found == problem.test.labels).mean())
