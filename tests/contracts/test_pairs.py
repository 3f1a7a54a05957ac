"""Every backbone with every objective: it trains, or it is refused before any data is read.

What is registered is tested here; an objective whose config has no defaults adds options.
"""

import dataclasses
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tsfm.config import Recipe, discover_all, load_recipe
from tsfm.errors import ConfigError
from tsfm.jobs import finetune, pretrain
from tsfm.jobs.pairs import bare_backbone, check_pair
from tsfm.models.backbone import BACKBONES
from tsfm.objectives.labels import LabelledSamples
from tsfm.objectives.objective import OBJECTIVES
from tsfm.objectives.weighted_sum import PartConfig
from tsfm.series.samples import SampleSet
from tsfm.stocks.panel import StockBatch
from tsfm.tracking import ListTracker
from tsfm.training.step import TrainingStep

discover_all()
N_WINDOWS, LENGTH, N_CHANNELS = 6, 24, 2
# Small values of the words that configs of backbones share.
WORDS: dict[str, Any] = {
    "patch_length": 4,
    "context_length": LENGTH,
    "n_channels": N_CHANNELS,
    "d_model": 16,
    "d_ff": 24,
    "n_heads": 2,
    "n_layers": 2,
    "quantile_levels": (0.1, 0.5, 0.9),
    "dropout": 0.0,
}
BACKBONE_OPTIONS: dict[str, dict[str, Any]] = {"gpht": {"pools": (4, 2, 1)}}
OBJECTIVE_OPTIONS: dict[str, dict[str, Any]] = {
    "stock_code": {"n_stocks": N_WINDOWS},
    "stock_sector": {"n_sectors": 2},
    "moving_average": {"spans": (1,) * N_CHANNELS},
    "weighted_sum": {
        "parts": {
            "stock_code": PartConfig(config={"n_stocks": N_WINDOWS}),
            "masked_values": PartConfig(),
        }
    },
}
STOCKS = ("stock_code", "stock_sector", "moving_average", "return_ranking")
# What this project promises to train; the rest may be refused, with a reason.
PROMISED = {
    *((backbone, task) for backbone in ("timer", "gpht", "tst", "sspt") for task in STOCKS),
    *((backbone, "next_patch") for backbone in ("timer", "gpht")),
    *((backbone, "masked_values") for backbone in ("timer", "gpht", "tst", "sspt")),
    ("tst", "class"),
    ("tst", "value"),
}
PAIRS = [(backbone, objective) for backbone in BACKBONES for objective in OBJECTIVES]


def backbone_config(name: str) -> Any:
    config_class = BACKBONES[name].Config
    words = {field.name for field in dataclasses.fields(config_class)}
    known = {word: value for word, value in WORDS.items() if word in words}
    return config_class(**known | BACKBONE_OPTIONS.get(name, {}))


def objective_config(name: str) -> Any:
    return OBJECTIVES[name].Config(**OBJECTIVE_OPTIONS.get(name, {}))


def batch() -> StockBatch:
    """Random walks with a gap, one per stock, with all that any objective may ask for."""
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(N_WINDOWS, LENGTH, N_CHANNELS, generator=generator).cumsum(1)
    observed = torch.ones_like(values, dtype=torch.bool)
    observed[1, 5:8] = False
    stock = torch.arange(N_WINDOWS)
    return StockBatch(
        values * observed,
        observed,
        torch.ones(N_WINDOWS, LENGTH, dtype=torch.bool),
        stock,
        stock=stock,
        sector=stock % 2,
        forward_return=torch.randn(N_WINDOWS, generator=generator) * 0.02,
        tradable=torch.ones(N_WINDOWS, dtype=torch.bool),
    )


def labelled() -> LabelledSamples:
    samples = SampleSet.from_arrays(
        list(batch().values.numpy().swapaxes(1, 2).astype(np.float32)),
        labels=np.arange(N_WINDOWS) % 2,
    )
    return LabelledSamples(samples, samples.fit_scaler(), LENGTH)


def make_step(backbone_name: str, objective_name: str) -> TrainingStep:
    """Backbone and objective, none of whose weights is zero."""
    backbone = BACKBONES[backbone_name](backbone_config(backbone_name))
    kind, config = OBJECTIVES[objective_name], objective_config(objective_name)
    more = (labelled(),) if getattr(kind, "reads_labels", False) else ()
    step = TrainingStep(backbone, kind(config, backbone, *more))
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in step.parameters():
            parameter.normal_(0.0, 0.2, generator=generator)
    return step


@pytest.mark.parametrize(("backbone", "objective"), PAIRS)
def test_a_pair_trains_or_is_refused_with_a_reason(backbone: str, objective: str) -> None:
    bare = bare_backbone(backbone, backbone_config(backbone))
    try:
        check_pair(bare, objective, objective_config(objective))
    except ConfigError:
        assert (backbone, objective) not in PROMISED
        with pytest.raises(ConfigError, match=r"needs an? .*choose another objective or backbone"):
            check_pair(bare, objective, objective_config(objective))
        return
    step = make_step(backbone, objective)
    before = {name: one.detach().clone() for name, one in step.backbone.named_parameters()}
    optimizer = torch.optim.SGD(step.parameters(), lr=1e-3)
    loss = step(batch(), torch.Generator().manual_seed(2))
    assert loss.count > 0
    assert torch.isfinite(loss.total)
    loss.total.backward()
    gradients = [one.grad for one in step.backbone.parameters() if one.grad is not None]
    assert all(torch.isfinite(one).all() for one in gradients)
    assert any(one.any() for one in gradients)
    optimizer.step()
    after = dict(step.backbone.named_parameters())
    assert any(not torch.equal(before[name], after[name]) for name in before)


def test_pretrain_refuses_a_pair_before_any_data_is_read(tmp_path: Path) -> None:
    recipe = replace_data(load_recipe("sspt_tiny", [f"run.output={tmp_path}"]))
    sections = {**recipe.sections, "objective": {"name": "next_patch"}}
    with pytest.raises(ConfigError, match="NextPatch needs a NextPatchModel, got Sspt; choose"):
        pretrain.run(replace(recipe, sections=sections), tracker=ListTracker())


def test_finetune_refuses_a_pair_before_any_data_is_read(tmp_path: Path) -> None:
    sections = {
        "run": {"output": str(tmp_path)},
        "start": {"model": "tsfm-small"},
        "training": {"steps": 1},
        "objective": {"name": "weighted_sum", "config": {"parts": {"fill_gaps": {}}}},
    }
    recipe = replace_data(Recipe("mine", tmp_path / "mine.toml", sections))
    with pytest.raises(ConfigError, match="WeightedSum needs a GapFiller, got Timer; choose"):
        finetune.run(recipe, tracker=ListTracker())


def replace_data(recipe: Recipe) -> Recipe:
    """The recipe on data that are not there: reading them would be another error."""
    nowhere = {"name": "samples", "config": {"dataset": "nowhere"}}
    return replace(recipe, sections={**recipe.sections, "data": nowhere})


def test_what_is_promised_is_registered() -> None:
    assert set(PAIRS) >= PROMISED
