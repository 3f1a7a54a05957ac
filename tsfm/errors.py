"""Every error of this package is a `TsfmError`, and also the built-in a caller would expect."""

from typing import Any


class TsfmError(Exception):
    """Base of all errors raised on purpose by this package."""


class ConfigError(TsfmError, ValueError):
    """Raised when a recipe, an option or an argument is wrong."""


class DataError(TsfmError, ValueError):
    """Raised when a frame or a file breaks a rule; names file, item, column, stamp and remedy."""


class OffGridError(DataError):
    """Raised when stamps lie on no regular grid, or so far apart that it is mostly gaps."""


class CheckpointError(TsfmError, RuntimeError):
    """Raised when a checkpoint cannot be found, read or matched to the code."""


class NotCalibratedError(TsfmError, RuntimeError):
    """Raised when quantiles are asked of a point model that was never calibrated."""


class UnsupportedError(TsfmError, NotImplementedError):
    """Raised when a model or an optional package cannot do what was asked."""


class NonFiniteLossError(TsfmError, RuntimeError):
    """Raised when a training loss is not finite; names step, items and the last finite loss."""


def problems_of(error: Any) -> str:
    """Return in one line what pydantic found wrong with options, key by key."""
    found = [(".".join(map(str, one["loc"])), one["msg"]) for one in error.errors()]
    words = [(key, text.removeprefix("Value error, ")) for key, text in found]
    return "; ".join(f"{key}: {text}" if key else text for key, text in words)


def is_panic(error: BaseException) -> bool:
    """Say whether a library written in Rust gave up, whose error is no `Exception`."""
    return type(error).__name__ == "PanicException"
