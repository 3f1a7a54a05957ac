"""What a verb leaves behind: its message, one line for whatever went wrong, an exit code."""

import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from cyclopts import CycloptsError

from tsfm.errors import TsfmError, is_panic

DONE, WRONG, USAGE, PARTIAL, INTERRUPTED = 0, 1, 2, 3, 130


def exit_code(run: Callable[[], dict[str, Any] | None]) -> int:
    """Run a verb, print what its report says, and return the exit code."""
    try:
        code = _shown(run())
        sys.stdout.flush()
    except CycloptsError as error:
        verb = " ".join(("tsfm", *(error.command_chain or ())))
        _say(f"{str(error).rstrip('., ')}; see {verb} --help")
        return USAGE
    except BrokenPipeError:
        # The reader left, as `head` does; a closed pipe must not be flushed at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return WRONG
    except (TsfmError, OSError) as error:
        _say(f"error: {error}")
        return WRONG
    except KeyboardInterrupt:
        _say("interrupted")
        return INTERRUPTED
    except BaseException as error:
        if not is_panic(error):
            raise
        _say(f"error: {error}")
        return WRONG
    return code


def _shown(report: dict[str, Any] | None) -> int:
    if report is None:  # help and version
        return DONE
    if report.get("message"):
        print(report["message"])
    if report.get("wrong"):
        _say(f"error: {report['wrong']}")
        return WRONG
    for problem in report.get("failed", ()):
        _say(f"failed: {problem}")
    return PARTIAL if report.get("failed") else DONE


def _say(text: str) -> None:
    one_line = "; ".join(line.strip() for line in text.splitlines() if line.strip())
    print(f"tsfm: {one_line}", file=sys.stderr)


@contextmanager
def own_warnings() -> Iterator[None]:
    """Show this package's warnings as a line each, and hide those meant for its developers."""
    with warnings.catch_warnings():
        if not sys.warnoptions:
            warnings.simplefilter("ignore")
            warnings.filterwarnings("default", module=r"tsfm(\.|$)")
        warnings.showwarning = lambda message, *_, **__: _say(f"warning: {message}")
        yield


@contextmanager
def terminated_is_interrupted() -> Iterator[None]:
    """Treat a request to end as Ctrl-C: what is half done is removed, and the run is closed."""

    def interrupt(_: int, __: FrameType | None) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
