"""Callers catch either our family or the built-in they know."""

import pytest

from tsfm import errors


@pytest.mark.parametrize(
    ("error", "built_in"),
    [
        (errors.ConfigError, ValueError),
        (errors.DataError, ValueError),
        (errors.CheckpointError, RuntimeError),
        (errors.NotCalibratedError, RuntimeError),
        (errors.UnsupportedError, NotImplementedError),
        (errors.NonFiniteLossError, RuntimeError),
    ],
)
def test_an_error_is_caught_as_ours_and_as_the_built_in(
    error: type[Exception], built_in: type[Exception]
) -> None:
    assert issubclass(error, errors.TsfmError)
    assert issubclass(error, built_in)
