"""StockRanker: a backbone that learned stocks, fine-tuned to say which will do best tomorrow."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from pydantic import TypeAdapter
from pydantic_core import to_jsonable_python
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from tsfm.arguments import at_least_zero
from tsfm.errors import CheckpointError
from tsfm.models.model import TimeSeriesModel
from tsfm.models.pretrained import checkpoint_folder, load_pretrained, save_pretrained
from tsfm.series.convert import from_polars, to_polars
from tsfm.shapes import Float64, Int, ndarray
from tsfm.stocks.columns import key_names
from tsfm.stocks.cross_sections import CrossSections, cross_sections
from tsfm.stocks.fitting import Common, RankerConfig, fit_ranker, ranking_config
from tsfm.stocks.panel import StockPanel
from tsfm.stocks.ranking import ReturnRanking
from tsfm.stocks.split import SplitConfig
from tsfm.tracking import NoTracker, Tracker

FORMAT = 1
RANKER_FILE = "ranker.json"
HEAD_FILE = "head.safetensors"
# Windows at once: what fits the cache is a quarter faster than a whole day.
ROWS = 128


class StockRanker:
    """Scores stocks day by day from their windows; a higher score is a higher expected return.

    Examples
    --------
    >>> from tsfm.stocks.simulation import SimulationConfig, simulated_panel
    >>> panel = simulated_panel(SimulationConfig(n_stocks=6, n_days=40))
    >>> split = SplitConfig(validation_start="2013-02-04", test_start="2013-02-14")
    >>> small = RankerConfig(model={"d_model": 8, "d_ff": 8, "n_heads": 1}, pretext={})
    >>> ranker = StockRanker.fit(panel, split, small, seed=0)
    >>> scores = ranker.predict(panel)
    >>> scores.shape, bool(np.isnan(scores[14]).all()), bool(np.isfinite(scores[15]).all())
    ((40, 6), True, True)
    """

    def __init__(
        self,
        config: RankerConfig,
        model: TimeSeriesModel,
        objective: ReturnRanking,
        report: Mapping[str, Any],
    ) -> None:
        self.config = config
        self.model = model
        self.objective = objective.eval()
        self.report = dict(report)

    @classmethod
    def fit(
        cls,
        panel: StockPanel,
        split: SplitConfig,
        config: RankerConfig,
        *,
        seed: int = 0,
        device: str = "cpu",
        tracker: Tracker | None = None,
        sections: CrossSections | None = None,
        progress: bool | None = None,
    ) -> "StockRanker":
        """Pre-train when there are pretext tasks, then fine-tune to rank returns.

        No weight depends on the test part, unless the configured features or universe do.

        Parameters
        ----------
        sections
            Those of `panel` and ``config.windows``, when they are at hand.
        """
        common = Common(
            seed=seed,
            device=torch.device(device),
            tracker=tracker or NoTracker(),
            progress=progress,
        )
        sections = sections or cross_sections(panel, config.windows)
        model, objective, report = fit_ranker(config, sections, split, common)
        return cls(config, model, objective, report)

    @torch.no_grad()
    def predict(
        self,
        panel: StockPanel,
        *,
        days: Int[ndarray, " asked"] | None = None,
        sections: CrossSections | None = None,
    ) -> Float64[ndarray, "day stock"]:
        """Return the scores of every day and stock of `panel`.

        Parameters
        ----------
        days
            Places in the panel; by default all.
        sections
            Those of `panel`, when they are at hand.

        Returns
        -------
        array
            Predicted simple returns; NaN on other days, and where a stock is no member or has too
            few bars.
        """
        if sections is None:
            first = 0 if days is None or not len(days) else int(days.min())
            sections = cross_sections(panel, self.config.windows, first_day=first)
        scores = np.full((panel.n_days, panel.n_stocks), np.nan)
        for day in np.arange(panel.n_days) if days is None else days:
            asked = np.flatnonzero(sections.eligible[day])
            for first in range(0, len(asked), ROWS):
                stocks = asked[first : first + ROWS]
                batch = sections.batch(int(day), stocks)
                said = self.objective.scores(self.model.backbone, batch)
                scores[day, stocks] = said.numpy().astype(np.float64)
        return scores

    def rank(
        self,
        data: Any,
        *,
        n_days: int = 0,
        id_column: str = "item_id",
        timestamp_column: str = "timestamp",
        sector_column: str | None = None,
        calendar: str | None = None,
    ) -> Any:
        """Return the scores of a frame of bars, in the kind of frame that came in.

        Columns: id, of its type, timestamp, the day, ``score``; a row per stock and day that can be
        scored, by day and then from the best to the worst.

        Parameters
        ----------
        data
            See `StockPanel.from_frame`, as the other names.
        n_days
            Score the last so many days alone; 0 scores all.
        """
        at_least_zero("n_days", n_days)
        given, origin = to_polars(data, timestamp_column)
        id_column, timestamp_column = key_names(given.columns, id_column, timestamp_column)
        panel = StockPanel.from_frame(
            data,
            id_column=id_column,
            timestamp_column=timestamp_column,
            sector_column=sector_column,
            calendar=calendar,
        )
        days = np.arange(max(0, panel.n_days - n_days) if n_days else 0, panel.n_days)
        scores = self.predict(panel, days=days)
        day, stock = np.nonzero(np.isfinite(scores))
        frame = pl.DataFrame(
            {
                id_column: pl.Series(panel.stocks, dtype=pl.String)
                .gather(stock)
                .cast(given[id_column].dtype),
                timestamp_column: panel.days[day].astype("datetime64[D]"),
                "score": scores[day, stock],
            }
        )
        order = [timestamp_column, "score", id_column]
        return from_polars(frame.sort(order, descending=[False, True, False]), origin)

    def save_pretrained(self, folder: str | Path) -> Path:
        """Write the backbone's checkpoint, the head, and last ``ranker.json``."""
        folder = save_pretrained(self.model, folder)
        (folder / RANKER_FILE).unlink(missing_ok=True)
        state = self.objective.state_dict()
        head = {name: one.detach().contiguous() for name, one in state.items()}
        (folder / HEAD_FILE).write_bytes(save(head))
        content = {"format": FORMAT, "config": self.config, "report": self.report}
        text = json.dumps(to_jsonable_python(content), indent=2)
        (folder / RANKER_FILE).write_text(text + "\n", encoding="utf-8")
        return folder

    @classmethod
    def from_pretrained(cls, name: str | Path) -> "StockRanker":
        """Load what `save_pretrained` wrote or MLflow logged.

        Parameters
        ----------
        name
            A folder, ``models:/name@alias``, ``models:/name/3`` or ``runs:/run_id/path``.

        Raises
        ------
        CheckpointError
            When there is no such ranker, or one that does not fit this version.
        """
        with checkpoint_folder(name) as folder:
            try:
                text = (folder / RANKER_FILE).read_text(encoding="utf-8")
                content = _of_this_format(json.loads(text))
                config = TypeAdapter(RankerConfig).validate_python(content["config"])
                model = load_pretrained(folder)
                objective = ReturnRanking(ranking_config(config), model.backbone)
                objective.load_state_dict(load_file(folder / HEAD_FILE))
            except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as one:
                reason = str(one).splitlines()[0] if str(one) else type(one).__name__
                raise CheckpointError(
                    f"a ranker must have a readable {RANKER_FILE} and {HEAD_FILE}, got {name}: "
                    f"{reason}; save it again with save_pretrained"
                ) from one
        return cls(config, model, objective, content["report"])


def _of_this_format(content: Any) -> Any:
    if content["format"] != FORMAT:
        raise ValueError(f"format {content['format']}, and this version reads {FORMAT}")
    return content
