"""The network applied to a catalogue, against the formula."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from kgrec.model.channels import FeatureChannel
from kgrec.model.network import ItemWeights, Network, apply_network
from kgrec.model.prominence import Prominence
from kgrec.model.propagation import Propagation
from kgrec.model.whitening import Whitening
from numpy.typing import NDArray
from scipy import sparse

CORE = np.array([0, 2, 3, 5])
OTHER = np.array([1, 4, 6])
RIDGE = 0.3


def draw(*shape: int, seed: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


ROWS = draw(7, 3, seed=0)


def make_network(strength: float = 0.0) -> Network:
    kernel = ROWS[CORE] @ ROWS[CORE].T + RIDGE * np.eye(4, dtype=np.float32)
    whitening = Whitening(np.zeros(3, np.float32), np.eye(3, dtype=np.float32))
    return Network(
        (FeatureChannel("features", whitening),),
        Propagation([1.0], 0.0),
        torch.as_tensor(draw(4, 4, seed=1)),
        torch.as_tensor(draw(4, 4, seed=2)),
        torch.as_tensor(np.linalg.inv(kernel)),
        Prominence.learn([ROWS[CORE]], np.arange(1, 5)),
        strength,
    )


@pytest.fixture(scope="module")
def item_weights() -> ItemWeights:
    return apply_network(make_network(), CORE, [ROWS])


def test_core_items_are_collaborative_and_others_by_content(item_weights: ItemWeights) -> None:
    kernel = ROWS[CORE] @ ROWS[CORE].T + RIDGE * np.eye(4)
    projection = np.linalg.solve(kernel, ROWS[CORE] @ ROWS[OTHER].T)
    assert item_weights.other.tolist() == OTHER.tolist()
    np.testing.assert_allclose(item_weights.projection, projection, atol=1e-4)
    np.testing.assert_array_equal(item_weights.weights[:, CORE], draw(4, 4, seed=1))
    expected = draw(4, 4, seed=2) @ projection
    np.testing.assert_allclose(item_weights.weights[:, OTHER], expected, atol=1e-4)
    assert np.flatnonzero(item_weights.by_content).tolist() == OTHER.tolist()


def test_a_core_item_speaks_for_itself_and_others_through_it(item_weights: ItemWeights) -> None:
    used = np.zeros((3, 7), np.float32)
    used[0, 2] = used[1, 4] = used[2, 4] = used[2, 5] = 1
    written = item_weights.core_histories(sparse.csr_array(used)).toarray()
    through = item_weights.projection[:, 1]
    expected = [np.eye(4)[1], through, through + np.eye(4)[3]]
    np.testing.assert_allclose(written, np.array(expected), atol=1e-6)
    scores = item_weights.scores(sparse.csr_array(used))
    np.testing.assert_allclose(scores, written @ item_weights.weights, atol=1e-5)
    assert scores.dtype == np.float32


def test_the_score_of_one_user_is_that_in_the_batch(item_weights: ItemWeights) -> None:
    used = sparse.csr_array((draw(20, 7, seed=5) > 0.5).astype(np.float32))
    together = item_weights.scores(used)
    alone = np.concatenate([item_weights.scores(used[[row]]) for row in range(20)])
    np.testing.assert_allclose(alone, together, atol=1e-6)


def test_everything_is_core() -> None:
    weights = apply_network(make_network(), np.arange(4), [ROWS[CORE]])
    assert weights.projection.shape == (4, 0)
    assert not weights.by_content.any()


def test_prominent_items_gain_and_core_items_stay() -> None:
    half = np.arange(7) < 4
    silent = np.where(half[:, None], ROWS, 0.0).astype(np.float32)
    prominence = Prominence.learn([silent], np.array([9, 9, 9, 9, 1, 1, 1]))
    plain = make_network()
    network = replace(plain, prominence=prominence, prominence_strength=0.5)
    without, with_gain = (apply_network(each, CORE, [silent]) for each in (plain, network))
    gain = np.exp(0.5 * prominence.of([silent]))[OTHER]
    assert gain[0] > 1 > gain[1]
    np.testing.assert_array_equal(with_gain.weights[:, CORE], without.weights[:, CORE])
    expected = without.weights[:, OTHER] * gain
    np.testing.assert_allclose(with_gain.weights[:, OTHER], expected, rtol=1e-5)
    np.testing.assert_array_equal(with_gain.projection, without.projection)
