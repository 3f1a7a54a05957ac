"""Cross-sections as training batches: one day, one batch."""

from dataclasses import field, replace
from pathlib import Path

import numpy as np
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from tsfm.errors import ConfigError, DataError
from tsfm.series.cards import file_digest, load_card
from tsfm.series.find_files import find_files
from tsfm.shapes import Int, ndarray
from tsfm.stocks.cross_sections import CrossSections, SectionConfig, cross_sections
from tsfm.stocks.panel import Day, StockBatch, StockPanel
from tsfm.stocks.panel_file import is_file, read_panel_file
from tsfm.stocks.simulation import SimulationConfig, simulated_panel
from tsfm.stocks.split import SplitConfig, SplitDays, split_days
from tsfm.training.stream import STREAMS, DataInput

SIMULATED = "simulated"


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class PanelConfig:
    """Which bars are read.

    Parameters
    ----------
    dataset
        A card of stocks, a file, folder or pattern of your own as `read_panel_file` reads it, or
        ``"simulated"`` for the panel of `simulation`.
    start, end
        First and last day, both included; days before the first window fill the averages.
    calendar
        Exchange code such as ``"XNYS"``, whose sessions the days are; None takes those of the data.
    """

    dataset: str = SIMULATED
    start: Day | None = None
    end: Day | None = None
    calendar: str | None = None
    simulation: SimulationConfig = field(default_factory=SimulationConfig)


def located(config: PanelConfig) -> PanelConfig:
    """Return the same panel with its files named from the root, as a run is recorded.

    So it is found again from another folder, and two files of one name are two panels.
    """
    if "://" in config.dataset or not is_file(config.dataset):
        return config
    return replace(config, dataset=str(Path(config.dataset).absolute()))


def read_panel(config: PanelConfig) -> StockPanel:
    """Return the panel of a config."""
    if is_file(config.dataset):
        return read_panel_file(
            config.dataset, start=config.start, end=config.end, calendar=config.calendar
        )
    if config.dataset != SIMULATED:
        return StockPanel.from_card(
            config.dataset, start=config.start, end=config.end, calendar=config.calendar
        )
    if config.calendar is not None:
        raise ConfigError(
            f"panel.calendar must be left out of a simulated panel, got {config.calendar!r}; its "
            "days are weekdays"
        )
    panel = simulated_panel(config.simulation)
    if config.start is None and config.end is None:
        return panel
    return panel.between(config.start, config.end)


def panel_inputs(config: PanelConfig) -> tuple[DataInput, ...]:
    """Return what is read of a panel, with the checksum on its card or of its files."""
    if config.dataset == SIMULATED:
        return ()
    if is_file(config.dataset):
        return tuple(
            DataInput(file.name, file_digest(file), str(file))
            for file in find_files(config.dataset)
        )
    card = load_card(config.dataset)
    return (DataInput(card.name, card.sha256, card.source),)


class DayStream:
    """Batch number -> the cross-section of a day; every training day once per epoch.

    Parameters
    ----------
    stocks_per_batch
        A random part of a day's stocks; 0 takes all. With several processes each has so many.
    process
        Every process has an order of its own.
    """

    def __init__(
        self,
        sections: CrossSections,
        split: SplitDays,
        *,
        stocks_per_batch: int = 0,
        seed: int,
        process: int = 0,
    ) -> None:
        self.sections = sections
        self._train = self._with_stocks(split.train)
        self._validation = self._with_stocks(split.validation)
        self._stocks_per_batch = stocks_per_batch
        self._seed = (seed, process)
        self._epoch = (-1, self._train)

    @property
    def batches_per_epoch(self) -> int:
        """Batches until every training day was seen."""
        return len(self._train)

    def __call__(self, number: int) -> StockBatch:
        """Return training batch `number`."""
        epoch, place = divmod(number, len(self._train))
        if self._epoch[0] != epoch:
            generator = np.random.default_rng([*self._seed, 0, epoch])
            self._epoch = (epoch, generator.permutation(self._train))
        day = int(self._epoch[1][place])
        stocks = np.flatnonzero(self.sections.eligible[day])
        if 0 < self._stocks_per_batch < len(stocks):
            generator = np.random.default_rng([*self._seed, 1, number])
            stocks = np.sort(generator.choice(stocks, self._stocks_per_batch, replace=False))
        return self.sections.batch(day, stocks)

    def validation(self, number: int) -> StockBatch:
        """Return a validation day, all of its stocks; successive numbers spread over the part."""
        # Steps of the golden section never bunch, however many numbers are asked for.
        share = (number * 0.6180339887498949) % 1.0
        return self.sections.batch(int(self._validation[int(share * len(self._validation))]))

    def _with_stocks(self, days: Int[ndarray, " day"]) -> Int[ndarray, " kept"]:
        found = days[self.sections.eligible[days].sum(axis=1) > 1]
        if not len(found):
            between = self.sections.panel.days[days[[0, -1]]]
            raise DataError(
                f"a day must have two stocks of the universe to rank, got none from {between[0]} "
                f"to {between[1]}; loosen the universe, or name the calendar of the panel if "
                "stray days break its windows"
            )
        return found


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class StockStreamConfig:
    """The ``[data.config]`` section of a recipe that trains on stocks.

    Parameters
    ----------
    split
        Windows of training end before its validation starts, those of validation before its test.
    stocks_per_batch
        See `DayStream`.
    """

    panel: PanelConfig = field(default_factory=PanelConfig)
    windows: SectionConfig = field(default_factory=SectionConfig)
    split: SplitConfig
    stocks_per_batch: int = 0

    def located(self) -> "StockStreamConfig":
        """Return the same with the files of its panel named from the root; see `located`."""
        return replace(self, panel=located(self.panel))


@STREAMS.register("stocks")
class StockStream(DayStream):
    """Batches of a run; see `StockStreamConfig`."""

    Config = StockStreamConfig

    def __init__(self, config: StockStreamConfig, *, seed: int, process: int = 0) -> None:
        self.config = config
        sections = cross_sections(read_panel(config.panel), config.windows)
        split = split_days(
            sections.panel.days,
            config.split,
            context_length=config.windows.context_length,
            execution_lag=config.windows.execution_lag,
            fill=config.windows.fill,
        )
        super().__init__(
            sections,
            split,
            stocks_per_batch=config.stocks_per_batch,
            seed=seed,
            process=process,
        )

    @property
    def trained_on(self) -> tuple[str, ...]:
        """The one card."""
        return tuple(one.name for one in self.inputs)

    @property
    def synthetic_share(self) -> float:
        """All or nothing."""
        return float(self.config.panel.dataset == SIMULATED)

    @property
    def context_length(self) -> int:
        """Days of a window."""
        return self.config.windows.context_length

    @property
    def inputs(self) -> tuple[DataInput, ...]:
        """What is read."""
        return panel_inputs(self.config.panel)
