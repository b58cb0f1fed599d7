"""Fitting: what is solved, for whom, and that nothing hidden leaks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from kgrec import Recommender, TextEncoder, fitting
from kgrec.calibration import MixedTrial, Mixing
from kgrec.config import Config
from kgrec.errors import TrainingError
from kgrec.fitting import Fit, choose_core, fit_network
from kgrec.graph import KnowledgeGraph
from kgrec.model.channels import Channel, NeighbourChannel, TermChannel, learn_channels
from kgrec.model.neighbours import Surroundings
from scipy import sparse

from tests.baselines.worlds import checkerboard
from tests.evaluation.worlds import make_graph
from tests.live_world import live_graph

CONFIG = Config(steps=5)


def fit(graph: KnowledgeGraph, config: Config = CONFIG, seed: int = 0) -> Fit:
    vectors = {kind: np.zeros((len(table), 4), np.float32) for kind, table in graph.nodes.items()}
    channels, rows = learn_channels(graph, vectors)
    core = choose_core(graph.interaction_matrix(), config.core_items)
    return fit_network(graph, core, channels, [matrix[core] for matrix in rows], config, seed)


def test_the_most_used_items_are_the_core() -> None:
    used = sparse.csr_array(np.array([[1, 0, 1, 1, 0], [1, 0, 1, 0, 1], [1, 0, 0, 0, 0]]))
    assert choose_core(used, 9).tolist() == [0, 2, 3, 4]
    assert choose_core(used, 2).tolist() == [0, 2]
    assert choose_core(used, 3).tolist() == [0, 2, 3]  # of the ties the first


def test_the_inverse_is_that_of_the_kernel() -> None:
    graph = checkerboard()
    fitted = fit(graph)
    around = Surroundings(graph)
    rows = [channel.encode(around, {})[fitted.core] for channel in fitted.network.channels]
    kernel = fitted.cold.propagation().kernel(rows, rows).double()
    product = fitted.network.inverse.double() @ (kernel + fitted.cold.ridge * torch.eye(20))
    np.testing.assert_allclose(product.numpy(), np.eye(20), atol=1e-3)


def test_shapes_and_what_was_chosen() -> None:
    fitted = fit(checkerboard())
    network = fitted.network
    for matrix in (network.core_weights, network.teacher, network.inverse):
        assert matrix.shape == (20, 20)
        assert matrix.dtype == torch.float32
        assert not matrix.requires_grad
    assert not network.core_weights.diagonal().any()
    np.testing.assert_allclose(network.propagation.shares().tolist(), fitted.cold.shares, rtol=1e-5)
    assert network.propagation.sharpness == fitted.cold.sharpness
    assert {"own words", "neighbours"} <= {channel.name for channel in network.channels}


def test_mixing_is_tried_on_pairs_and_items_that_were_held_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trials: list[MixedTrial] = []

    def look(tried: Sequence[MixedTrial], tolerance: float) -> Mixing:
        assert tolerance == CONFIG.cold_tolerance
        trials.extend(tried)
        return Mixing()

    monkeypatch.setattr("kgrec.fitting.calibrate", look)
    fit(checkerboard())
    assert len(trials) == 3
    for trial in trials:
        used = np.isneginf(trial.warm_scores)
        assert used.sum(axis=1).tolist() == trial.lengths.tolist()
        assert used.any(axis=1).all()
        assert not (used & (trial.warm_positives > 0)).any()
        assert np.isfinite(trial.cold_scores).all()
        positives = trial.warm_positives.sum(axis=1) + trial.cold_positives.sum(axis=1)
        assert (positives > 0).all()
        assert trial.warm_scores.shape[1] + trial.cold_scores.shape[1] == 20


def test_few_core_items() -> None:
    fitted = fit(checkerboard(), Config(steps=2, core_items=6))
    assert len(fitted.core) == 6
    assert fitted.network.teacher.shape == (6, 6)
    assert fitted.mixing == Mixing()  # too few to calibrate on


def test_a_seed_gives_one_fit() -> None:
    first, again = fit(checkerboard(), seed=1), fit(checkerboard(), seed=1)
    assert first.cold == again.cold
    assert first.warm == again.warm
    assert first.mixing == again.mixing
    assert torch.equal(first.network.core_weights, again.network.core_weights)
    assert torch.equal(first.network.inverse, again.network.inverse)


def test_equal_items_and_rows_of_nothing() -> None:
    films: dict[str, str | None] = dict.fromkeys(
        [f"i{i:02}" for i in range(30)], "the very same words"
    )
    films |= dict.fromkeys([f"j{i:02}" for i in range(10)])
    random = np.random.default_rng(0)
    watched = [(f"u{user}", film) for user in range(15) for film in films if random.random() < 0.4]
    fitted = fit(make_graph(films, watched), Config(steps=3))
    for matrix in (fitted.network.core_weights, fitted.network.teacher, fitted.network.inverse):
        assert torch.isfinite(matrix).all()


def test_single_relations_share_one_weight_before_training() -> None:
    genres = {f"i{i}": ["x"] for i in range(3)}
    graph = make_graph(
        dict.fromkeys(genres), [("u", "i0"), ("v", "i1")], genres, [("i0", "i1"), ("i1", "i0")]
    )
    around = Surroundings(graph)
    channels: list[Channel] = [
        TermChannel.learn("own words", around, with_neighbours=True),
        NeighbourChannel.learn("neighbours", around, around.relations),
        *(NeighbourChannel.learn(kind[1], around, (kind,)) for kind in around.relations),
    ]
    core = choose_core(graph.interaction_matrix(), 9)
    rows = [channel.encode(around, {})[core] for channel in channels]
    shares = fit_network(graph, core, channels, rows, CONFIG, 0).cold.shares
    np.testing.assert_allclose(shares, np.array([1, 1, 1.25, 1.25]) / 4.5, rtol=1e-5)


def test_weights_that_are_not_finite_are_refused_and_the_former_state_stays(
    tiny_encoder: TextEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = live_graph()
    model = Recommender(Config(steps=1, core_items=20), encoder=tiny_encoder).fit(graph, seed=0)
    before = model.recommend("person00", 5)

    def overflow(histories: sparse.csr_array, _: float) -> torch.Tensor:
        return torch.full((histories.shape[1],) * 2, torch.inf)

    monkeypatch.setattr(fitting, "teacher_weights", overflow)
    with pytest.raises(TrainingError, match="the teacher weights are not all finite"):
        model.fit(graph, seed=1)
    assert model.recommend("person00", 5).equals(before)
