"""A bar that counts series while they are forecast or filled."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Advance = Callable[[int], None]


@contextmanager
def progress_bar(show: bool | None, total: int, *, doing: str = "forecasting") -> Iterator[Advance]:
    """Yield what counts finished series.

    Parameters
    ----------
    show
        None shows the bar only where standard error is a terminal.
    """
    is_terminal = sys.stderr is not None and sys.stderr.isatty()
    if not (is_terminal if show is None else show):
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as TimeLeft

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeLeft())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(doing, total=total)
        yield lambda n_series: bar.advance(task, n_series)
