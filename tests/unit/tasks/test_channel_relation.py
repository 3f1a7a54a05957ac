"""How channels go together: what the others do not explain, from earlier rows alone."""

import numpy as np
import pytest

from tsfm.tasks.detect import Detector
from tsfm.tasks.detection.channel_relation import (
    FEWEST_PER_CHANNEL,
    _left_over,
    joined_scores,
    past_relation,
    relation_distances,
    row_distance,
)
from tsfm.tasks.detection.score_rule import ScoreRule

NAN = float("nan")
RULE = ScoreRule(range_length=300, relation_weight=3.0)
PATCH = 16


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector.from_pretrained("tsfm-small", device="cpu")


def related(n_rows: int = 480, n_channels: int = 4, seed: int = 0) -> np.ndarray:
    """Channels of one hidden walk at different scales, each with a little noise of its own."""
    generator = np.random.default_rng(seed)
    hidden = np.sin(np.arange(n_rows) / 7) + generator.normal(0, 0.3, n_rows)
    noise = generator.normal(0, 0.1, (n_rows, n_channels))
    return (hidden[:, None] + noise) * 10.0 ** np.arange(n_channels) + 5.0


def distances(values: np.ndarray, rule: ScoreRule = RULE) -> np.ndarray:
    return relation_distances(values, 0, PATCH, rule)


def flipped(values: np.ndarray, rows: slice = slice(400, 430)) -> np.ndarray:
    changed = values.copy()
    changed[rows, 1] = 2 * np.median(values[:, 1]) - values[rows, 1]
    return changed


def test_a_channel_that_parts_from_the_others_is_far_though_its_values_are_usual():
    values = related()
    changed = flipped(values)
    assert changed[400:430, 1].max() <= values[:400, 1].max()
    found = distances(changed)
    assert np.median(found[400:430]) > 3 * np.nanmedian(found[:400])
    assert np.nanmedian(found[:400]) == pytest.approx(1.0, abs=0.3)


def test_what_is_left_is_that_of_a_ridge_regression():
    past, row = related(300), related(301, seed=1)[-1:]
    units = (past - past.mean(0)) / past.std(0)
    others, own = units[:, 1:], units[:, 0]
    # The shrunk covariance is that of the rows with this much added to the diagonal.
    added = len(past) * 0.03 / 0.97
    weights = np.linalg.solve(others.T @ others + added * np.eye(3), others.T @ own)
    unit = np.sqrt(np.mean((own - others @ weights) ** 2))
    position = (row[0] - past.mean(0)) / past.std(0)
    ours = position @ _left_over(past_relation(past).covariance)
    assert ours[0] == pytest.approx((position[0] - position[1:] @ weights) / unit, rel=1e-6)
    found = row_distance(row, past_relation(past))
    np.testing.assert_allclose(found, np.sqrt(np.mean(ours**2)))


def test_a_missing_channel_explains_nothing():
    past, row = related(300), related(301, seed=1)[-1:]
    row[0, 2] = NAN
    three = [0, 1, 3]
    expected = row_distance(row[:, three], past_relation(past[:, three]))
    np.testing.assert_allclose(row_distance(row, past_relation(past)), expected, rtol=1e-9)


def test_later_rows_never_move_a_distance():
    values = related()
    found = distances(values)
    for row in (301, 320, 335):
        later = values.copy()
        later[row:] = 1e6 * related(seed=5)[row:]
        np.testing.assert_array_equal(distances(later)[:row], found[:row])
    before = values.copy()
    before[290:300] += 50.0
    assert (distances(before)[304:320] != found[304:320]).all()


def test_neither_order_nor_units_of_channels_matter():
    values = flipped(related())
    found = distances(values)
    np.testing.assert_allclose(distances(values[:, [2, 0, 3, 1]]), found, rtol=1e-6)
    np.testing.assert_allclose(distances(values * [1e-6, 3.0, 1e5, -2.0] - 7.0), found, rtol=1e-4)


def test_a_row_without_some_channels_is_judged_by_the_others():
    values = flipped(related())
    values[410:420, 0] = NAN
    values[415, 1:] = NAN
    found = distances(values)
    assert np.isnan(found[415])
    present = np.setdiff1d(np.arange(410, 420), [415])
    assert np.median(found[present]) > 2 * np.nanmedian(found[:400])
    assert np.isfinite(found[420:]).all()


def test_a_channel_that_was_never_there_or_never_moved_changes_nothing():
    values = flipped(related())
    found = distances(values)
    for constant in (NAN, 0.1, 0.0, 1e12):
        wider = np.column_stack([values, np.full(len(values), constant)])
        np.testing.assert_allclose(distances(wider), found, rtol=1e-9)
    still = np.full((200, 3), 0.1)
    assert np.isnan(distances(still)).all()


def test_too_few_rows_have_no_relation():
    assert past_relation(related(63)) is None
    assert past_relation(related(64)) is not None
    wide = related(FEWEST_PER_CHANNEL * 20, 20)
    assert past_relation(wide) is not None
    assert past_relation(wide[1:]) is None


def test_the_past_has_an_end():
    values = related()
    early = values.copy()
    early[:100] *= 9.0
    short = ScoreRule(range_length=128, relation_weight=3.0)
    np.testing.assert_array_equal(distances(early, short)[240:], distances(values, short)[240:])
    assert (distances(early)[240:256] != distances(values)[240:256]).all()


def test_huge_values_have_a_distance():
    values = related() * 1e200
    values[450] = -1e308
    with np.errstate(over="ignore"):
        found = distances(values)
    assert not np.isinf(found).any()


def test_one_channel_keeps_its_score_and_several_without_weight_their_mean():
    scores, values = np.abs(related(n_channels=2)), related(n_channels=2)
    offsets = np.array([0, len(values)])
    one = joined_scores(scores[:, :1], values[:, :1], offsets, PATCH, RULE)
    np.testing.assert_array_equal(one, scores[:, 0])
    plain = joined_scores(scores, values, offsets, PATCH, ScoreRule())
    np.testing.assert_array_equal(plain, scores.mean(1))


def test_items_know_nothing_of_each_other():
    first, second = flipped(related()), related(400, seed=3)
    scores = np.ones((880, 4))
    values, offsets = np.concatenate([first, second]), np.array([0, 480, 880])
    both = joined_scores(scores, values, offsets, PATCH, RULE)
    alone = joined_scores(scores[480:], second, np.array([0, 400]), PATCH, RULE)
    np.testing.assert_array_equal(both[480:], alone)


def test_a_detector_finds_the_channel_that_turned(detector):
    values, offsets = flipped(related()), np.array([0, 480])
    apart = Detector(detector.model, device="cpu")
    detector = Detector(detector.model, rule=RULE, device="cpu")
    together = detector.score_arrays(values, offsets)
    assert np.argmax(together[200:]) + 200 in range(400, 446)
    mean = apart.score_arrays(values, offsets)
    means = [
        apart.score_arrays(np.ascontiguousarray(values[:, [one]]), offsets) for one in range(4)
    ]
    np.testing.assert_allclose(mean, np.mean(means, axis=0), rtol=1e-4)


def test_a_stream_has_the_scores_of_the_whole(detector):
    values = flipped(related())
    values[:5] = NAN
    values[5:40, 0] = NAN
    values[200:230] = NAN
    values[300:310, 2] = NAN
    short = Detector(detector.model, rule=RULE, device="cpu")
    whole = short.score_arrays(values, np.array([0, len(values)]))
    stream = short.stream(n_channels=4)
    streamed = np.array([stream.update(row).anomaly_score for row in values])
    np.testing.assert_allclose(streamed, whole, rtol=1e-3)
    assert np.nanmax(whole[400:430]) > np.nanmax(whole[310:400])
    assert len(stream.together.rows) <= RULE.range_length + PATCH
    assert len(stream.together.distances) <= RULE.relation_smoothing
