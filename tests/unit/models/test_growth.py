"""A model that grows answers as before, until what is new is trained."""

import pytest
import torch
from torch import nn

from tsfm.errors import ConfigError
from tsfm.models.growth import grown
from tsfm.models.timer import Timer, TimerConfig
from tsfm.models.timer_covariates import with_covariates
from tsfm.models.timer_fill import TimerFill, TimerFillConfig

SMALL = {"patch_length": 4, "d_model": 16, "n_heads": 2, "n_layers": 1, "d_ff": 24}


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def trained(backbone: nn.Module) -> nn.Module:
    """Draw all weights, also those that begin at zero."""
    with torch.no_grad():
        for weight in backbone.parameters():
            weight.normal_(0.0, 0.3, generator=seeded(weight.numel()))
    return backbone


def answers(backbone: nn.Module) -> torch.Tensor:
    """Forecast two seasonal channels, or fill their gap."""
    values = torch.sin(torch.arange(120.0) / 3)[None, :, None] * torch.tensor([1.0, -2.0])
    observed, inside = torch.ones_like(values).bool(), torch.ones(1, 120).bool()
    if isinstance(backbone, TimerFill):
        observed[:, 50:70] = False
        return backbone.fill(values, observed, inside).quantiles
    return backbone.forecast_patches(values, observed, inside).values


def timer() -> nn.Module:
    return trained(Timer(TimerConfig(**SMALL)))


def test_a_model_that_starts_to_read_seasons_forecasts_as_before() -> None:
    before = timer()
    told, again = (grown(before, generator=seeded(1), seasons=True) for _ in range(2))
    for name, weight in told.state_dict().items():
        assert torch.equal(weight, again.state_dict()[name])
    assert torch.equal(answers(before), answers(told))
    assert told.config.seasons
    assert not before.config.seasons
    # And does so no more once it is trained.
    with torch.no_grad():
        told.season.toward.bias.fill_(0.3)
    assert not torch.equal(answers(before), answers(told))


@pytest.mark.parametrize(
    "before",
    [timer(), trained(TimerFill(TimerFillConfig(**SMALL)))],
    ids=["timer", "timer_fill"],
)
def test_new_layers_add_nothing_until_they_are_trained(before: nn.Module) -> None:
    deeper = grown(before, generator=seeded(1), n_layers=3)
    assert deeper.config.n_layers == len(deeper.blocks) == 3
    assert torch.equal(answers(before), answers(deeper))
    # They can learn: what is not zero has been drawn, and what is zero has a gradient.
    answers(deeper).square().mean().backward()
    for block in deeper.blocks[1:]:
        assert block.feed_forward.expand.weight.any()
        assert block.attention.output.weight.grad.any()
        assert block.feed_forward.contract.weight.grad.any()
    with torch.no_grad():
        deeper.blocks[2].feed_forward.contract.weight.fill_(0.1)
    assert not torch.equal(answers(before), answers(deeper))


def test_layers_and_seasons_can_come_together() -> None:
    before = timer()
    both = grown(before, generator=seeded(1), n_layers=2, seasons=True)
    assert torch.equal(answers(before), answers(both))
    # Seasons that are there stay as they are.
    with torch.no_grad():
        both.season.toward.bias.fill_(0.3)
    assert torch.equal(answers(both), answers(grown(both, generator=seeded(2), n_layers=3)))


def test_what_cannot_grow_is_refused() -> None:
    covariates = with_covariates(timer(), ("price",), ())
    with pytest.raises(ConfigError, match="plain Timer to start from, got CovariateTimer"):
        grown(covariates, generator=seeded(1), seasons=True)
    with pytest.raises(ConfigError, match="norm_first or a TimerFill to start from, got Cov"):
        grown(covariates, generator=seeded(1), n_layers=2)
    with pytest.raises(ConfigError, match="norm_first or a TimerFill"):
        grown(Timer(TimerConfig(**SMALL, norm_first=False)), generator=seeded(1), n_layers=2)
    deeper = grown(timer(), generator=seeded(1), n_layers=3)
    with pytest.raises(ConfigError, match="layers must be 3 or more, which the checkpoint has, g"):
        grown(deeper, generator=seeded(1), n_layers=2)
