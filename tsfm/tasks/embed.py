"""Embedder: every item of a frame becomes one vector, from the tokens of a trained backbone."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from tsfm.errors import ConfigError, DataError, UnsupportedError
from tsfm.models.backbone import Encoder
from tsfm.models.model import TimeSeriesModel
from tsfm.models.pretrained import load_pretrained, save_pretrained
from tsfm.series.frame import SeriesFrame
from tsfm.shapes import Float64, Int, ndarray
from tsfm.tasks.arguments import at_least_one, find_device, refuse_taken
from tsfm.tasks.contexts import Contexts, context_batches, has_value
from tsfm.tasks.progress import progress_bar


class Embedder:
    """Turns the recent past of every series into a vector of its shape.

    Level and scale of a series are not part of its embedding: a series and ten times that series
    plus one are the same.

    Parameters
    ----------
    device
        A device that torch knows; ``"auto"`` takes a GPU when there is one.

    Raises
    ------
    UnsupportedError
        When the backbone has no tokens of single channels.

    Examples
    --------
    >>> frame = pl.DataFrame({"timestamp": range(40), "target": [1.0, 2.0] * 20})
    >>> Embedder.from_pretrained("tsfm-small").embed(frame).columns[:3]
    ['item_id', 'e0', 'e1']
    """

    def __init__(self, model: TimeSeriesModel, *, device: str = "auto") -> None:
        mixes_channels = hasattr(model.backbone.config, "n_channels")
        if mixes_channels or not isinstance(model.backbone, Encoder):
            raise UnsupportedError(
                f"a model must have an encoder that reads channels by themselves to embed, got "
                f"{model.name!r}; use 'tsfm-small'"
            )
        self.device = find_device(device)
        self.model = model.eval().to(self.device)

    @staticmethod
    def from_pretrained(name: str | Path, *, device: str = "auto") -> "Embedder":
        """Load a bundled name, a folder, or ``models:/name@alias``."""
        return Embedder(load_pretrained(name), device=device)

    def save_pretrained(self, folder: str | Path) -> Path:
        """Write the model to a folder."""
        return save_pretrained(self.model, folder)

    def embed(
        self,
        data: Any,
        *,
        pooling: str = "mean",
        id_column: str = "item_id",
        timestamp_column: str = "timestamp",
        target: str | Sequence[str] = "target",
        freq: str | None = None,
        calendar: str | None = None,
        context_length: int | None = None,
        batch_size: int = 256,
        progress: bool | None = None,
    ) -> Any:
        """Return one row per item: id, ``e0``, ``e1`` …; the kind of frame that came in.

        Several targets lie side by side: first all numbers of the first one.

        Parameters
        ----------
        pooling
            ``"mean"``: of all tokens of the context; ``"last"``: the newest token, which knows
            the most but is nearest to the end.
        context_length
            Steps of the past that are read, at most; the model's own limit is the default.

        Raises
        ------
        ConfigError
            When an argument is wrong.
        DataError
            When the frame breaks a rule, or a series has no value in its context.
        """
        series = SeriesFrame.from_any(
            data,
            id_column=id_column,
            timestamp_column=timestamp_column,
            target=target,
            freq=freq,
            calendar=calendar,
        )
        if pooling not in ("mean", "last"):
            raise ConfigError(f"pooling must be 'mean' or 'last', got {pooling!r}")
        longest = self.model.context_length
        if context_length is not None:
            longest = min(at_least_one("context_length", context_length), longest)
        known = has_value(series.values, series.offsets, longest)
        if not known.all():
            item, channel = (int(found[0]) for found in np.nonzero(~known))
            raise DataError(
                f"item {series.items[item]!r}, column {series.targets[channel]!r}: must have a "
                f"value in its last {longest} steps, got only missing ones; drop the item"
            )
        with progress_bar(progress, known.size) as advance:
            parts = []
            for channel in range(known.shape[1]):
                parts.append(
                    self.embed_arrays(
                        np.ascontiguousarray(series.values[:, channel]),
                        series.offsets,
                        pooling=pooling,
                        context_length=longest,
                        batch_size=batch_size,
                    )
                )
                advance(len(known))
        vectors = np.concatenate(parts, axis=1)
        names = [f"e{number}" for number in range(vectors.shape[1])]
        refuse_taken(series, names)
        columns = {name: vectors[:, number] for number, name in enumerate(names)}
        return series.to_origin(pl.DataFrame({series.columns.id: series.items, **columns}))

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

    @torch.inference_mode()
    def _read(self, batch: Contexts, pooling: str) -> Float64[ndarray, "batch feature"]:
        tokens = self.model.backbone.encode(
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
    model: str | Path = "tsfm-small",
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

    Examples
    --------
    >>> frame = pl.DataFrame({"timestamp": range(40), "target": [1.0, 2.0] * 20})
    >>> embed(frame).shape
    (1, 193)
    """
    return Embedder.from_pretrained(model, device=device).embed(
        data,
        pooling=pooling,
        id_column=id_column,
        timestamp_column=timestamp_column,
        target=target,
        freq=freq,
        calendar=calendar,
        context_length=context_length,
        batch_size=batch_size,
        progress=progress,
    )
