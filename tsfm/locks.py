"""Locks of folders between processes, which leave no file behind and end with their process."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tsfm.errors import ConfigError


@contextmanager
def locked(folder: Path, *, refusal: str | None = None) -> Iterator[None]:
    """Hold a folder, which is made where it is not.

    Windows and some network file systems have no such locks; nothing is held there.

    Parameters
    ----------
    refusal
        What is said when another process holds it; None waits for that one.

    Raises
    ------
    ConfigError
        When another process holds it, and there is a `refusal`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if os.name == "nt":
        yield
        return
    from fcntl import LOCK_EX, LOCK_NB, flock

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            flock(descriptor, LOCK_EX if refusal is None else LOCK_EX | LOCK_NB)
        except BlockingIOError:
            raise ConfigError(str(refusal)) from None
        except OSError:  # a file system without locks
            pass
        yield
    finally:
        os.close(descriptor)  # and the lock is gone
