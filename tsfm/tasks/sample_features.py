"""SampleFeatures: whole samples as features for any scikit-learn head, from a frozen encoder.

Samples of any length are stretched to fixed numbers of steps, so that the parts of a sample lie at
the same tokens as those of another. A causal encoder reads every sample twice, end to end, and the
tokens of the second time are taken: they have seen all of it. Nothing is learned here.
"""

import copy
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from einops import rearrange, reduce
from sklearn.base import BaseEstimator, TransformerMixin

from tsfm.arguments import at_least_one
from tsfm.errors import ConfigError
from tsfm.models.model import TimeSeriesModel
from tsfm.series.samples import SampleSet
from tsfm.shapes import Float, Float64, Tensor, ndarray
from tsfm.tasks.embed import DEPTH, Embedder
from tsfm.tasks.samples.read import COLUMNS, read_samples

# A deviation below so small a share of the largest value is one of rounding.
ROUNDING = 1e-12


class SampleFeatures(TransformerMixin, BaseEstimator):  # type: ignore[misc] # untyped
    """Turns samples into pooled tokens of a frozen encoder, for a head of one's choice.

    Parameters
    ----------
    model
        A bundled name, a folder, an MLflow address, or a model.
    lengths
        Steps to which every sample is stretched, once for each; multiples of the encoder's patch.
    n_segments
        Mean tokens of so many parts of the sample, one after the other.
    with_changes
        Also read the changes from step to step.
    with_size
        Add length, mean and logarithm of the deviation of every channel, which the encoder does
        not see.
    depth
        See `Embedder`.
    id_column, timestamp_column, target, freq
        Columns of a long frame, see `SeriesFrame.from_any`.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> step = np.arange(24)
    >>> waves = [height * np.sin(step / speed) for height in range(1, 9) for speed in (1, 3)]
    >>> head = make_pipeline(SampleFeatures(lengths=(32,)), LogisticRegression())
    >>> head.fit(waves, ["fast", "slow"] * 8).predict(waves[:2]).tolist()
    ['fast', 'slow']
    """

    def __init__(
        self,
        *,
        model: str | Path | TimeSeriesModel = "tsfm-small",
        lengths: Sequence[int] = (128, 512),
        n_segments: int = 1,
        with_changes: bool = True,
        with_size: bool = True,
        depth: float = DEPTH,
        batch_size: int = 64,
        device: str = "auto",
        id_column: str = "item_id",
        timestamp_column: str = "timestamp",
        target: str | Sequence[str] = "target",
        freq: str | None = None,
    ) -> None:
        self.model = model
        self.lengths = lengths
        self.n_segments = n_segments
        self.with_changes = with_changes
        self.with_size = with_size
        self.depth = depth
        self.batch_size = batch_size
        self.device = device
        self.id_column = id_column
        self.timestamp_column = timestamp_column
        self.target = target
        self.freq = freq

    def fit(self, X: Any, y: Any = None) -> "SampleFeatures":  # noqa: N803 (scikit-learn's name)
        """Check the options and the samples; nothing is learned.

        Raises
        ------
        ConfigError
            When a length is no multiple of the patch, or too long for the encoder.
        DataError
            When samples cannot be used.
        UnsupportedError
            When the encoder mixes channels.
        """
        del y
        self._embedder()
        read_samples(X, {name: getattr(self, name) for name in COLUMNS})
        return self

    def transform(self, X: Any) -> Float64[ndarray, "sample feature"]:  # noqa: N803
        """Return one row per sample; `X` as in `SeriesClassifier.fit`."""
        columns = {name: getattr(self, name) for name in COLUMNS}
        return self.of_samples(read_samples(X, columns))

    def of_samples(self, samples: SampleSet) -> Float64[ndarray, "sample feature"]:
        """Return one row per sample of a `SampleSet`."""
        embedder = self._embedder()
        parts = [size_features(samples)] if self.with_size else []
        for length in self.lengths:
            stretched = standardised(stretch(samples, length))
            readings = [stretched]
            if self.with_changes:
                changes = np.diff(stretched, axis=2, prepend=stretched[:, :, :1])
                readings.append(standardised(changes))
            parts += [self._pooled(embedder, reading) for reading in readings]
        return np.concatenate(parts, axis=1)

    def __sklearn_is_fitted__(self) -> bool:
        return True  # there is nothing to fit

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.input_tags.allow_nan = True
        tags.requires_fit = False
        return tags

    def _embedder(self) -> Embedder:
        """Load the encoder, and check the options against it."""
        placed: dict[str, Any] = {"device": self.device, "depth": self.depth}
        if isinstance(self.model, TimeSeriesModel):
            # A caller's model stays as it is, in training or not.
            embedder = Embedder(copy.deepcopy(self.model), **placed)
        else:
            embedder = Embedder.from_pretrained(self.model, **placed)
        patch, longest = embedder.model.patch_length, embedder.model.context_length // 2
        bad = [one for one in self.lengths if one % patch or not 0 < one <= longest]
        if bad or not len(self.lengths):
            raise ConfigError(
                f"lengths must be multiples of the patch of {patch} steps up to {longest}, got "
                f"{list(self.lengths)}; use for example {[4 * patch]}"
            )
        at_least_one("n_segments", self.n_segments)
        at_least_one("batch_size", self.batch_size)
        return embedder

    @torch.inference_mode()
    def _pooled(
        self, embedder: Embedder, reading: Float64[ndarray, "sample channel time"]
    ) -> Float64[ndarray, "sample feature"]:
        n_channels = reading.shape[1]
        windows = rearrange(reading, "sample channel time -> (sample channel) time")
        rows = [
            pool_tokens(tokens, self.n_segments).double().cpu().numpy()
            for tokens in _tokens(embedder, windows, self.batch_size)
        ]
        pooled: ndarray = rearrange(
            np.concatenate(rows),
            "(sample channel) feature -> sample (channel feature)",
            channel=n_channels,
        )
        return pooled


def stretch(samples: SampleSet, length: int) -> Float64[ndarray, "sample channel time"]:
    """Return samples of one length, by lines between their values; missing ones are bridged.

    A channel without values is zero.
    """
    result = np.zeros((len(samples), samples.n_channels, length))
    for number in range(len(samples)):
        part = samples.values[samples.offsets[number] : samples.offsets[number + 1]]
        place = np.linspace(0, len(part) - 1, length)
        for channel, values in enumerate(part.T):
            known = np.flatnonzero(np.isfinite(values))
            if len(known):
                result[number, channel] = np.interp(place, known, values[known])
    return result


def standardised(
    values: Float64[ndarray, "sample channel time"],
) -> Float64[ndarray, "sample channel time"]:
    """Return every channel of every sample with mean 0 and deviation 1; a constant one is 0."""
    # Divided by a power of two, which changes no digit, so that scales have no say.
    exponent = np.frexp(np.abs(values).max(2, keepdims=True))[1]
    centred = np.ldexp(values, -exponent)
    centred = centred - centred.mean(2, keepdims=True)
    spread = centred.std(2, keepdims=True)
    return np.where(spread > ROUNDING, centred / np.maximum(spread, ROUNDING), 0.0)


def size_features(samples: SampleSet) -> Float64[ndarray, "sample feature"]:
    """Return the logarithm of the length, and mean and logarithm of the deviation per channel."""
    columns = [np.log(samples.lengths)[:, None]]
    for channel in samples.values.T:
        known = np.isfinite(channel)
        count = np.maximum(np.add.reduceat(known, samples.offsets[:-1], dtype=np.int64), 1)
        filled = np.where(known, channel, 0.0)
        mean = np.add.reduceat(filled, samples.offsets[:-1]) / count
        centred = np.where(known, channel - np.repeat(mean, samples.lengths), 0.0)
        spread = np.sqrt(np.add.reduceat(centred**2, samples.offsets[:-1]) / count)
        columns += [mean[:, None], np.log(spread + 1e-9)[:, None]]
    return np.concatenate(columns, axis=1)


def pool_tokens(
    tokens: Float[Tensor, "batch token d_model"], n_segments: int
) -> Float[Tensor, "batch feature"]:
    """Return the means of so many parts, and maximum and deviation over all tokens."""
    edges = np.linspace(0, tokens.shape[1], min(n_segments, tokens.shape[1]) + 1).round()
    parts = [tokens[:, int(first) : int(last)].mean(1) for first, last in pairwise(edges)]
    highest = reduce(tokens, "batch token d_model -> batch d_model", "max")
    return torch.cat([*parts, highest, tokens.std(1, unbiased=False)], -1)


def _tokens(
    embedder: Embedder, windows: Float64[ndarray, "window time"], batch_size: int
) -> Iterator[Float[Tensor, "batch token d_model"]]:
    """Yield the tokens of the second reading of every window."""
    n_tokens = windows.shape[1] // embedder.model.patch_length
    for start in range(0, len(windows), batch_size):
        part = np.tile(windows[start : start + batch_size], 2)
        values = torch.from_numpy(part.astype(np.float32)).to(embedder.device)[..., None]
        inside = torch.ones_like(values[..., 0], dtype=torch.bool)
        yield embedder.tokens(values, inside[..., None], inside)[:, 0, n_tokens:]
