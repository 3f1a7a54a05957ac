"""Locks of folders between processes, which leave no file behind and end with their process."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tsfm.errors import ConfigError


@contextmanager
def locked(folder: Path, *, refusal: str | None = None) -> Iterator[None]:
    """Hold a folder, which is made where it is not.

    With a `refusal`, what was made and is still empty in the end goes again: nobody waits for it.

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
    made = [one for one in (folder, *folder.parents) if not one.exists()]
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
        if refusal is not None:
            _remove_empty(made)
        os.close(descriptor)  # and the lock is gone


def _remove_empty(folders: Sequence[Path]) -> None:
    """Remove folders, the innermost first, up to one that holds something."""
    with suppress(OSError):
        for folder in folders:
            folder.rmdir()
