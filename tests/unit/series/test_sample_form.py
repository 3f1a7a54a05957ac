"""The form of a sample must not depend on its size, and nothing of the size may be lost."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tsfm.series.sample_form import SampleForm
from tsfm.series.samples import SampleSet

NAN = float("nan")
BY_SAMPLE = SampleForm(scaling="sample")


def wave(length: int, scale: float = 1.0, level: float = 0.0) -> np.ndarray:
    step = np.arange(length)
    return np.stack([level + scale * np.sin(step / 3), scale * np.cos(step / 2)])


def of(form: SampleForm, *samples: Any) -> list[np.ndarray]:
    """Samples as (channel, time)."""
    found = form.of(SampleSet.from_arrays(list(samples)))
    return np.split(found.values.T, found.offsets[1:-1], axis=1)


@given(scale=st.floats(1e-6, 1e6), level=st.floats(-1e3, 1e3))
def test_scale_and_level_are_beside_the_form_and_give_the_sample_back(
    scale: float, level: float
) -> None:
    plain, found = of(BY_SAMPLE, wave(20), wave(20, scale, level * scale))
    np.testing.assert_allclose(found[:2], plain[:2], atol=1e-6)
    np.testing.assert_allclose(found[:2].std(1), 1)
    np.testing.assert_allclose(found[4:, 0] - plain[4:, 0], np.log(scale), atol=1e-6)
    back = found[:2] * np.exp(found[4:]) + found[2:4]
    np.testing.assert_allclose(back, wave(20, scale, level * scale), atol=1e-6 * scale * 1e3)


def test_no_sample_has_an_influence_on_another() -> None:
    form = SampleForm(scaling="sample", stretched_to=16)
    first, _ = of(form, wave(20), wave(9))
    again, _ = of(form, wave(20), 1e5 * wave(33))
    np.testing.assert_array_equal(first, again)


def test_what_does_not_vary_is_zero_and_says_so_by_a_missing_scale() -> None:
    (found,) = of(BY_SAMPLE, np.full((1, 5), 0.1))
    np.testing.assert_array_equal(found, [[0.0] * 5, [0.1] * 5, [NAN] * 5])


def test_what_is_missing_stays_missing_and_counts_for_nothing() -> None:
    (found,) = of(BY_SAMPLE, [[1.0, NAN, 3.0], [NAN, NAN, NAN]])
    expected = [[-1, NAN, 1], [NAN] * 3, [2] * 3, [NAN] * 3, [0] * 3, [NAN] * 3]
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("length", [1, 7, 16, 40])
def test_a_stretched_sample_keeps_its_ends_and_its_length_is_beside_it(length: int) -> None:
    (found,) = of(SampleForm(stretched_to=16), wave(length))
    assert found.shape == (3, 16)
    np.testing.assert_allclose(found[:2, 0], wave(length)[:, 0])
    np.testing.assert_allclose(found[:2, -1], wave(length)[:, -1])
    np.testing.assert_allclose(found[2], np.log(length))


def test_a_line_stays_a_line_at_every_length() -> None:
    (found,) = of(SampleForm(stretched_to=7), np.arange(12.0)[None])
    np.testing.assert_allclose(found[0], np.linspace(0, 11, 7))


def test_between_two_steps_one_of_which_is_missing_is_nothing_known() -> None:
    (found,) = of(SampleForm(stretched_to=5), [[0.0, NAN, 2.0]])
    np.testing.assert_array_equal(found[0], [0, NAN, NAN, NAN, 2])
    (same,) = of(SampleForm(stretched_to=3), [[0.0, NAN, 2.0]])
    np.testing.assert_array_equal(same[0], [0, NAN, 2])


@pytest.mark.parametrize("scaling", ["set", "sample"])
@pytest.mark.parametrize("stretched_to", [None, 8])
def test_channels_are_as_many_as_said(scaling: Any, stretched_to: int | None) -> None:
    form = SampleForm(scaling=scaling, stretched_to=stretched_to)
    samples = SampleSet.from_arrays([wave(12), wave(20)], ["up", "down"])
    found = form.of(samples)
    assert found.n_channels == form.n_channels(2)
    assert found.labels.tolist() == ["up", "down"]
    if form == SampleForm():
        np.testing.assert_array_equal(found.values, samples.values)


@pytest.mark.parametrize("wrong", [{"scaling": "window"}, {"stretched_to": 0}])
def test_options_are_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        SampleForm(**wrong)
