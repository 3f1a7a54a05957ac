"""How a ranker is made: what is configured, the pretext tasks, and the choice of weights."""

import dataclasses
from collections.abc import Mapping
from dataclasses import field
from typing import Annotated, Any, TypedDict

import numpy as np
import torch
from pydantic import ConfigDict, Field, PositiveInt
from pydantic.dataclasses import dataclass

from tsfm.arguments import at_least_zero
from tsfm.errors import ConfigError
from tsfm.models.model import Provenance, TimeSeriesModel
from tsfm.objectives.weighted_sum import PartConfig, WeightedSum, WeightedSumConfig
from tsfm.registry import discover
from tsfm.shapes import Bool, ndarray
from tsfm.stocks.cross_sections import CrossSections, SectionConfig
from tsfm.stocks.metrics import information_coefficient, mean_of
from tsfm.stocks.phases import Freeze, PhaseConfig, freeze, run_phase, thawed
from tsfm.stocks.ranking import ReturnRanking, ReturnRankingConfig
from tsfm.stocks.split import SplitConfig, SplitDays, split_days
from tsfm.stocks.start import start_of
from tsfm.stocks.stream import DayStream
from tsfm.tracking import Tracker
from tsfm.training.step import TrainingStep

Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
PRETEXT = {"stock_code": 1.0, "stock_sector": 1.0, "moving_average": 1.0}


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class RankerConfig:
    """How a ranker is made.

    Parameters
    ----------
    backbone, model
        Name of an `Encoder` and its config; number of features and context length are filled in.
    checkpoint
        Bundled name or folder to start from in place of random weights of `backbone`.
    windows
        Features, universe, and what a score earns.
    pretext
        Weights of the pre-training objectives; all 0 for a ranker from scratch.
    pretext_config
        Options of single pretext objectives, by name; sizes are filled in.
    freeze, rank
        What fine-tuning keeps, and the rank of low-rank corrections; see `freeze`.
    fit_on_validation
        Train on the validation days too and keep the last weights, as published; otherwise the
        weights with the highest information coefficient on those days are kept.
    validation_days
        At most so many, spread over the part, choose the weights. On as many held-out days it is
        measured what the pretext tasks have taught; with `fit_on_validation` on test days, since
        no others are left.
    """

    backbone: str = "sspt"
    model: Mapping[str, Any] = field(default_factory=dict)
    checkpoint: str = ""
    windows: SectionConfig = field(default_factory=SectionConfig)
    pretext: Mapping[str, Weight] = field(default_factory=lambda: dict(PRETEXT))
    pretext_config: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    pretrain: PhaseConfig = field(default_factory=PhaseConfig)
    finetune: PhaseConfig = field(default_factory=PhaseConfig)
    freeze: Freeze = "embedding"
    rank: PositiveInt = 8
    ranking: ReturnRankingConfig = field(default_factory=ReturnRankingConfig)
    fit_on_validation: bool = False
    validation_days: int = Field(default=64, ge=1)


class Common(TypedDict):
    """What both phases of training are given."""

    seed: int
    device: torch.device
    tracker: Tracker
    progress: bool | None


def fit_ranker(
    config: RankerConfig, sections: CrossSections, split: SplitConfig, common: Common
) -> tuple[TimeSeriesModel, ReturnRanking, dict[str, Any]]:
    """Pre-train when there are pretext tasks, then fine-tune; return model, head and report."""
    at_least_zero("seed", common["seed"])
    days = days_of(sections, split)
    if config.fit_on_validation:
        days = dataclasses.replace(days, train=np.union1d(days.train, days.validation))
    generator = torch.Generator().manual_seed(common["seed"])
    model = start_of(config, generator)
    backbone, report = _pretrained(config, model.backbone, sections, days, common)
    objective = ReturnRanking(ranking_config(config), backbone)
    step = TrainingStep(backbone, objective)
    thaw = freeze(step, config.freeze, rank=config.rank, generator=generator)
    if config.finetune.epochs:
        stream = _stream(sections, days, config.finetune, common["seed"])
        validate = None if config.fit_on_validation else _validation(config, sections, days)
        step, report["finetune"] = run_phase(
            step,
            stream,
            config.finetune,
            name="finetune",
            validate=validate,
            thaw=thaw,
            **common,
        )
    step = thawed(step).cpu().eval()
    provenance = _provenance(config, model, sections, days, report)
    length = config.windows.context_length
    fitted = TimeSeriesModel(model.name, step.backbone, length, provenance).eval()
    ranking: Any = step.objective
    return fitted, ranking, report


def days_of(sections: CrossSections, split: SplitConfig) -> SplitDays:
    """Return the days of a split for these cross-sections."""
    config = sections.config
    return split_days(
        sections.panel.days,
        split,
        context_length=config.context_length,
        execution_lag=config.execution_lag,
        fill=config.fill,
    )


def ranking_config(config: RankerConfig) -> ReturnRankingConfig:
    """Return the options of the ranking objective for the configured features."""
    return dataclasses.replace(config.ranking, close_channel=config.windows.features.close_channel)


def _stream(sections: CrossSections, days: SplitDays, phase: PhaseConfig, seed: int) -> DayStream:
    return DayStream(sections, days, stocks_per_batch=phase.stocks_per_batch, seed=seed)


def _pretrained(
    config: RankerConfig,
    backbone: Any,
    sections: CrossSections,
    days: SplitDays,
    common: Common,
) -> tuple[Any, dict[str, Any]]:
    """Return the backbone after the pretext tasks, and what it had learned on held-out days."""
    weights = {name: weight for name, weight in config.pretext.items() if weight > 0}
    if not weights or not config.pretrain.epochs:
        return backbone, {}
    discover("tsfm.objectives", "tsfm.stocks")
    objective = WeightedSum(_pretext(config, weights, sections, days), backbone)
    # Trained on the validation days too, only those of the test have not been seen.
    held_out = days.test if config.fit_on_validation else days.validation
    days = dataclasses.replace(days, validation=held_out)
    stream = _stream(sections, days, config.pretrain, common["seed"])
    step, result = run_phase(
        TrainingStep(backbone, objective), stream, config.pretrain, name="pretrain", **common
    )
    learned = _learned(step.cpu().eval(), stream, config.validation_days, common["seed"])
    return step.backbone, {"pretrain": result, "pretext": learned}


def _pretext(
    config: RankerConfig,
    weights: Mapping[str, float],
    sections: CrossSections,
    days: SplitDays,
) -> WeightedSumConfig:
    panel, features = sections.panel, config.windows.features
    # Stocks, and sectors, that come later are not known in training.
    shown = sections.eligible[days.train].any(axis=0)
    of_sectors = np.isin(np.arange(len(panel.sectors)), panel.sector[shown])
    if "stock_sector" in weights and not of_sectors.any():
        raise ConfigError(
            "pretext.stock_sector needs a panel with sectors, got none of a stock to train on; set "
            "it to 0 or name the sector column"
        )
    sizes: dict[str, dict[str, Any]] = {
        "stock_code": {"n_stocks": panel.n_stocks, "places": _some(shown)},
        "stock_sector": {"n_sectors": len(panel.sectors), "places": _some(of_sectors)},
        "moving_average": {"spans": features.spans, "close_channel": features.close_channel},
    }
    return WeightedSumConfig(
        parts={
            name: PartConfig(
                weight=weight,
                config={**sizes.get(name, {}), **config.pretext_config.get(name, {})},
            )
            for name, weight in weights.items()
        }
    )


def _some(shown: Bool[ndarray, " place"]) -> tuple[int, ...] | None:
    """Return the places that training shows, None for all."""
    return None if shown.all() else tuple(np.flatnonzero(shown).tolist())


@torch.no_grad()
def _learned(step: TrainingStep, stream: DayStream, n_days: int, seed: int) -> dict[str, float]:
    """Return the mean of every part of the pretext loss over days that training has not seen.

    Beside the error of a rival stands the skill over it: 1 when nothing is left of its error, 0
    when all is.
    """
    found: dict[str, list[float]] = {}
    for number in range(n_days):
        loss = step(stream.validation(number), torch.Generator().manual_seed(seed + number))
        for name, value in loss.parts.items():
            found.setdefault(name, []).append(float(value))
    means = {name: float(np.mean(values)) for name, values in found.items()}
    for name in list(means):
        task, _, rival = name.removesuffix("_error").partition("/")
        if name.endswith("_error") and means[name] > 0:
            means[f"{task}/skill_over_{rival}"] = 1 - means[task] / means[name]
    return means


def _validation(config: RankerConfig, sections: CrossSections, days: SplitDays) -> Any:
    """Return what measures weights by their information coefficient; lower is better."""
    asked = days.validation
    if len(asked) > config.validation_days:
        asked = asked[np.linspace(0, len(asked) - 1, config.validation_days).astype(np.int64)]

    @torch.no_grad()
    def measure(step: TrainingStep) -> float:
        step.eval()
        objective: Any = step.objective
        device = next(step.parameters()).device
        scores = np.full(sections.eligible.shape, np.nan)
        for day in asked:
            stocks = np.flatnonzero(sections.eligible[day])
            batch = sections.batch(int(day), stocks).to(device)
            scores[day, stocks] = objective.scores(step.backbone, batch).cpu().numpy()
        found = information_coefficient(
            scores[asked], sections.forward_returns[asked], sections.panel.tradable[asked]
        )
        mean = mean_of(found)
        return -mean if np.isfinite(mean) else float("inf")

    return measure


def _provenance(
    config: RankerConfig,
    model: TimeSeriesModel,
    sections: CrossSections,
    days: SplitDays,
    report: Mapping[str, Any],
) -> Provenance:
    """Say what was seen, and up to which day: also the days that chose the weights."""
    seen, name, windows = model.provenance, sections.panel.name, config.windows
    last_score = max(days.train[-1], days.validation[-1])
    reach = windows.execution_lag + (windows.fill == "open")
    last = min(last_score + reach, sections.panel.n_days - 1)
    if windows.features.looks_ahead or windows.universe.looks_ahead:
        # The first window of training was already made with the last day of the panel.
        last = sections.panel.n_days - 1
    return Provenance(
        trained_on=tuple(dict.fromkeys((*seen.trained_on, *([name] if name else [])))),
        training_cutoff=_later(seen, str(sections.panel.days[last])),
        licence=seen.licence,
        synthetic_share=seen.synthetic_share if name else 1.0,
        details={**seen.details, "ranker": dict(report)},
    )


def _later(seen: Provenance, day: str) -> str | None:
    """Return the last day that was seen, also by the checkpoint of the start; None if unknown."""
    if seen.training_cutoff is None:
        return None if seen.trained_on else day
    return str(max(np.datetime64(seen.training_cutoff), np.datetime64(day)))
