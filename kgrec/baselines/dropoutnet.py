"""DropoutNet: a network that can do without a factor, since training hides it at times."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor, nn

from kgrec.baselines.als import (
    SETTINGS,
    ALSSettings,
    Factors,
    as_settings,
    choose_settings,
    factorise,
)
from kgrec.baselines.content import Content, Encoder, read_content
from kgrec.baselines.training import as_tensor, draw, seeded, train
from kgrec.baselines.validation import Fold, hold_out_items, used_matrix
from kgrec.graph import KnowledgeGraph
from kgrec.ranker import Ranker, UserBatch

BATCH_USERS = 256
BATCH_ITEMS = 512
CHECK_EVERY = 50
PATIENCE = 3


class DropoutNet(Ranker):
    """Reproduce the scores of a factorisation from content, with the item factor hidden at times.

    Volkovs, Yu and Poutanen, DropoutNet: addressing cold start in recommender systems, NeurIPS
    2017.  Two networks turn (factor, content) of an item and the factor of a user into vectors
    whose inner product is to equal that of the factors; with a probability the item's factor
    is replaced by zero, which is what a cold item has.  A user's factor is solved from the
    history, so that a new user needs no training.

    Parameters
    ----------
    encoder
        Adds whitened text vectors to words and neighbours.
    settings
        Of the factorisation: one, or several to try on held-out pairs.
    dropout
        How often an item's factor is hidden.
    hidden
        Width of the hidden layers.
    learning_rate
        Of Adam.
    max_steps
        Steps at most; how many is found on pseudo-cold items, then all items are trained on.

    Notes
    -----
    Needs the extra ``als``.  Batches hold all pairs of some users with some items, half of
    which those users have used.
    """

    def __init__(
        self,
        encoder: Encoder | None = None,
        *,
        settings: ALSSettings | Sequence[ALSSettings] = SETTINGS,
        dropout: float = 0.5,
        hidden: int = 256,
        learning_rate: float = 1e-3,
        max_steps: int = 1000,
    ) -> None:
        if not 0 <= dropout <= 1:
            raise ValueError(f"dropout = {dropout} must lie between 0 and 1")
        self.encoder = encoder
        self.settings = as_settings(settings)
        self.dropout = dropout
        self.hidden = hidden
        self.learning_rate = learning_rate
        self.max_steps = max_steps

    chosen_settings: ALSSettings
    chosen_steps: int
    _content: Content
    _factors: Factors
    _users: nn.Module
    _items: NDArray[np.float32]

    def _fit(self, graph: KnowledgeGraph, seed: int) -> None:
        matrix = used_matrix(graph)
        content = read_content(graph, self.encoder)
        settings = choose_settings(matrix, self.settings, seed)
        fold = hold_out_items(matrix, np.random.default_rng(seed))
        steps = self._train(content, fold.histories, settings, seed, fold)[0]
        trained = self._train(content, matrix, settings, seed, steps)
        self.chosen_steps, self._factors, net = trained
        self.chosen_settings, self._content = settings, content
        self._users, self._items = net.users, net.all_items()

    def _train(
        self,
        content: Content,
        matrix: sparse.csr_array,
        settings: ALSSettings,
        seed: int,
        until: Fold | int,
    ) -> tuple[int, Factors, _Net]:
        """Train for some steps, or until a fold's pseudo-cold items no longer improve."""
        factors = factorise(matrix, settings, seed)
        with seeded(seed):
            net = _Net(content.matrix(), factors, matrix, self.hidden)
            optimiser = torch.optim.Adam(net.parameters(), self.learning_rate, fused=True)
            batches = _Batches(matrix, factors, self.dropout, np.random.default_rng(seed))

            def step() -> Tensor:
                return batches.loss(net)

            if isinstance(until, int):
                return train(self.name, step, optimiser, until), factors, net
            fold = until

            def check() -> float:
                items = net.all_items()
                return fold.ndcg(
                    lambda batch: _embed(net.users, factors.fold_in(batch.histories)) @ items.T
                )

            steps = train(
                self.name,
                step,
                optimiser,
                self.max_steps,
                check=check,
                every=CHECK_EVERY,
                patience=PATIENCE,
            )
        return steps, factors, net

    def _score(self, batch: UserBatch) -> NDArray[np.float32]:
        users = _embed(self._users, self._factors.fold_in(batch.histories))
        return users @ self._items.T

    def _similarity(self, items: NDArray[np.int64]) -> NDArray[np.float32]:
        return self._content.cosine(items)


class _Net(nn.Module):
    """The two towers."""

    def __init__(
        self, content: sparse.csr_array, factors: Factors, matrix: sparse.csr_array, hidden: int
    ) -> None:
        super().__init__()
        size = factors.items.shape[1]
        self.content = content
        warm = np.bincount(matrix.indices, minlength=matrix.shape[1]) > 0
        # brought to unit variance, as tanh layers expect
        self.scale = float(1 / max(factors.items[warm].std(), 1e-9)) if warm.any() else 1.0
        self.register_buffer("factors", torch.from_numpy(factors.items * self.scale))
        self.from_content = nn.Parameter(
            torch.randn(content.shape[1], hidden) / max(1, content.shape[1]) ** 0.5
        )
        self.from_factor = nn.Linear(size, hidden)
        self.out = nn.Sequential(
            nn.BatchNorm1d(hidden), nn.Tanh(), nn.Linear(hidden, hidden // 2), nn.Tanh(),
            nn.Linear(hidden // 2, size),
        )  # fmt: skip
        self.users = nn.Sequential(
            nn.Linear(size, hidden), nn.Tanh(), nn.Linear(hidden, hidden // 2), nn.Tanh(),
            nn.Linear(hidden // 2, size),
        )  # fmt: skip

    def forward(self, items: NDArray[np.int64], shown: Tensor) -> Tensor:
        """Embed items, [B, size]; ``shown`` [B, 1] is 0 where the factor is hidden."""
        content = torch.sparse.mm(as_tensor(self.content[items]), self.from_content)
        factor = self.get_buffer("factors")[torch.from_numpy(items)] * shown
        vectors: Tensor = self.out(content + self.from_factor(factor))
        return vectors

    def all_items(self) -> NDArray[np.float32]:
        """Embed all items, [items, size]: cold ones have a zero factor."""
        items = np.arange(self.content.shape[0])
        self.eval()
        with torch.inference_mode():
            vectors = self(items, torch.ones(len(items), 1)).numpy()
        self.train()
        embedded: NDArray[np.float32] = vectors
        return embedded


class _Batches:
    """Draws blocks of users and items, and compares scores with those of the factors."""

    def __init__(
        self,
        matrix: sparse.csr_array,
        factors: Factors,
        dropout: float,
        rng: np.random.Generator,
    ) -> None:
        self.matrix, self.rng, self.dropout = matrix, rng, dropout
        self.items = factors.items
        self.user_factors = factors.fold_in(matrix)
        self.active = np.flatnonzero(np.diff(matrix.indptr))
        self.warm = np.flatnonzero(np.bincount(matrix.indices, minlength=matrix.shape[1]))

    def loss(self, net: _Net) -> Tensor:
        users = draw(self.rng, self.active, min(BATCH_USERS, len(self.active)))
        half = min(BATCH_ITEMS // 2, len(self.warm))
        used = draw(self.rng, self.matrix[users].indices.astype(np.int64), half)
        items = np.concatenate([used, draw(self.rng, self.warm, half)])
        target = torch.from_numpy(self.user_factors[users] @ self.items[items].T)
        shown = torch.from_numpy(self.rng.random((len(items), 1)) >= self.dropout).float()
        scores = net.users(torch.from_numpy(self.user_factors[users])) @ net(items, shown).T
        return nn.functional.mse_loss(scores, target)


def _embed(users: nn.Module, factors: NDArray[np.float32]) -> NDArray[np.float32]:
    with torch.inference_mode():
        vectors: NDArray[np.float32] = users(torch.from_numpy(factors)).numpy()
    return vectors
