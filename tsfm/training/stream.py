"""What every source of training batches is."""

from typing import Any, NamedTuple, Protocol, runtime_checkable

from tsfm.registry import Registry
from tsfm.series.windows import WindowBatch

STREAMS: Registry[Any] = Registry("data stream")


class DataInput(NamedTuple):
    """Data that a run reads: a name, a digest of the content, and where it is."""

    name: str
    digest: str
    source: str


@runtime_checkable
class BatchStream(Protocol):
    """Batch number -> batch, for training and for validation.

    The same number always gives the same batch, so a run that was stopped goes on with the very
    batches it would have seen; every process of several has batches of its own, but for
    validation the same.
    """

    def __call__(self, number: int) -> WindowBatch:
        """Return training batch `number`."""
        ...

    def validation(self, number: int) -> WindowBatch:
        """Return validation batch `number`, of values that no training batch holds."""
        ...

    @property
    def trained_on(self) -> tuple[str, ...]:
        """Names of the data cards that can be drawn."""
        ...

    @property
    def synthetic_share(self) -> float:
        """Share of the windows that no card stands for."""
        ...

    @property
    def context_length(self) -> int:
        """Steps of the longest window."""
        ...

    @property
    def inputs(self) -> tuple[DataInput, ...]:
        """What is read, for the record."""
        ...
