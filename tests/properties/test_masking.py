"""Whatever the shape and the options, a mask is what its options say."""

from typing import Any

import torch
from hypothesis import given
from hypothesis import strategies as st

from tsfm.objectives.masked_values import MaskedValuesConfig, draw_mask


@st.composite
def options(draw: st.DrawFn) -> dict[str, Any]:
    share = draw(st.floats(0.01, 0.9))
    return {
        "masked_share": share,
        "mean_run": draw(st.floats(1.0001, 40.0)) / (1 - share),
        "masking": draw(st.sampled_from(["geometric", "bernoulli"])),
        "synchronous": draw(st.booleans()),
    }


def draw_one(shape: tuple[int, int, int], values: dict[str, Any], seed: int) -> torch.Tensor:
    return draw_mask(shape, MaskedValuesConfig(**values), torch.Generator().manual_seed(seed))


@given(
    values=options(),
    shape=st.tuples(st.integers(1, 5), st.integers(1, 40), st.integers(1, 4)),
    seed=st.integers(0, 2**31),
)
def test_a_mask_has_the_shape_of_the_batch_and_repeats(
    values: dict[str, Any], shape: tuple[int, int, int], seed: int
) -> None:
    mask = draw_one(shape, values, seed)
    assert mask.shape == shape
    assert mask.dtype == torch.bool
    assert torch.equal(mask, draw_one(shape, values, seed))
    if values["synchronous"]:
        assert torch.equal(mask.any(-1), mask.all(-1))


@given(values=options(), seed=st.integers(0, 2**31))
def test_chances_of_leaving_a_run_are_those_of_the_chain(values: dict[str, Any], seed: int) -> None:
    """Over 200,000 steps each chance lies within six standard errors, and steps are exchangeable
    between channels."""
    mask = draw_one((2000, 100, 1), values, seed)[..., 0]
    share = values["masked_share"]
    leaves = 1 / values["mean_run"] if values["masking"] == "geometric" else 1 - share
    for before, chance in ((True, leaves), (False, leaves * share / (1 - share))):
        here = mask[:, :-1] == before
        n_steps = int(here.sum())
        left = ((mask[:, 1:] != before) & here).sum() / max(n_steps, 1)
        spread = (chance * (1 - chance) / max(n_steps, 1)) ** 0.5
        assert abs(left - chance) < 6 * spread + 2 / max(n_steps, 1)
    start = mask[:, 0].float().mean()
    assert abs(start - share) < 6 * (share * (1 - share) / len(mask)) ** 0.5
