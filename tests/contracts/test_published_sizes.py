"""A recipe that claims a published size must have it, to the weight."""

import pytest
import torch

from tsfm.config import load_recipe
from tsfm.jobs import pretrain
from tsfm.models.backbone import count_parameters

SIZES = [
    ("timer_67m", [], 67_397_728),
    ("timer_2m", [], 2_158_176),
    ("timer_2m", ["model.config.patch_length=24", "data.config.window_lengths=[384]"], 2_121_240),
]


def size_of(name: str, overrides: list[str]) -> int:
    with torch.device("meta"):
        return count_parameters(
            pretrain.build_step(pretrain.sections(load_recipe(name, overrides)))
        )


@pytest.mark.parametrize(("name", "overrides", "published"), SIZES)
def test_a_published_size_is_met(name: str, overrides: list[str], published: int) -> None:
    assert size_of(name, overrides) == published


def test_the_successor_has_84_million() -> None:
    assert size_of("timer_84m", []) == pytest.approx(84e6, rel=0.005)
