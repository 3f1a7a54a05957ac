"""A residual is only right in the units in which it was forecast; these are moved between here."""

import math

import pytest
import torch

from tsfm.models.layers.normalization import CausalNorm, Statistics
from tsfm.models.layers.units import drift, in_units, of_token_before


def statistics(loc: list[float], scale: list[float]) -> Statistics:
    return Statistics(
        torch.tensor([[loc]]), torch.tensor([[scale]]), torch.zeros(3, 1, 1, dtype=torch.float64)
    )


@pytest.mark.parametrize("is_arcsinh", [False, True])
def test_every_token_has_units_of_its_own(is_arcsinh: bool) -> None:
    patches = torch.tensor([[[[3.0, 5.0], [10.0, 0.0]]]])
    observed = torch.tensor([[[[True, True], [True, False]]]])
    found = in_units(patches, observed, statistics([1.0, 4.0], [2.0, 3.0]), is_arcsinh=is_arcsinh)
    expected = torch.tensor([[[[1.0, 2.0], [2.0, 0.0]]]])
    torch.testing.assert_close(found, expected.asinh() if is_arcsinh else expected)


def test_without_a_scale_values_are_only_moved() -> None:
    patches, observed = torch.full((1, 1, 1, 2), 7.0), torch.ones(1, 1, 1, 2).bool()
    found = in_units(patches, observed, statistics([7.0], [0.0]), is_arcsinh=True)
    assert (found == 0).all()


def test_the_first_token_has_nothing_before_it_but_what_was_read_earlier() -> None:
    now = statistics([1.0, 2.0, 3.0], [4.0, 5.0, 6.0])
    before = of_token_before(now, None)
    assert before.loc.flatten().tolist() == [0.0, 1.0, 2.0]
    assert before.scale.flatten().tolist() == [0.0, 4.0, 5.0]
    before = of_token_before(now, statistics([8.0], [9.0]))
    assert before.loc.flatten().tolist() == [8.0, 1.0, 2.0]
    assert before.scale.flatten().tolist() == [9.0, 4.0, 5.0]


def test_drift_is_the_way_from_one_unit_to_the_next() -> None:
    now = statistics([1.0, 4.0, 4.0], [2.0, 6.0, 0.0])
    found = drift(now, of_token_before(now, None))[0, 0]
    assert found[0].tolist() == [0.0, 0.0]
    assert found[1].tolist() == pytest.approx([math.asinh(0.5), math.log(3.0)])
    # A token without a scale has no unit to measure by.
    assert found[2].tolist() == [0.0, 0.0]


def test_drift_does_not_depend_on_the_units_of_the_values() -> None:
    patches = torch.randn(2, 1, 5, 4, generator=torch.Generator().manual_seed(0)).double()
    observed = torch.ones_like(patches, dtype=torch.bool)
    one, other = (CausalNorm()(x, observed) for x in (patches, 100 * patches - 3))
    found = drift(one, of_token_before(one, None))
    torch.testing.assert_close(found, drift(other, of_token_before(other, None)))
    assert found[:, :, 1:].abs().min() > 0
