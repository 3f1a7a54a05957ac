"""A progress bar on a terminal; a line now and then elsewhere would only fill logs."""

import sys

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar


class Progress:
    """Steps done, loss, points per second and time left.

    Parameters
    ----------
    show
        None shows the bar only where standard error is a terminal.
    """

    def __init__(self, total: int, *, show: bool | None = None) -> None:
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[rate]}"),
            console=Console(stderr=True),
            disable=not (sys.stderr.isatty() if show is None else show),
        )
        self._bar.start()
        self._task = self._bar.add_task("training", total=total, rate="")

    def update(self, step: int, loss: float, points_per_second: float) -> None:
        """Show the state after `step` steps."""
        self._bar.update(
            self._task,
            completed=step,
            description=f"loss {loss:.4f}",
            rate=f"{points_per_second / 1e3:,.0f} k points/s",
        )

    def close(self) -> None:
        """Leave the bar as it is and give the terminal back."""
        self._bar.stop()
