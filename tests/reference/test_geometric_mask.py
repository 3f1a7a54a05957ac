"""The vectorised masks against the published chain, step by step, in shares and lengths of runs."""

import numpy as np
import pytest
import torch

from tsfm.objectives.masked_values import MaskedValuesConfig, draw_mask

SERIES = 4000


def chain(
    n_series: int, length: int, mean_run: float, share: float, generator: np.random.Generator
) -> np.ndarray:
    """Two states; a hidden run is left with chance 1 / mean_run, a visible one so that the share
    of hidden steps stays what it is at the start."""
    leave_hidden = 1 / mean_run
    leave_visible = leave_hidden * share / (1 - share)
    masks = np.zeros((n_series, length), bool)
    for row in masks:
        hidden = generator.random() < share
        for step in range(length):
            row[step] = hidden
            if generator.random() < (leave_hidden if hidden else leave_visible):
                hidden = not hidden
    return masks


def drawn(length: int, n_series: int = SERIES, **options: float) -> np.ndarray:
    config = MaskedValuesConfig(**options)
    generator = torch.Generator().manual_seed(0)
    masks = draw_mask((n_series // 4, length, 4), config, generator)
    return masks.transpose(1, 2).reshape(-1, length).numpy()


def runs(masks: np.ndarray) -> np.ndarray:
    """Lengths of all hidden runs, cut by the ends of the window."""
    edges = np.diff(np.pad(masks, ((0, 0), (1, 1))).astype(int), axis=1)
    return np.nonzero(edges == -1)[1] - np.nonzero(edges == 1)[1]


def agree(ours: np.ndarray, theirs: np.ndarray) -> bool:
    """Whether two means differ by at most four standard errors."""
    error = np.sqrt(ours.var() / len(ours) + theirs.var() / len(theirs))
    return bool(abs(ours.mean() - theirs.mean()) <= 4 * error)


@pytest.mark.parametrize(("mean_run", "share"), [(3.0, 0.15), (8.0, 0.5), (1.25, 0.2)])
@pytest.mark.parametrize("length", [16, 60])
def test_masks_have_the_law_of_the_chain(mean_run: float, share: float, length: int) -> None:
    ours = drawn(length, mean_run=mean_run, masked_share=share)
    theirs = chain(1500, length, mean_run, share, np.random.default_rng(1))
    assert agree(ours.mean(1), theirs.mean(1))
    assert agree(runs(ours), runs(theirs))
    assert agree(runs(~ours), runs(~theirs))
    for quantile in (0.5, 0.9):
        difference = np.quantile(runs(ours), quantile) - np.quantile(runs(theirs), quantile)
        assert abs(difference) <= 1
    assert agree(ours.any(1), theirs.any(1))
    # Every step alike, the first and the last included.
    for step in (0, length // 2, length - 1):
        assert agree(ours[:, step], theirs[:, step])


@pytest.mark.parametrize(
    ("length", "run", "untouched"), [(16, 2.70, 0.35), (96, 2.96, 0.003), (512, 2.99, 0.0)]
)
def test_the_published_setting_gives_the_known_runs(
    length: int, run: float, untouched: float
) -> None:
    """Shares of runs that the ends of the window cut, and of channels without a hidden step."""
    masks = drawn(length, n_series=8000)
    assert masks.mean() == pytest.approx(0.15, abs=0.004)
    assert runs(masks).mean() == pytest.approx(run, abs=0.04)
    assert (~masks.any(1)).mean() == pytest.approx(untouched, abs=0.02)


def test_independent_steps_have_the_runs_of_coins() -> None:
    config = MaskedValuesConfig(masking="bernoulli", masked_share=0.25)
    masks = draw_mask((4000, 100, 1), config, torch.Generator().manual_seed(0))[..., 0].numpy()
    assert masks.mean() == pytest.approx(0.25, abs=0.005)
    assert runs(masks).mean() == pytest.approx(1 / 0.75, abs=0.02)
    both = masks[:, :-1] & masks[:, 1:]
    assert both.mean() == pytest.approx(0.25**2, abs=0.004)
