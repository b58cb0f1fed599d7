"""Curves, and a list that warm and cold items share."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from kgrec.calibration import Curve, MixedTrial, Mixing, calibrate, compress, without_seen
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import expit

USERS, WARM, COLD = 200, 60, 20
USUAL = 20.0
ONE = np.array([1])


def draw_trial(cold_offset: float = -1.0, seed: int = 0, length: float = 0.0) -> MixedTrial:
    """Draw held-out pairs whose log-odds are known functions of the scores."""
    random = np.random.default_rng(seed)
    warm = random.normal(size=(USERS, WARM)).astype(np.float32)
    cold = random.normal(size=(USERS, COLD)).astype(np.float32)

    lengths = random.integers(2, 50, USERS)

    def used(
        scores: NDArray[np.float32], slope: float, offset: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        chance = expit(slope * compress(scores) + offset[:, None])
        return (random.random(scores.shape) < chance).astype(np.float32)

    warm_used = used(warm, 0.8, np.full(USERS, -3.0))
    cold_used = used(cold, 0.5, cold_offset + length * np.log(lengths / USUAL))
    kept = warm_used.any(axis=1) | cold_used.any(axis=1)
    return MixedTrial(warm[kept], cold[kept], warm_used[kept], cold_used[kept], lengths[kept])


def test_scores_are_compressed_in_their_order() -> None:
    scores = np.array([-np.inf, -3, -0.01, 0, 0.01, 3], np.float32)
    compressed = compress(scores)
    assert compressed[0] == -np.inf
    assert compressed[3] == 0
    assert (np.diff(compressed[1:]) > 0).all()
    np.testing.assert_allclose(compressed[1:3], -compressed[:3:-1])
    assert compressed.dtype == np.float32


def test_the_order_within_each_group_stays() -> None:
    scores = np.random.default_rng(0).normal(size=(5, 30)).astype(np.float32)
    cold = np.arange(30) % 3 == 0
    mixed = calibrate([draw_trial()], 0.03).mix(scores, cold, np.arange(5))
    for group in (cold, ~cold):
        before = np.argsort(scores[:, group], axis=1)
        np.testing.assert_array_equal(np.argsort(mixed[:, group], axis=1), before)
    assert mixed.dtype == np.float32


def test_the_lift_moves_cold_items_alone() -> None:
    scores, cold = np.ones((1, 4), np.float32), np.array([True, False, True, False])
    plain, lifted = Mixing().mix(scores, cold, ONE), Mixing(lift=2.0).mix(scores, cold, ONE)
    np.testing.assert_allclose(lifted - plain, [[2, 0, 2, 0]], rtol=1e-6)


@pytest.mark.parametrize("nobody", [True, False])
def test_one_group_alone(nobody: bool) -> None:
    mixed = Mixing(lift=1.0).mix(np.ones((2, 3), np.float32), np.full(3, nobody), np.arange(2))
    assert np.isfinite(mixed).all()


def test_curves_follow_the_log_odds() -> None:
    mixing = calibrate([draw_trial()], 0.0)
    assert mixing.lift == 0
    assert mixing.warm.slope == pytest.approx(0.8, abs=0.2)
    assert mixing.cold.slope == pytest.approx(0.5, abs=0.1)
    assert mixing.cold.offset == pytest.approx(-1.0, abs=0.2)


def test_the_curve_of_cold_items_follows_the_length_of_the_history() -> None:
    mixing = calibrate([draw_trial(seed=seed, length=-0.7) for seed in range(3)], 0.0)
    assert mixing.cold.length == pytest.approx(-0.7, abs=0.1)
    assert mixing.warm.length == 0
    assert mixing.cold.shortest == pytest.approx(2)
    assert mixing.cold.longest == pytest.approx(49)
    levels = mixing.cold.level(np.array([20, 49, 1000, 2, 1, 0]))
    assert levels[0] == pytest.approx(-1.0, abs=0.2)
    assert levels[1] == levels[2] < levels[0] < levels[3] == levels[4]  # nothing beyond the known
    assert levels[5] == pytest.approx(mixing.cold.offset)  # nothing used yet: as usual


def test_several_draws_are_calibrated_on_together() -> None:
    trials = [draw_trial(-3.0, seed) for seed in range(3)]
    mixing = calibrate(trials, 0.05)
    losses = [one.overall_recall(mixing) / one.overall_recall(None) - 1 for one in trials]
    assert min(losses) < -0.05 < max(losses)
    hidden = np.mean([one.overall_recall(None) for one in trials])
    assert np.mean([one.overall_recall(mixing) for one in trials]) == pytest.approx(
        0.95 * hidden, rel=0.01
    )


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("tolerance", [0.01, 0.03, 0.2])
def test_the_lift_costs_no_more_than_is_tolerated(tolerance: float, seed: int) -> None:
    trial = draw_trial(-3.0, seed)
    mixing = calibrate([trial], tolerance)
    least = (1 - tolerance) * trial.overall_recall(None)
    assert mixing.lift == 0 or trial.overall_recall(mixing) >= least


def test_more_tolerance_lifts_further() -> None:
    lifts = [calibrate([draw_trial(-4.0)], tolerance).lift for tolerance in (0.0, 0.02, 0.1, 0.5)]
    assert lifts == sorted(lifts)
    assert lifts[-1] > lifts[0] == 0


def test_too_few_held_out_pairs() -> None:
    trial = draw_trial()
    nothing = np.zeros_like(trial.cold_positives)
    few = replace(trial, cold_positives=nothing)
    assert calibrate([few], 0.03) == Mixing(Curve(1.0, 0.0), Curve(1.0, 0.0), 0.0)


def test_scores_that_mislead() -> None:
    trial = draw_trial()
    assert calibrate([replace(trial, warm_scores=-trial.warm_scores)], 0.03) == Mixing()
    assert calibrate([replace(trial, cold_scores=-trial.cold_scores)], 0.03) == Mixing()


def test_recall_of_all_held_out_pairs() -> None:
    scores = np.array([[3, 2, 1]], np.float32)
    trial = MixedTrial(
        scores, scores, np.array([[1, 0, 0]], np.float32), np.array([[0, 1, 0]], np.float32), ONE
    )
    assert trial.overall_recall(None) == 0.5
    assert trial.overall_recall(Mixing()) == 1.0


def test_the_lift_decides_what_is_listed() -> None:
    warm, cold = np.ones((1, 25), np.float32), np.zeros((1, 1), np.float32)
    trial = MixedTrial(warm, cold, np.zeros_like(warm), np.ones_like(cold), ONE)
    assert trial.overall_recall(Mixing()) == 0
    assert trial.overall_recall(Mixing(lift=10.0)) == 1


def test_what_was_used_is_never_listed() -> None:
    used = sparse.csr_array(np.array([[0, 1], [1, 0]], np.float32))
    scores = np.ones((2, 2), np.float32)
    assert without_seen(scores, used) is scores
    assert scores.tolist() == [[1, -np.inf], [-np.inf, 1]]
