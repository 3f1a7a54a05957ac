"""States of a machine that last: where the labels are, how little a channel moves, for how long."""

import numpy as np
import pytest

from tsfm.evaluation.injected_states import (
    LONGEST_STATE,
    SHORTEST_STATE,
    STATES,
    inject_state,
    machine,
)


def noise(n_channels: int = 6, n_rows: int = 2000) -> np.ndarray:
    return np.random.default_rng(0).normal(5.0, 2.0, (n_rows, n_channels))


@pytest.mark.parametrize("kind", sorted(STATES))
@pytest.mark.parametrize("seed", range(6))
def test_a_state_is_one_run_where_the_labels_are(kind, seed):
    values = noise()
    changed, labels = inject_state(values, kind, np.random.default_rng(seed))
    np.testing.assert_array_equal(changed[~labels], values[~labels])
    assert (changed != values).any(axis=1)[labels].all()
    moved = (changed[labels] != values[labels]).any(axis=0)
    assert moved.sum() >= 3
    start, stop = np.flatnonzero(np.diff(labels, prepend=False, append=False))
    assert start >= len(values) // 3
    assert stop == len(values) or SHORTEST_STATE <= stop - start < LONGEST_STATE
    assert stop - start >= SHORTEST_STATE


def test_some_states_end_and_some_do_not():
    ends = [
        inject_state(noise(), "levels", np.random.default_rng(seed))[1][-1] for seed in range(20)
    ]
    assert 4 < sum(ends) < 16


def test_levels_move_by_little_and_spreads_keep_the_level():
    values = noise()
    for seed in range(6):
        changed, labels = inject_state(values, "levels", np.random.default_rng(seed))
        shift = (changed - values)[labels]
        assert np.abs(shift).max() < 1.6 * 2.2
        np.testing.assert_allclose(shift, np.broadcast_to(shift[0], shift.shape))
        changed, labels = inject_state(values, "spreads", np.random.default_rng(seed))
        ratio = changed[labels].std(0) / values[labels].std(0)
        assert ratio.min() >= 0.3 - 1e-9
        assert ratio.max() <= 3.0 + 1e-9
        assert np.abs(np.median(changed[labels] - values[labels], axis=0)).max() < 1.0


def test_a_drift_begins_small_and_stays():
    values = noise()
    changed, labels = inject_state(values, "drift", np.random.default_rng(1))
    shift = np.abs(changed - values)[labels].max(axis=1)
    assert shift[0] < 0.05 * shift[-1]
    assert (np.diff(shift) >= -1e-9).all()
    np.testing.assert_allclose(shift[len(shift) // 2 :], shift[-1])


def test_coupling_is_new_while_the_power_of_all_channels_is_not():
    hidden = np.random.default_rng(2).normal(size=(2000, 1))
    values = hidden * [1.0, 1.0, -1.0, 1.0] + noise(4) / 10
    changed, labels = inject_state(values, "coupling", np.random.default_rng(3))
    before, after = (np.corrcoef(part[labels].T) for part in (values, changed))
    assert np.abs(after - before).max() > 0.5
    powers = [((part[labels] - np.median(values, 0)) ** 2).sum() for part in (values, changed)]
    assert powers[1] == pytest.approx(powers[0], rel=0.2)


def test_one_channel_has_states_too():
    values = noise(1)
    for kind in set(STATES) - {"coupling"}:
        changed, labels = inject_state(values, kind, np.random.default_rng(5))
        assert (changed[labels] != values[labels]).all(), kind


def test_a_machine_is_the_same_all_the_time():
    for seed in range(8):
        values = machine(np.random.default_rng(seed))
        assert np.isfinite(values).all()
        assert 800 <= len(values) < 3000
        assert 3 <= values.shape[1] < 9
        first, second = np.array_split(values, 2)
        spread = values.std(axis=0)
        assert (spread > 0).all()
        assert (np.abs(first.mean(0) - second.mean(0)) < spread).all()
        assert (np.abs(np.log(first.std(0) / second.std(0))) < np.log(2)).all()
    again = machine(np.random.default_rng(7))
    np.testing.assert_array_equal(again, values)
