"""LightGCN: vectors of users and items, smoothed over who used what."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor, nn

from kgrec.baselines.training import as_tensor, draw, seeded, train
from kgrec.baselines.validation import Fold, hold_out_pairs, used_matrix
from kgrec.graph import KnowledgeGraph
from kgrec.model.whitening import unit_rows
from kgrec.ranker import Ranker, UserBatch

BATCH_PAIRS = 8192
CHECK_EVERY = 25
PATIENCE = 4


class LightGCN(Ranker):
    """Learn a vector a user and item such that, averaged over neighbours, they rank what was used.

    He et al., LightGCN: simplifying and powering graph convolution network for recommendation,
    SIGIR 2020: the graph is that of the interactions alone, so cold items get nothing from
    anywhere and score 0.

    Parameters
    ----------
    size
        Length of the vectors.
    layers
        How often vectors are averaged over neighbours.
    learning_rate
        Of Adam.
    decay
        L2 penalty on the vectors of a batch before averaging.
    max_steps
        Steps at most; how many is found on held-out pairs, then all pairs are trained on.

    Notes
    -----
    Negatives are drawn uniformly among the warm items.  Somebody who is not in the graph gets
    the average over the history of each layer's item vectors, which is what a user without a
    vector of their own would have.
    """

    def __init__(
        self,
        *,
        size: int = 64,
        layers: int = 2,
        learning_rate: float = 1e-2,
        decay: float = 1e-4,
        max_steps: int = 1000,
    ) -> None:
        if layers < 1:
            raise ValueError(f"layers = {layers} must be at least 1")
        self.size = size
        self.layers = layers
        self.learning_rate = learning_rate
        self.decay = decay
        self.max_steps = max_steps

    chosen_steps: int
    _users: NDArray[np.float32]
    _items: NDArray[np.float32]
    _fold_in: NDArray[np.float32]

    def _fit(self, graph: KnowledgeGraph, seed: int) -> None:
        matrix = used_matrix(graph)
        fold = hold_out_pairs(matrix, np.random.default_rng(seed))
        steps = self._train(fold.histories, seed, fold)[0]
        _, net = self._train(matrix, seed, steps)
        self.chosen_steps = steps
        self._users, self._items = net.vectors()
        self._fold_in = net.fold_in_vectors()

    def _train(self, matrix: sparse.csr_array, seed: int, until: Fold | int) -> tuple[int, _Net]:
        """Train for some steps, or until held-out pairs are no longer found better."""
        rng = np.random.default_rng(seed)
        with seeded(seed):
            net = _Net(matrix, self.size, self.layers)
            optimiser = torch.optim.Adam(net.parameters(), self.learning_rate, fused=True)
            warm = np.flatnonzero(np.bincount(matrix.indices, minlength=matrix.shape[1]))
            users, items = (ends.astype(np.int64) for ends in matrix.nonzero())

            def step() -> Tensor:
                rows = rng.integers(len(users), size=min(BATCH_PAIRS, len(users)))
                others = draw(rng, warm, len(rows))
                return net.loss(users[rows], items[rows], others, self.decay)

            if isinstance(until, int):
                return train(self.name, step, optimiser, until), net
            fold = until

            def check() -> float:
                user_vectors, item_vectors = net.vectors()
                return fold.ndcg(lambda batch: user_vectors[batch.users] @ item_vectors.T)

            steps = train(
                self.name,
                step,
                optimiser,
                self.max_steps,
                check=check,
                every=CHECK_EVERY,
                patience=PATIENCE,
            )
        return steps, net

    def _score(self, batch: UserBatch) -> NDArray[np.float32]:
        if batch.users is not None:
            return self._users[batch.users] @ self._items.T
        used = np.maximum(np.diff(batch.histories.indptr), 1)
        users = np.asarray(batch.histories @ self._fold_in) / np.sqrt(used)[:, None]
        return (users @ self._items.T).astype(np.float32)

    def _similarity(self, items: NDArray[np.int64]) -> NDArray[np.float32]:
        directions = unit_rows(self._items)
        return directions[items] @ directions.T


class _Net(nn.Module):
    """Free vectors and their propagation."""

    def __init__(self, matrix: sparse.csr_array, size: int, layers: int) -> None:
        super().__init__()
        users, items = matrix.shape
        self.user_count, self.layers = users, layers
        self.start = nn.Parameter(torch.randn(users + items, size) * 0.1)
        self.item_degree = np.bincount(matrix.indices, minlength=items)
        self.adjacency = as_tensor(_normalised(matrix))

    def all_layers(self) -> list[Tensor]:
        """Vectors of users, then items, before and after each layer, [users + items, size]."""
        layers: list[Tensor] = [self.start]
        for _ in range(self.layers):
            layers.append(torch.sparse.mm(self.adjacency, layers[-1]))
        return layers

    def loss(
        self,
        users: NDArray[np.int64],
        used: NDArray[np.int64],
        others: NDArray[np.int64],
        decay: float,
    ) -> Tensor:
        """Bayesian personalised ranking: what was used scores above what was drawn."""
        user, good, bad = (
            torch.from_numpy(rows + offset)
            for rows, offset in ((users, 0), (used, self.user_count), (others, self.user_count))
        )
        vectors = torch.stack(self.all_layers()).mean(dim=0)
        margin = (vectors[user] * (vectors[good] - vectors[bad])).sum(dim=1)
        squares = sum(self.start[rows].square().sum() for rows in (user, good, bad))
        return nn.functional.softplus(-margin).mean() + decay / 2 * squares / len(user)

    def vectors(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Give the final vectors of users and items; a cold item's is zero."""
        with torch.inference_mode():
            final = torch.stack(self.all_layers()).mean(dim=0).numpy()
        items = final[self.user_count :] * (self.item_degree > 0)[:, None]
        return final[: self.user_count], items.astype(np.float32)

    def fold_in_vectors(self) -> NDArray[np.float32]:
        """Sum what a new user would gather from each item over all layers, [items, size]."""
        with torch.inference_mode():
            gathered = torch.stack(self.all_layers()[:-1]).sum(dim=0).numpy()
        scale = np.sqrt(np.maximum(self.item_degree, 1)) * (self.layers + 1)
        vectors: NDArray[np.float32] = gathered[self.user_count :] / scale[:, None]
        return vectors * (self.item_degree > 0)[:, None]


def _normalised(matrix: sparse.csr_array) -> sparse.csr_array:
    """Symmetric adjacency of users and items, D^-1/2 A D^-1/2."""
    users, items = matrix.shape
    pairs = matrix.tocoo()
    ends = (
        np.concatenate([pairs.row, pairs.col + users]),
        np.concatenate([pairs.col + users, pairs.row]),
    )
    ones = np.ones(2 * pairs.nnz, np.float32)
    both = sparse.csr_array((ones, ends), shape=(users + items, users + items))
    degree = np.maximum(np.diff(both.indptr), 1)
    scale = sparse.diags_array(1 / np.sqrt(degree))
    return sparse.csr_array(scale @ both @ scale)
