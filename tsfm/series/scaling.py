"""One location and scale per series, fitted on its training part only."""

from dataclasses import dataclass

import numpy as np

from tsfm.shapes import Float, Float32, Float64, Int, ndarray

LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class SeriesScaler:
    """Location and scale of every series, in float64.

    `scale` is the population standard deviation; a constant series has scale 1.

    Examples
    --------
    >>> values, offsets = np.array([1.0, 3.0, 100.0, 5.0, 5.0]), np.array([0, 3, 5])
    >>> scaler = SeriesScaler.fit(values, offsets, train_lengths=np.array([2, 2]))
    >>> scaler.loc.tolist(), scaler.scale.tolist()
    ([2.0, 5.0], [1.0, 1.0])
    """

    loc: Float64[ndarray, " item"]
    scale: Float64[ndarray, " item"]

    @staticmethod
    def fit(
        values: Float64[ndarray, " total_time"],
        offsets: Int[ndarray, " item_and_end"],
        train_lengths: Int[ndarray, " item"],
    ) -> "SeriesScaler":
        """Fit on the first `train_lengths` steps of every series; missing values do not count.

        Each series is divided by its largest magnitude first, so that 1e200 does not overflow.
        """
        lengths = np.diff(offsets)
        within = np.arange(len(values)) - np.repeat(offsets[:-1], lengths)
        used = np.isfinite(values) & (within < np.repeat(train_lengths, lengths))
        item = np.repeat(np.arange(len(lengths)), lengths)
        clean = np.where(used, values, 0.0)
        largest = np.zeros(len(lengths))
        np.maximum.at(largest, item, np.abs(clean))
        largest[largest == 0] = 1.0
        clean = clean / largest[item]
        count = np.maximum(np.bincount(item, used, len(lengths)), 1)
        loc = np.bincount(item, clean, len(lengths)) / count
        deviation = np.where(used, clean - loc[item], 0.0)
        scale = np.sqrt(np.bincount(item, deviation**2, len(lengths)) / count)
        flat = scale <= 1e-12 * np.maximum(np.abs(loc), 1e-300)
        return SeriesScaler(loc * largest, np.where(flat, 1.0, scale * largest))

    def transform(
        self, values: Float64[ndarray, " total_time"], offsets: Int[ndarray, " item_and_end"]
    ) -> Float32[ndarray, " total_time"]:
        """Scale series that lie end to end; missing values stay NaN.

        What no float32 can hold becomes its largest number: such values follow a training part
        that was nearly constant.
        """
        lengths = np.diff(offsets)
        with np.errstate(over="ignore"):
            scaled = (values - np.repeat(self.loc, lengths)) / np.repeat(self.scale, lengths)
        return np.clip(scaled, -LARGEST, LARGEST).astype(np.float32)

    def inverse(
        self, values: Float[ndarray, "row time"], item: Int[ndarray, " row"]
    ) -> Float64[ndarray, "row time"]:
        """Bring rows of the series `item` back to their own units."""
        return values.astype(np.float64) * self.scale[item, None] + self.loc[item, None]
