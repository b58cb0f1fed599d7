"""The network applied to a catalogue, against the formula."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from kgrec.catalogue import Catalogue, EncodeItems, Head
from kgrec.model.channels import FeatureChannel
from kgrec.model.network import Network
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
TYPICAL = np.array([0.5, 0.1, 0.2, 0.0], np.float32)


def make_network() -> Network:
    kernel = ROWS[CORE] @ ROWS[CORE].T + RIDGE * np.eye(4, dtype=np.float32)
    whitening = Whitening(np.zeros(3, np.float32), np.eye(3, dtype=np.float32))
    return Network(
        (FeatureChannel("features", whitening),),
        Propagation([1.0], 0.0),
        torch.as_tensor(draw(4, 4, seed=1)),
        torch.as_tensor(draw(4, 4, seed=2)),
        torch.as_tensor(np.linalg.inv(kernel)),
        Prominence.learn([ROWS[CORE]], np.arange(1, 5)),
        0.0,
    )


def rows_of(rows: NDArray[np.float32]) -> EncodeItems:
    return lambda items: [rows[items]]


def apply(network: Network, rows: NDArray[np.float32] = ROWS) -> Catalogue:
    head = Head.of(network, [rows[CORE]], TYPICAL)
    return Catalogue.compute(head, CORE, rows_of(rows), len(rows))


def columns(catalogue: Catalogue) -> NDArray[np.float32]:
    return np.stack([catalogue.column(item) for item in range(len(ROWS))], axis=1)


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return apply(make_network())


def test_core_items_are_collaborative_and_others_by_content(catalogue: Catalogue) -> None:
    kernel = ROWS[CORE] @ ROWS[CORE].T + RIDGE * np.eye(4)
    projection = np.linalg.solve(kernel, ROWS[CORE] @ ROWS[OTHER].T)
    np.testing.assert_allclose(catalogue.projections(OTHER), projection.T, atol=1e-4)
    weights = columns(catalogue)
    np.testing.assert_array_equal(weights[:, CORE], draw(4, 4, seed=1))
    np.testing.assert_allclose(weights[:, OTHER], draw(4, 4, seed=2) @ projection, atol=1e-4)
    assert np.flatnonzero(catalogue.by_content).tolist() == OTHER.tolist()


def test_a_core_item_speaks_for_itself_and_others_through_it(catalogue: Catalogue) -> None:
    used = np.zeros((3, 7), np.float32)
    used[0, 2] = used[1, 4] = used[2, 4] = used[2, 5] = 1
    through = catalogue.projections(np.array([4]))[0]
    written = np.array([np.eye(4)[1], through, through + np.eye(4)[3]])
    scores = catalogue.scores(sparse.csr_array(used))
    for item in range(7):
        of_item = catalogue.column_scores(sparse.csr_array(used), item)
        np.testing.assert_allclose(of_item, scores[:, item], atol=1e-5)
    np.testing.assert_allclose(scores, written @ columns(catalogue), atol=1e-5)
    assert scores.dtype == np.float32


def test_nobody_gets_what_a_typical_history_gives(catalogue: Catalogue) -> None:
    scores = catalogue.scores(sparse.csr_array(np.zeros((1, 7), np.float32)))
    np.testing.assert_allclose(scores[0], TYPICAL @ columns(catalogue), atol=1e-5)


def test_the_score_of_one_user_is_that_in_the_batch(catalogue: Catalogue) -> None:
    used = sparse.csr_array((draw(20, 7, seed=5) > 0.5).astype(np.float32))
    together = catalogue.scores(used)
    alone = np.concatenate([catalogue.scores(used[[row]]) for row in range(20)])
    np.testing.assert_allclose(alone, together, atol=1e-6)


def test_prominent_items_gain_and_core_items_stay() -> None:
    silent = np.where((np.arange(7) < 4)[:, None], ROWS, 0.0).astype(np.float32)
    prominence = Prominence.learn([silent], np.array([9, 9, 9, 9, 1, 1, 1]))
    plain = replace(make_network(), prominence=prominence)
    without, with_gain = (
        apply(replace(plain, prominence_strength=power), silent) for power in (0.0, 0.5)
    )
    gain = np.exp(0.5 * prominence.of([silent]))[OTHER]
    assert gain[0] > 1 > gain[1]
    np.testing.assert_array_equal(columns(with_gain)[:, CORE], columns(without)[:, CORE])
    expected = columns(without)[:, OTHER] * gain
    np.testing.assert_allclose(columns(with_gain)[:, OTHER], expected, rtol=1e-5)
    np.testing.assert_array_equal(with_gain.projections(OTHER), without.projections(OTHER))
    nobody = sparse.csr_array(np.zeros((1, 7), np.float32))
    np.testing.assert_allclose(
        with_gain.scores(nobody)[0, OTHER], without.scores(nobody)[0, OTHER] * gain, rtol=1e-5
    )


@pytest.fixture(scope="module")
def compressed() -> Catalogue:
    head, kept = Head.of(make_network(), [ROWS[CORE]], TYPICAL).compressed([ROWS], 512)
    assert kept == pytest.approx(1.0)
    return Catalogue.compute(head, CORE, rows_of(ROWS), len(ROWS))


def test_columns_over_all_their_components_are_the_same(
    catalogue: Catalogue, compressed: Catalogue
) -> None:
    assert compressed.head.width == 3  # content of three numbers has three components
    assert compressed.base.weights.shape == (3 + 1, len(OTHER))
    np.testing.assert_allclose(columns(compressed), columns(catalogue), atol=1e-5)
    np.testing.assert_allclose(
        compressed.projections(OTHER), catalogue.projections(OTHER), atol=1e-5
    )
    np.testing.assert_allclose(compressed.lengths, catalogue.lengths, atol=1e-5)
    everything = np.arange(7)
    for name in ("similarity", "pair_similarity"):
        np.testing.assert_allclose(
            getattr(compressed, name)(everything), getattr(catalogue, name)(everything), atol=1e-5
        )
    used = (draw(20, 7, seed=5) > 0.5).astype(np.float32)
    used[3] = 0  # nobody
    histories = sparse.csr_array(used)
    np.testing.assert_allclose(compressed.scores(histories), catalogue.scores(histories), atol=1e-4)
    assert compressed.typical_score(OTHER[0]) == pytest.approx(catalogue.typical_score(OTHER[0]))


def test_the_strongest_components_are_kept(catalogue: Catalogue) -> None:
    head, kept = catalogue.head.compressed([ROWS], 2)
    own = Catalogue.compute(head, CORE, rows_of(ROWS), len(ROWS))
    exact = catalogue.head.columns([ROWS]).weights[:-1]
    left, strengths, _ = np.linalg.svd(exact)
    best = left[:, :2] @ left[:, :2].T @ exact
    np.testing.assert_allclose(columns(own)[:, OTHER], best[:, OTHER], atol=1e-4)
    assert strengths[2] > 0.01 * strengths[0]  # something was lost
    assert kept == pytest.approx((strengths[:2] ** 2).sum() / (strengths**2).sum(), abs=1e-3)


def test_a_compressed_item_that_arrives_is_as_if_it_had_been_there(compressed: Catalogue) -> None:
    early = Catalogue.compute(compressed.head, CORE, rows_of(ROWS[:6]), 6)
    moves, core = np.arange(6), np.where(CORE < 6, CORE, -1)
    late = early.moved(moves, core, np.array([6]), [ROWS[6:]], 7)
    assert late.recent == 1
    for item in OTHER[OTHER < 7]:
        np.testing.assert_array_equal(late.column(int(item)), compressed.column(int(item)))
    compact = late.compact()
    assert compact.recent == 0
    np.testing.assert_array_equal(compact.base.weights, compressed.base.weights)
    np.testing.assert_array_equal(compact.base.projection, compressed.base.projection)


def test_columns_are_compressed_where_that_saves_memory(catalogue: Catalogue) -> None:
    assert not catalogue.head.should_compress(10**9, 1.0, 512)  # four numbers are no more
    assert catalogue.head.should_compress(10**9, 1.0, 2)
    assert not catalogue.head.should_compress(10**7, 1.0, 2)


def test_computed_some_items_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = apply(make_network())
    monkeypatch.setattr("kgrec.catalogue.ENCODED_ITEMS", 2)
    asked: list[list[int]] = []

    def encode(items: NDArray[np.int64]) -> list[NDArray[np.float32]]:
        asked.append(items.tolist())
        return [ROWS[items]]

    streamed = Catalogue.compute(whole.head, CORE, encode, len(ROWS))
    assert asked == [[1, 4], [6]]
    np.testing.assert_array_equal(columns(streamed), columns(whole))
    np.testing.assert_array_equal(streamed.projections(OTHER), whole.projections(OTHER))
    np.testing.assert_array_equal(streamed.lengths, whole.lengths)


@pytest.mark.parametrize("is_compressed", [False, True])
def test_histories_are_scored_alone_as_in_company(is_compressed: bool) -> None:
    head = Head.of(make_network(), [ROWS[CORE]], TYPICAL)
    head = head.compressed([ROWS], 512)[0] if is_compressed else head
    catalogue = Catalogue.compute(head, CORE, rows_of(ROWS), len(ROWS))
    used = (np.random.default_rng(0).random((20, 7)) < 0.4).astype(np.float32)
    used[3] = 0
    used[4, OTHER] = 0
    together = catalogue.scores(sparse.csr_array(used))
    alone = [catalogue.scores(sparse.csr_array(used[[row]]))[0] for row in range(20)]
    np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-6)
    weights = columns(catalogue)
    voices = catalogue.voices(np.arange(7))
    np.testing.assert_allclose(together[4], used[4] @ voices @ weights, atol=1e-5)
    np.testing.assert_allclose(together[5], used[5] @ voices @ weights, atol=1e-5)
