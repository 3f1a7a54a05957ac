"""A token must attend to the past alone, and stand where it stands whatever else is read."""

import pytest
import torch

from tsfm.models.layers.places import causal_places

WIDTH, HEADS = 12, 2


def test_tokens_attend_to_themselves_and_to_earlier_ones_within_the_series() -> None:
    inside = torch.tensor([[False, False, True, True]])
    attend = causal_places(inside, 4, WIDTH, HEADS, is_rotary=True).attend[0, 0]
    expected = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 1, 1]]
    assert attend.int().tolist() == expected


@pytest.mark.parametrize("is_rotary", [True, False])
def test_the_last_tokens_have_the_same_places_when_read_alone(is_rotary: bool) -> None:
    inside = torch.tensor([[False, True, True, True, True]])
    whole = causal_places(inside, 5, WIDTH, HEADS, is_rotary=is_rotary)
    part = causal_places(inside, 2, WIDTH, HEADS, is_rotary=is_rotary)
    assert torch.equal(part.attend, whole.attend[:, :, 3:])
    if is_rotary:
        assert part.angles is not None
        assert whole.angles is not None
        for one, other in zip(part.angles, whole.angles, strict=True):
            assert torch.equal(one, other[3:])
    else:
        assert part.code is not None
        assert whole.code is not None
        assert torch.equal(part.code, whole.code[:, 3:])
        # Counted from the first token inside, so that padding moves nothing.
        unpadded = causal_places(inside[:, 1:], 2, WIDTH, HEADS, is_rotary=False)
        assert unpadded.code is not None
        assert torch.equal(part.code, unpadded.code)
