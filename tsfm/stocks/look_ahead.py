"""The look-ahead audit of scores: the audit of frames, on panels.

A second question is how much of a result the future was worth: `future_hidden` makes every day's
scores from a panel that ends with the day.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from tsfm.audits import perturbation
from tsfm.audits.comparison import ROWS, canonical
from tsfm.audits.perturbation import PERTURBATIONS, Keys
from tsfm.audits.watching import Observe, watch
from tsfm.shapes import Float, Float64, Int, ndarray
from tsfm.stocks.panel import StockPanel

# Scores of the same bars differ by rounding at most; a real leak moves them by far more.
TOLERANCE = 1e-6
# Days up to the cutoff whose scores are compared: the last ones, where leaks show first.
DAYS_WATCHED = 3
KEYS = Keys("item_id", "timestamp")
STATES = ("member", "tradable")

ScoreDays = Callable[[StockPanel, Int[ndarray, " asked"]], Float[ndarray, "*model asked stock"]]
"""Makes one row of scores per day asked for, perhaps of several models at once."""


@dataclass(frozen=True)
class LookAhead:
    """What an audit found.

    Parameters
    ----------
    cutoffs
        Days after which everything was changed.
    moved_share
        Share of the watched scores that moved.
    largest_move
        In standard deviations of the scores.
    first_moved
        Earliest day whose score moved, None when none did.
    """

    cutoffs: tuple[str, ...]
    moved_share: float
    largest_move: float
    first_moved: str | None

    @property
    def ok(self) -> bool:
        """Whether nothing moved."""
        return self.first_moved is None


def audit(
    score: ScoreDays,
    panel: StockPanel,
    days: Int[ndarray, " day"],
    *,
    n_cutoffs: int,
    generator: np.random.Generator,
) -> LookAhead:
    """Change all bars, members and halts after random days, and watch the scores up to them.

    Parameters
    ----------
    days
        Among which cutoffs are drawn.
    """
    chosen = np.sort(generator.choice(days, min(n_cutoffs, len(days)), replace=False))
    n_models = 0

    def counted(known: StockPanel, asked: Int[ndarray, " asked"]) -> Float[ndarray, "*any"]:
        nonlocal n_models
        scores = score(known, asked)
        n_models = int(np.prod(scores.shape[:-2]))
        return scores

    found = watch(
        observe_scores(counted, panel),
        panel_frame(panel),
        KEYS,
        (*panel.fields, *STATES),
        pl.Series(panel.days[chosen].astype("datetime64[D]")),
        seed=int(generator.integers(2**32)),
        tolerance=TOLERANCE,
        n_stamps=DAYS_WATCHED,
        explain=False,
    )
    moves = [move for of_cutoff in found.moves for move in of_cutoff]
    # A score that appears or vanishes has moved too, and so have those of all models.
    weight = [n_models if move.column == ROWS else 1 for move in moves]
    n_moved = sum(move.n_moved * times for move, times in zip(moves, weight, strict=True))
    return LookAhead(
        tuple(str(day) for day in panel.days[chosen]),
        n_moved / max(found.n_rows * n_models, 1),
        max((np.inf if move.column == ROWS else move.size for move in moves), default=0.0),
        str(min(move.first for move in moves)) if moves else None,
    )


def observe_scores(score: ScoreDays, panel: StockPanel) -> Observe:
    """Return what makes a frame of the scores of the panel that another frame holds."""

    def observe(known: pl.DataFrame, asked: pl.Series | None) -> pl.DataFrame:
        again = frame_panel(known, panel)
        stamps = panel.days if asked is None else asked.to_numpy().astype("datetime64[D]")
        scores = score(again, np.searchsorted(again.days, stamps))[..., : panel.n_stocks]
        return canonical(_scores_frame(scores, stamps, panel.stocks), KEYS, pl.Date)

    return observe


def future_hidden(
    score: ScoreDays, panel: StockPanel, days: Int[ndarray, " day"]
) -> Float64[ndarray, "*model day stock"]:
    """Return the scores of `days`, each made from a panel that ends with it."""
    rows = [score(panel.head(int(day) + 1), np.array([day])) for day in days]
    return np.concatenate(rows, axis=-2)


def change_the_future(panel: StockPanel, day: int, generator: np.random.Generator) -> StockPanel:
    """Return a panel that is the same up to `day` and another one after it.

    Prices go on elsewhere or in another order, stocks and single bars vanish, others leave, join
    or are halted; days and stocks are those of `panel`.
    """
    changed = perturbation.change_the_future(
        panel_frame(panel),
        KEYS,
        (*panel.fields, *STATES),
        panel.days[day].astype(object),
        kinds=[kind for kind in PERTURBATIONS if kind != "appear"],
        generator=generator,
    )
    return frame_panel(changed, panel, all_days=True)


def panel_frame(panel: StockPanel) -> pl.DataFrame:
    """Return the long frame of a panel, day by day; what has no bar and is no member has no row."""
    there = np.isfinite(panel.bars).any(axis=-1) | panel.member | panel.tradable
    day, stock = np.nonzero(there)
    bars = {name: panel[name][day, stock] for name in panel.fields}
    states = {name: getattr(panel, name)[day, stock] for name in STATES}
    return pl.DataFrame(
        {
            "item_id": pl.Series(panel.stocks).gather(stock),
            "timestamp": panel.days[day].astype("datetime64[D]"),
            **bars,
            **states,
        }
    )


def frame_panel(frame: pl.DataFrame, like: StockPanel, *, all_days: bool = False) -> StockPanel:
    """Return the panel of a frame, with the days and stocks of another first.

    Parameters
    ----------
    like
        Stocks that it does not know come after its own, without a sector.
    all_days
        Go on to its last day; otherwise the panel ends with the last row of the frame.
    """
    newcomers = sorted(set(frame["item_id"].unique()) - set(like.stocks))
    stocks = (*like.stocks, *newcomers)
    code = pl.DataFrame({"item_id": stocks, "code": np.arange(len(stocks))})
    stock = frame.select("item_id").join(code, on="item_id", maintain_order="left")["code"]
    stamps = frame["timestamp"].to_numpy().astype("datetime64[D]")
    days = like.days if all_days else like.days[like.days <= stamps.max()]
    place = np.searchsorted(days, stamps), stock.to_numpy()
    bars = np.full((len(days), len(stocks), len(like.fields)), np.nan)
    for number, name in enumerate(like.fields):
        bars[(*place, number)] = frame[name].fill_null(float("nan")).to_numpy()
    member, tradable = np.zeros((2, *bars.shape[:2]), bool)
    member[place], tradable[place] = (frame[name].to_numpy() for name in STATES)
    sector = np.concatenate([like.sector, np.full(len(newcomers), -1, like.sector.dtype)])
    return replace(
        like,
        days=days,
        stocks=stocks,
        bars=bars,
        member=member,
        tradable=tradable,
        sector=sector,
    )


def _scores_frame(
    scores: Float[ndarray, "*model asked stock"], stamps: ndarray, stocks: tuple[str, ...]
) -> pl.DataFrame:
    """Return one row per stock that some model scores on a day, one column per model."""
    rows = scores.reshape(-1, len(stamps) * len(stocks)).astype(np.float64)
    frame = pl.DataFrame(
        {
            "item_id": list(stocks) * len(stamps),
            "timestamp": np.repeat(stamps, len(stocks)),
            **{f"score {number}": row for number, row in enumerate(rows)},
        }
    )
    return frame.filter(pl.Series(np.isfinite(rows).any(axis=0)))
