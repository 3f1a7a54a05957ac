"""Sample sets: whole series with labels, as in the UCR and UEA archives.

A sample is one series of one or more channels; samples may differ in length, and values may be
missing. What is for training and what for the test is as the source says, and never mixed here.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
import torch

from tsfm.errors import DataError
from tsfm.series.cards import load_card, load_dataset
from tsfm.series.convert import to_polars
from tsfm.series.frame import SeriesFrame
from tsfm.series.sample_arrays import as_matrices
from tsfm.series.scaling import SeriesScaler
from tsfm.series.windows import WindowBatch
from tsfm.shapes import Bool, Float64, Int, ndarray

# Columns of a card's file that are no channels.
SUBSET, SPLIT, LABEL = "dataset", "split", "label"


@dataclass(frozen=True)
class SampleSet:
    """Samples that lie end to end, in the order in which they first appear.

    Parameters
    ----------
    values
        NaN where missing; sample i is ``values[offsets[i]:offsets[i + 1]]``.
    is_train
        True for samples that may be trained on.
    labels
        One per sample, text or numbers; None when nothing is known of them.

    Examples
    --------
    >>> samples = SampleSet.from_arrays([[1.0, 2.0, 3.0], [4.0, 5.0]], ["up", "down"])
    >>> len(samples), samples.lengths.tolist(), samples.n_channels
    (2, [3, 2], 1)
    """

    values: Float64[ndarray, "total_time channel"]
    offsets: Int[ndarray, " sample_and_end"]
    is_train: Bool[ndarray, " sample"]
    labels: Any = None

    @staticmethod
    def from_arrays(samples: Any, labels: Any = None) -> "SampleSet":
        """Take samples from arrays, all of them for training.

        Parameters
        ----------
        samples
            An array (sample, time) or (sample, channel, time), or a sequence of arrays (time,) or
            (channel, time) that may differ in length; NaN where missing.

        Raises
        ------
        DataError
            When a sample is empty, infinite, no numbers, or has other channels than the first.
        """
        parts = [part.T for part in as_matrices(samples)]
        values, offsets = np.concatenate(parts), _offsets([len(part) for part in parts])
        infinite = np.isinf(values).any(1)
        if infinite.any():
            row = int(infinite.argmax())
            sample = int(np.searchsorted(offsets, row, "right")) - 1
            raise DataError(
                f"sample {sample} must be finite or NaN where missing, got an infinite value (inf) "
                f"at step {row - offsets[sample]}; make it missing or cap it"
            )
        labels = None if labels is None else np.asarray(labels)
        return SampleSet(values, offsets, np.ones(len(parts), bool), labels)

    @staticmethod
    def from_frame(
        data: Any,
        *,
        label_column: str | None = None,
        split_column: str | None = None,
        id_column: str = "item_id",
        timestamp_column: str = "timestamp",
        target: str | Sequence[str] = "target",
        freq: str | None = None,
    ) -> "SampleSet":
        """Take samples from a long frame of any kind, one row per sample and step.

        Parameters
        ----------
        label_column
            A column with one label per sample.
        split_column
            A column that says ``train`` or ``test``, in any case; without it all are for training.

        Raises
        ------
        DataError
            When the frame breaks a rule of `SeriesFrame`, or a sample has two labels or parts.
        """
        frame, _ = to_polars(data, timestamp_column, id_column)
        series = SeriesFrame.from_any(
            frame, id_column=id_column, timestamp_column=timestamp_column, target=target, freq=freq
        )
        columns = series.columns
        place = {item: number for number, item in enumerate(series.items.to_list())}
        items = frame[columns.id].unique(maintain_order=True) if columns.has_id else series.items
        order = np.array([place[item] for item in items.to_list()])
        samples = SampleSet(series.values, series.offsets, np.ones(len(order), bool)).take(order)
        labels = None if label_column is None else _one_each(frame, columns.id, label_column)
        if split_column is None:
            return replace(samples, labels=labels)
        parts = np.char.lower(_one_each(frame, columns.id, split_column).astype(str))
        unknown = sorted(set(parts.tolist()) - {"train", "test"})
        if unknown:
            raise DataError(f"column {split_column!r} must say train or test, got {unknown}")
        return replace(samples, labels=labels, is_train=parts == "train")

    @staticmethod
    def from_card(name: str) -> "SampleSet":
        """Read a set that has a card; ``card/subset`` names one of several in a file.

        Raises
        ------
        DataError
            When there is no such set, or its card has no labelled samples.
        """
        name, _, subset = name.partition("/")
        card = load_card(name)
        frame = load_dataset(name)
        known = frame.collect_schema().names()
        if SPLIT not in known or LABEL not in known:
            raise DataError(
                f"{name} must have the columns {SPLIT!r} and {LABEL!r}, got {known}; choose a "
                "classification or regression set"
            )
        if SUBSET in known:
            subsets = frame.select(SUBSET).unique().collect()[SUBSET].sort().to_list()
            if subset not in subsets:
                raise DataError(f"{name}/ must be followed by one of {subsets}, got {subset!r}")
            frame = frame.filter(pl.col(SUBSET) == subset)
        elif subset:
            raise DataError(f"{name} is one set, got {name}/{subset}; leave out /{subset}")
        return SampleSet.from_frame(
            frame,
            label_column=LABEL,
            split_column=SPLIT,
            id_column=card.item_id,
            timestamp_column=card.timestamp,
            target=card.channels,
        )

    def __len__(self) -> int:
        return len(self.is_train)

    @property
    def lengths(self) -> Int[ndarray, " sample"]:
        """Steps of every sample."""
        return np.diff(self.offsets)

    @property
    def n_channels(self) -> int:
        """Values per step."""
        return self.values.shape[1]

    @property
    def train(self) -> "SampleSet":
        """The samples for training."""
        return self.take(np.flatnonzero(self.is_train))

    @property
    def test(self) -> "SampleSet":
        """The samples for the test."""
        return self.take(np.flatnonzero(~self.is_train))

    def take(self, rows: Int[ndarray, " chosen"]) -> "SampleSet":
        """Return the samples `rows`, in this order."""
        lengths = self.lengths[rows]
        offsets = _offsets(lengths)
        moved = np.repeat(self.offsets[:-1][rows] - offsets[:-1], lengths)
        values = self.values[moved + np.arange(offsets[-1])]
        labels = None if self.labels is None else self.labels[rows]
        return SampleSet(values, offsets, self.is_train[rows], labels)

    def fit_scaler(self) -> SeriesScaler:
        """Return location and scale of every channel over all steps of all samples here."""
        n_steps = len(self.values)
        offsets = np.arange(self.n_channels + 1) * n_steps
        return SeriesScaler.fit(self.values.T.ravel(), offsets, np.diff(offsets))

    def scaled(self, scaler: SeriesScaler) -> "SampleSet":
        """Return the samples with every channel less its location, divided by its scale."""
        offsets = np.arange(self.n_channels + 1) * len(self.values)
        scaled = scaler.transform(self.values.T.ravel(), offsets).astype(np.float64)
        return replace(self, values=scaled.reshape(self.n_channels, -1).T.copy())

    def windows(self, rows: Int[ndarray, " chosen"], window_length: int) -> WindowBatch:
        """Return whole samples, padded on the left; of longer ones the last steps."""
        ends = self.offsets[1:][rows]
        step = np.arange(window_length) - window_length
        inside = step >= -self.lengths[rows][:, None]
        values = self.values[np.where(inside, ends[:, None] + step, 0)].astype(np.float32)
        observed = np.isfinite(values) & inside[..., None]
        return WindowBatch(
            torch.from_numpy(np.where(observed, values, np.float32(0))),
            torch.from_numpy(observed),
            torch.from_numpy(inside),
            torch.from_numpy(np.asarray(rows, np.int64)),
        )


def held_out(
    labels: Any, share: float, generator: np.random.Generator
) -> tuple[Int[ndarray, " kept"], Int[ndarray, " held"]]:
    """Split samples into those to fit on and those to choose a model by.

    In the order of their labels one of every ``1 / share`` is held out, at random within each such
    block, so that classes and sizes of a target are alike in both. A class of one sample is fitted
    on. Too few samples for a block are all fitted on.

    Examples
    --------
    >>> fitted, held = held_out(np.array(["a", "b"] * 10), 0.2, np.random.default_rng(0))
    >>> np.sort(np.array(["a", "b"] * 10)[held]).tolist()
    ['a', 'a', 'b', 'b']
    """
    _, code, count = np.unique(labels, return_inverse=True, return_counts=True)
    is_class = len(count) < len(code)
    shuffled = generator.permutation(len(code))
    order = shuffled[np.argsort(code[shuffled], kind="stable")]
    if is_class:
        order = order[count[code[order]] > 1]
    block = max(2, round(1 / share)) if share > 0 else len(code) + 1
    n_blocks = len(order) // block
    within = generator.integers(0, block, n_blocks)
    held = np.sort(order[np.arange(n_blocks) * block + within])
    return np.setdiff1d(np.arange(len(code)), held), held


def _one_each(frame: pl.DataFrame, id_column: str, column: str) -> ndarray:
    """Return the one value that `column` has for every sample, in order of appearance."""
    if column not in frame.columns:
        raise DataError(f"column {column!r} must be there, got {frame.columns}")
    if id_column not in frame.columns:
        frame = frame.with_columns(pl.lit("0").alias(id_column))
    facts = frame.group_by(id_column, maintain_order=True).agg(
        pl.col(column).first().alias("first"),
        pl.col(column).n_unique().alias("count"),
        pl.col(column).null_count().alias("missing"),
    )
    bad = facts.filter((pl.col("count") > 1) | (pl.col("missing") > 0))
    if len(bad):
        raise DataError(
            f"item {bad[id_column][0]!r}, column {column!r}: must have one value on all rows, got "
            f"{bad['count'][0]} with {bad['missing'][0]} missing ({len(bad)} such items)"
        )
    values = facts["first"].to_list()
    return np.asarray(values)


def _offsets(lengths: Any) -> Int[ndarray, " sample_and_end"]:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
