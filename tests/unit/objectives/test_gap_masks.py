"""A model learns to fill the gaps that it is shown: every shape must be what its name says."""

import pytest
import torch

from tsfm.objectives import gap_masks

ROWS, TIME = 600, 192


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def runs(row: torch.Tensor) -> list[int]:
    """Lengths of the hidden runs of a row."""
    padded = torch.cat([torch.zeros(1), row.float(), torch.zeros(1)]).diff()
    return (torch.nonzero(padded < 0) - torch.nonzero(padded > 0)).flatten().tolist()


def test_points_are_hidden_at_their_share() -> None:
    share = torch.linspace(0.05, 0.6, ROWS)
    hidden = gap_masks.random_points(ROWS, TIME, share, generator())
    torch.testing.assert_close(hidden.float().mean(), share.mean(), atol=0.01, rtol=0)
    assert (hidden[-50:].float().mean() - 0.6).abs() < 0.05


def test_runs_are_longer_than_those_of_independent_points() -> None:
    hidden = gap_masks.random_runs(ROWS, TIME, generator())
    lengths = torch.tensor([length for row in hidden for length in runs(row)]).float()
    assert 3 < lengths.mean() < 24
    assert 0.15 < hidden.float().mean() < 0.4


def test_segments_are_of_four_steps_and_more() -> None:
    hidden = gap_masks.random_segments(ROWS, TIME, generator())
    assert hidden.any(1).float().mean() > 0.95
    longest = max(max(runs(row), default=0) for row in hidden)
    assert longest > 48
    inner = [length for row in hidden for length in runs(row)[1:-1]]
    assert min(inner) >= 4


def test_a_long_segment_is_one_run_of_up_to_half_the_window() -> None:
    hidden = gap_masks.long_segment(ROWS, TIME, generator())
    assert all(len(runs(row)) == 1 for row in hidden)
    assert hidden.sum(1).max() <= TIME // 2 + 1
    assert hidden[:, 0].any()
    assert hidden[:, -1].any()


def test_a_tail_is_the_end_of_the_window() -> None:
    hidden = gap_masks.tails(200, 100, torch.Generator().manual_seed(0))
    lengths = hidden.sum(1)
    assert (hidden == (torch.arange(100) >= 100 - lengths[:, None])).all()
    assert lengths.min() == 4
    assert lengths.max() == 50
    assert gap_masks.tails(5, 1, torch.Generator().manual_seed(0)).all()


def test_outages_come_back_after_every_period() -> None:
    hidden = gap_masks.periodic_outages(ROWS, TIME, generator())
    several = [lengths[1:-1] for lengths in map(runs, hidden) if len(lengths) > 3]
    assert len(several) > ROWS // 3
    assert all(max(inner) - min(inner) <= 1 for inner in several)


def test_aligned_segments_are_whole_and_never_the_first() -> None:
    hidden = gap_masks.aligned_segments(ROWS, TIME, torch.full((ROWS,), 0.25), 24, generator())
    by_segment = hidden.reshape(ROWS, 8, 24)
    assert torch.equal(by_segment.all(-1), by_segment.any(-1))
    assert not by_segment[:, 0].any()
    assert (by_segment[:, 1:].float().mean() - 0.25).abs() < 0.02


@pytest.mark.parametrize("time", [1, 5, 40, TIME])
def test_a_mixture_has_all_shapes_and_is_the_same_for_the_same_seed(time: int) -> None:
    first, second = (gap_masks.mixed_gaps(ROWS, time, generator()) for _ in range(2))
    assert first.shape == (ROWS, time)
    assert torch.equal(first, second)
    assert 0.1 < first.float().mean() < 0.7


def test_a_batch_has_one_row_for_every_channel() -> None:
    rows = torch.arange(6)[:, None].expand(6, 4) % 2 == 0
    batch = gap_masks.in_batch(rows, 3)
    assert batch.shape == (3, 4, 2)
    assert batch[:, :, 0].all()
    assert not batch[:, :, 1].any()
