"""Published numbers hang on where training ends; a step too many is a leak."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsfm.errors import ConfigError
from tsfm.series.pool import train_lengths_of


@given(st.lists(st.integers(0, 10_000), max_size=5), st.sampled_from([0.6, 0.7, 0.9, 1.0]))
def test_training_has_a_step_of_every_series_and_no_more_than_there_are(lengths, share) -> None:
    found = train_lengths_of(np.array(lengths, np.int64), share)
    assert (found <= lengths).all()
    assert (found >= np.minimum(lengths, 1)).all()


def test_a_share_that_is_whole_in_decimals_stays_whole() -> None:
    lengths = np.array([10, 100])
    assert train_lengths_of(lengths, 0.7).tolist() == [7, 70]
    assert train_lengths_of(lengths, 0.57).tolist() == [5, 57]


@pytest.mark.parametrize("share", [0.0, -0.1, 1.2, float("nan")])
def test_training_must_have_a_share(share) -> None:
    with pytest.raises(ConfigError, match=r"train_share must be above 0 and at most 1, got "):
        train_lengths_of(np.array([10]), share)
