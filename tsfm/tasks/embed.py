"""Embedder: every item of a frame becomes one vector, from the tokens of a trained backbone.

Those from the middle of a decoder know the form of what was read, the last ones what comes next.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from tsfm.arguments import at_least_one, one_of
from tsfm.errors import ConfigError, DataError, UnsupportedError
from tsfm.models.backbone import Encoder
from tsfm.models.model import TimeSeriesModel
from tsfm.models.pretrained import load_pretrained
from tsfm.models.timer import Timer
from tsfm.series.cutoffs import has_values, read_cutoffs, steps_until
from tsfm.series.frame import SeriesFrame
from tsfm.shapes import Bool, Float, Float64, Int, Tensor, ndarray
from tsfm.tasks.arguments import refuse_taken
from tsfm.tasks.forecasting.contexts import Contexts, context_batches
from tsfm.tasks.on_device import OnDevice
from tsfm.tasks.progress import Advance, progress_bar

WINDOWS_AT_ONCE, DEPTH = 4096, 0.6


class Embedder(OnDevice):
    """Turns the recent past of every series into a vector of its shape.

    Level and scale of a series are not part of its embedding: a series and ten times that series
    plus one are the same.

    Parameters
    ----------
    device
        A device that torch knows; ``"auto"`` takes a GPU when there is one.
    depth
        Of the layers of a `Timer`, the share that is read; its default was chosen by
        cross-validation on training samples (``evaluate.part`` of `tsfm evaluate classification`).

    Raises
    ------
    ConfigError
        When there is no such depth.
    UnsupportedError
        When the backbone has no tokens of single channels.

    Examples
    --------
    >>> frame = pl.DataFrame({"timestamp": range(40), "target": [1.0, 2.0] * 20})
    >>> Embedder.from_pretrained("tsfm-small").embed(frame).columns[:3]
    ['item_id', 'e0', 'e1']
    """

    def __init__(
        self, model: TimeSeriesModel, *, device: str = "auto", depth: float = DEPTH
    ) -> None:
        super().__init__(model, device=device)
        mixes_channels = hasattr(model.backbone.config, "n_channels")
        if mixes_channels or not isinstance(model.backbone, Encoder):
            raise UnsupportedError(
                f"a model must have an encoder that reads channels by themselves to embed, got "
                f"{model.name!r}; use 'tsfm-small'"
            )
        if not 0 < depth <= 1:
            raise ConfigError(f"depth must be a share of the layers up to 1, got {depth!r}")
        self.depth = depth

    @staticmethod
    def from_pretrained(
        name: str | Path, *, device: str = "auto", depth: float = DEPTH
    ) -> "Embedder":
        """Load a bundled name, a folder, or ``models:/name@alias``."""
        return Embedder(load_pretrained(name), device=device, depth=depth)

    def embed(
        self,
        data: Any,
        *,
        cutoffs: Sequence[Any] | None = None,
        pooling: str = "mean",
        id_column: str = "item_id",
        timestamp_column: str = "timestamp",
        target: str | Sequence[str] = "target",
        freq: str | None = None,
        calendar: str | None = None,
        context_length: int | None = None,
        batch_size: int = 256,
        device: str = "auto",
        progress: bool | None = None,
    ) -> Any:
        """Return one row per item: id, ``e0``, ``e1`` …; the kind of frame that came in.

        Several targets lie side by side: first all numbers of the first one.

        Parameters
        ----------
        cutoffs
            Stamps; then there is one row per item and cutoff, with a column `cutoff`, made of
            what the item had up to it. An item that begins later has no row. None reads all.
        pooling
            ``"mean"``: of all tokens of the context; ``"last"``: the newest token, which knows
            the most but is nearest to the end.
        context_length
            Steps of the past that are read, at most; the model's own limit is the default.
        device
            Where the model is moved to and stays; ``"auto"`` leaves it where it is.

        Raises
        ------
        ConfigError
            When an argument is wrong.
        DataError
            When the frame breaks a rule, or a series has no value in its context.
        """
        self.move_to(device)
        series = SeriesFrame.from_any(
            data,
            id_column=id_column,
            timestamp_column=timestamp_column,
            target=target,
            freq=freq,
            calendar=calendar,
        )
        longest = self._longest(context_length)
        stamps = None if cutoffs is None else read_cutoffs(series, cutoffs)
        ends = series.lengths[:, None] if stamps is None else steps_until(series, stamps)
        item, place = np.nonzero(ends)
        stop = ends[item, place]
        begin = np.maximum(0, stop - longest)
        bad = np.argwhere(~has_values(series, item, begin, stop))
        if len(bad):
            raise DataError(
                f"item {series.items[int(item[bad[0, 0]])]!r}, column "
                f"{series.targets[bad[0, 1]]!r}: must have a value in its last {longest} steps, "
                "got only missing ones; drop the item"
            )
        with progress_bar(progress, len(item) * len(series.targets), doing="embedding") as advance:
            vectors = self.embed_windows(
                series, item, begin, stop, pooling=pooling, batch_size=batch_size, advance=advance
            )
        names = [f"e{number}" for number in range(vectors.shape[1])]
        refuse_taken(series, names if stamps is None else ["cutoff", *names])
        columns: dict[str, Any] = {series.columns.id: series.items.gather(item)}
        if stamps is not None:
            columns["cutoff"] = stamps.gather(place)
        columns |= {name: vectors[:, number] for number, name in enumerate(names)}
        return series.to_origin(pl.DataFrame(columns))

    def embed_windows(
        self,
        series: SeriesFrame,
        item: Int[ndarray, " window"],
        begin: Int[ndarray, " window"],
        stop: Int[ndarray, " window"],
        *,
        pooling: str = "mean",
        context_length: int | None = None,
        batch_size: int = 256,
        advance: Advance | None = None,
    ) -> Float64[ndarray, "window feature"]:
        """Embed windows of a frame, each from its own steps alone.

        Parameters
        ----------
        begin, stop
            Steps of the item, half open.
        context_length
            Of a longer window the last so many steps are read; by default the model's own limit.

        Raises
        ------
        ConfigError
            When an argument is wrong.
        """
        one_of("pooling", pooling, ("mean", "last"))
        begin = np.maximum(begin, stop - self._longest(context_length))
        width = self.model.backbone.config.d_model
        vectors = np.empty((len(item), width * len(series.targets)))
        for first in range(0, len(item), WINDOWS_AT_ONCE):
            part = slice(first, first + WINDOWS_AT_ONCE)
            start = series.offsets[item[part]]
            lengths = stop[part] - begin[part]
            offsets = np.concatenate([[0], np.cumsum(lengths)])
            rows = np.repeat(start + begin[part] - offsets[:-1], lengths) + np.arange(offsets[-1])
            for channel in range(len(series.targets)):
                vectors[part, channel * width : (channel + 1) * width] = self.embed_arrays(
                    series.values[rows, channel],
                    offsets,
                    pooling=pooling,
                    context_length=int(lengths.max()),
                    batch_size=batch_size,
                )
                if advance is not None:
                    advance(len(lengths))
        return vectors

    def embed_arrays(
        self,
        values: Float64[ndarray, " total_time"],
        offsets: Int[ndarray, " item_and_end"],
        *,
        pooling: str = "mean",
        context_length: int,
        batch_size: int = 256,
    ) -> Float64[ndarray, "item feature"]:
        """Embed series of one channel that lie end to end, NaN where missing."""
        width = self.model.backbone.config.d_model
        result = np.empty((len(offsets) - 1, width))
        for batch in context_batches(
            values,
            offsets,
            context_length=context_length,
            patch_length=self.model.patch_length,
            extra_tokens=0,
            batch_size=at_least_one("batch_size", batch_size),
        ):
            result[batch.rows] = self._read(batch, pooling)
        return result

    def _longest(self, context_length: int | None) -> int:
        if context_length is None:
            return self.model.context_length
        return min(at_least_one("context_length", context_length), self.model.context_length)

    def tokens(
        self,
        values: Float[Tensor, "batch time channel"],
        observed: Bool[Tensor, "batch time channel"],
        inside: Bool[Tensor, "batch time"],
    ) -> Float[Tensor, "batch channel token d_model"]:
        """Return the tokens of windows, as deep in the backbone as is read."""
        backbone: Any = self.model.backbone
        if not isinstance(backbone, Timer):
            tokens: Tensor = backbone.encode(values, observed, inside)
            return tokens
        n_layers = max(1, round(self.depth * backbone.config.n_layers))
        return backbone.encode(values, observed, inside, n_layers=n_layers)

    @torch.inference_mode()
    def _read(self, batch: Contexts, pooling: str) -> Float64[ndarray, "batch feature"]:
        tokens = self.tokens(
            torch.from_numpy(batch.values.astype(np.float32))[..., None].to(self.device),
            torch.from_numpy(batch.observed)[..., None].to(self.device),
            torch.from_numpy(batch.inside).to(self.device),
        )[:, 0]
        pooled = tokens[:, -1] if pooling == "last" else tokens.mean(1)
        vectors: ndarray = pooled.double().cpu().numpy()
        return vectors


def embed(
    data: Any,
    *,
    model: str | Path | Embedder = "tsfm-small",
    cutoffs: Sequence[Any] | None = None,
    pooling: str = "mean",
    id_column: str = "item_id",
    timestamp_column: str = "timestamp",
    target: str | Sequence[str] = "target",
    freq: str | None = None,
    calendar: str | None = None,
    context_length: int | None = None,
    batch_size: int = 256,
    device: str = "auto",
    progress: bool | None = None,
) -> Any:
    """Embed any frame with a bundled model: no network, no fit. See `Embedder.embed`.

    Parameters
    ----------
    model
        A loaded model, or what `Embedder.from_pretrained` loads.

    Examples
    --------
    >>> frame = pl.DataFrame({"timestamp": range(40), "target": [1.0, 2.0] * 20})
    >>> embed(frame).shape
    (1, 193)
    """
    if not isinstance(model, Embedder):
        model = Embedder.from_pretrained(model)
    return model.embed(
        data,
        cutoffs=cutoffs,
        pooling=pooling,
        id_column=id_column,
        timestamp_column=timestamp_column,
        target=target,
        freq=freq,
        calendar=calendar,
        context_length=context_length,
        batch_size=batch_size,
        device=device,
        progress=progress,
    )
