"""Features of a day and their scale in a window: prices, moving averages, volume.

The default looks at nothing after the last day of a window. The released normalisation divides by
the maximum over all days, test days included, and so tells how far a price is below its future
high: it is look-ahead, kept for comparison only.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass as plain_dataclass
from typing import Literal

import numpy as np
from pydantic import ConfigDict, PositiveInt
from pydantic.dataclasses import dataclass

from tsfm.errors import ConfigError
from tsfm.shapes import Bool, Float, Float32, Int, ndarray
from tsfm.stocks.columns import FIELDS
from tsfm.stocks.panel import StockPanel, last_known

# Log prices are counted in units of 5 %, a usual move of two weeks, so that inputs are near one.
LOG_PRICE_UNIT = 0.05
# Volume is compared with its own level over so many days (six weeks).
VOLUME_DAYS = 30


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class FeatureConfig:
    """What a day shows of a stock.

    Parameters
    ----------
    columns
        ``"close"``: moving averages of the close, then the close. ``"all"``: the same of open,
        high, low, close and volume.
    averages
        Lengths in trading days; a day without a bar is skipped.
    normalization
        ``"last_close"``: log ratios to the last close of the window, of volume to its usual level
        until then. ``"running_maximum"``: shares of the highest value until the last day of the
        window. ``"whole_maximum"``: shares of the highest value of all days, as released:
        look-ahead.
    """

    columns: Literal["close", "all"] = "close"
    averages: tuple[PositiveInt, ...] = (5, 10, 20, 30)
    normalization: Literal["last_close", "running_maximum", "whole_maximum"] = "last_close"

    @property
    def fields(self) -> tuple[str, ...]:
        """Fields of the panel that are read."""
        return ("close",) if self.columns == "close" else FIELDS

    @property
    def spans(self) -> tuple[int, ...]:
        """Days that each feature is made of: the lengths of the averages, then 1, per field."""
        return (*self.averages, 1) * len(self.fields)

    @property
    def close_channel(self) -> int:
        """Place of the close itself."""
        return (self.fields.index("close") + 1) * (len(self.averages) + 1) - 1

    @property
    def looks_ahead(self) -> bool:
        """Whether a window's features know what comes after it."""
        return self.normalization == "whole_maximum"


@plain_dataclass(frozen=True)
class StockFeatures:
    """Features of all days, and the scale of the window that ends on each.

    Parameters
    ----------
    levels
        Logarithms with ``"last_close"``, else plain values; zero where not observed.
    reference
        Per field, for a window that ends on the day: what is subtracted from the logarithms, or
        divided by. NaN where it is not known.
    first
        Day of the first bar of each stock.
    """

    config: FeatureConfig
    levels: Float32[ndarray, "day stock feature"]
    observed: Bool[ndarray, "day stock feature"]
    reference: Float32[ndarray, "day stock field"]
    first: Int[ndarray, " stock"]

    def window(
        self, day: int, stocks: Int[ndarray, " row"], length: int
    ) -> tuple[
        Float32[ndarray, "row {length} feature"],
        Bool[ndarray, "row {length} feature"],
        Bool[ndarray, "row {length}"],
    ]:
        """Return values, observed and inside of the `length` days that end with `day`."""
        steps = np.arange(day + 1 - length, day + 1)
        inside = (steps >= self.first[stocks, None]) & (steps >= 0)
        place = np.ix_(np.maximum(steps, 0), stocks)
        levels, observed = (x[place].swapaxes(0, 1) for x in (self.levels, self.observed))
        per_field = len(self.config.averages) + 1
        reference = np.repeat(self.reference[day, stocks], per_field, axis=-1)[:, None]
        observed = observed & inside[..., None] & np.isfinite(reference)
        reference = np.where(np.isfinite(reference), reference, 1.0)
        if self.config.normalization == "last_close":
            units = [1.0 if one == "volume" else LOG_PRICE_UNIT for one in self.config.fields]
            values = (levels - reference) / np.repeat(np.array(units, np.float32), per_field)
        else:
            values = levels / reference
        return np.where(observed, values, np.float32(0)), observed, inside


def make_features(panel: StockPanel, config: FeatureConfig, *, first_row: int = 0) -> StockFeatures:
    """Compute the features of every day.

    Parameters
    ----------
    first_row
        Days before it stay unobserved, which saves time when only late windows are asked for;
        those of later days are the same to the bit.

    Raises
    ------
    ConfigError
        When the panel lacks a field.
    """
    lacking = [one for one in config.fields if one not in panel.fields]
    if lacking:
        raise ConfigError(
            f"columns={config.columns!r} needs the fields {list(config.fields)}, got a panel "
            f"without {lacking}; use columns='close'"
        )
    is_log = config.normalization == "last_close"
    spans = (*config.averages, 1)
    shape = (panel.n_days, panel.n_stocks, len(config.fields) * len(spans))
    levels = np.zeros(shape, np.float32)
    reference = np.empty((*shape[:2], len(config.fields)), np.float32)
    observed = np.zeros(shape, bool)
    for place, name in enumerate(config.fields):
        values = panel[name]
        if is_log:  # no volume has no logarithm
            values = np.where(values > 0, values, np.nan)
        is_known = np.isfinite(values[first_row:])
        for number, average in enumerate(moving_averages(values, spans, first_row=first_row)):
            clean = np.where(is_known, average, 1.0)
            column = place * len(spans) + number
            levels[first_row:, :, column] = np.where(
                is_known, np.log(clean) if is_log else clean, 0
            )
            observed[first_row:, :, column] = is_known
        reference[..., place] = _reference(panel, name, values, config)
    has_bar = np.isfinite(panel["close"])
    first = np.where(has_bar.any(axis=0), has_bar.argmax(axis=0), panel.n_days)
    return StockFeatures(config, levels, observed, reference, first)


def moving_averages(
    values: Float[ndarray, "day stock"], spans: Sequence[int], *, first_row: int = 0
) -> Iterator[Float[ndarray, "kept stock"]]:
    """Yield the means of the last days, without the missing; NaN where all of them are.

    Examples
    --------
    >>> values = np.array([[1.0], [np.nan], [3.0], [5.0]])
    >>> [average[:, 0].tolist() for average in moving_averages(values, (2, 1))]
    [[1.0, 1.0, 3.0, 4.0], [1.0, nan, 3.0, 5.0]]
    """
    n_rows, longest = len(values) - first_row, max(spans)
    # Sums of shifted rows: the same to the bit wherever the first row is, unlike running sums.
    shown = values[max(0, first_row + 1 - longest) :]
    unknown = np.full((n_rows + longest - 1 - len(shown), values.shape[1]), np.nan)
    padded = np.concatenate([unknown, shown])
    is_known = np.isfinite(padded)
    padded = np.where(is_known, padded, 0.0)
    total, count = np.zeros((2, n_rows, values.shape[1]))
    averages = {1: values[first_row:]}
    for back in range(longest):
        rows = slice(longest - 1 - back, longest - 1 - back + n_rows)
        total += padded[rows]
        count += is_known[rows]
        if back and back + 1 in spans:
            average = total / np.maximum(count, 1)
            averages[back + 1] = np.where(count > 0, average, np.nan)
    for span in spans:
        yield averages[span]


def _reference(
    panel: StockPanel, name: str, values: Float[ndarray, "day stock"], config: FeatureConfig
) -> Float[ndarray, "day stock"]:
    if config.normalization == "whole_maximum":
        return np.broadcast_to(np.fmax.reduce(values, axis=0), values.shape)
    if config.normalization == "running_maximum":
        return np.fmax.accumulate(values, axis=0)
    if name == "volume":
        return next(moving_averages(np.log(values), (VOLUME_DAYS,)))
    return np.log(last_known(panel["close"]))
