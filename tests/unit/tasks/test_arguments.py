"""A count that is none must be refused, whatever its type says."""

import numpy as np
import pytest

from tsfm.arguments import at_least_one
from tsfm.errors import ConfigError


@pytest.mark.parametrize("number", [0, -1, 1.0, True, None, "3"])
def test_a_count_is_a_positive_whole_number(number):
    with pytest.raises(
        ConfigError, match=f"n must be a whole number of at least 1, got {number!r}"
    ):
        at_least_one("n", number)


def test_numbers_of_numpy_are_counts():
    assert at_least_one("n", np.int32(3)) == 3
