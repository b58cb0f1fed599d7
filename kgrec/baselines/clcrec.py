"""CLCRec: contrastive learning ties an item's content to its collaborative vector."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor, nn
from torch.nn.functional import normalize

from kgrec.baselines.content import Content, Encoder, read_content
from kgrec.baselines.training import as_tensor, draw, seeded, train
from kgrec.baselines.validation import Fold, hold_out_items, used_matrix
from kgrec.graph import KnowledgeGraph
from kgrec.model.whitening import unit_rows
from kgrec.ranker import Ranker, UserBatch

BATCH_PAIRS = 512
NEGATIVES = 512
CHECK_EVERY = 50
PATIENCE = 3


class CLCRec(Ranker):
    """Learn content vectors that agree with collaborative ones, by contrasting them with others.

    Wei et al., Contrastive learning for cold-start recommendation, ACM Multimedia 2021.  Two
    softmax losses: a user and an item of the history against other items, where the item's
    collaborative vector is at times replaced by that of its content; and the two vectors of one
    item against those of others.  Cold items are scored by their content's vector.

    Parameters
    ----------
    encoder
        Adds whitened text vectors to words and neighbours.
    size
        Length of the vectors.
    hidden
        Width of the hidden layer of the content's network.
    replaced
        How often an item's collaborative vector is replaced by that of its content (rho).
    balance
        Weight of the loss between content and collaborative vectors (lambda).
    temperature
        Of both softmax losses.
    learning_rate, decay
        Of Adam; the decay is an L2 penalty.
    max_steps
        Steps at most; how many is found on pseudo-cold items, then all items are trained on.

    Notes
    -----
    Vectors are compared by their cosine.  Other items are drawn uniformly among the warm ones,
    and shared by the batch.  A user of the graph has a learned vector, as in the paper; somebody
    who is not in the graph gets the mean of the history's item vectors.
    """

    def __init__(
        self,
        encoder: Encoder | None = None,
        *,
        size: int = 64,
        hidden: int = 256,
        replaced: float = 0.5,
        balance: float = 0.5,
        temperature: float = 0.2,
        learning_rate: float = 3e-3,
        decay: float = 1e-6,
        max_steps: int = 2000,
    ) -> None:
        if not 0 <= replaced <= 1 or not 0 <= balance <= 1:
            raise ValueError("replaced and balance must lie between 0 and 1")
        if not temperature > 0:
            raise ValueError(f"temperature = {temperature} must be positive")
        self.encoder = encoder
        self.size = size
        self.hidden = hidden
        self.replaced = replaced
        self.balance = balance
        self.temperature = temperature
        self.learning_rate = learning_rate
        self.decay = decay
        self.max_steps = max_steps

    chosen_steps: int
    _items: NDArray[np.float32]
    _users: NDArray[np.float32]

    def _fit(self, graph: KnowledgeGraph, seed: int) -> None:
        matrix = used_matrix(graph)
        content = read_content(graph, self.encoder)
        fold = hold_out_items(matrix, np.random.default_rng(seed))
        self.chosen_steps = self._train(content, fold.histories, seed, fold)[0]
        _, net = self._train(content, matrix, seed, self.chosen_steps)
        self._items = net.vectors(matrix)
        self._users = net.user_vectors()

    def _train(
        self, content: Content, matrix: sparse.csr_array, seed: int, until: Fold | int
    ) -> tuple[int, _Net]:
        """Train for some steps, or until a fold's pseudo-cold items no longer improve."""
        rng = np.random.default_rng(seed)
        with seeded(seed):
            net = _Net(content.matrix(), matrix.shape[0], self.size, self.hidden)
            optimiser = torch.optim.Adam(
                net.parameters(), self.learning_rate, weight_decay=self.decay, fused=True
            )
            warm = np.flatnonzero(np.bincount(matrix.indices, minlength=matrix.shape[1]))
            users, used = (ends.astype(np.int64) for ends in matrix.nonzero())

            def step() -> Tensor:
                rows = rng.integers(len(users), size=min(BATCH_PAIRS, len(users)))
                items = np.concatenate([used[rows], draw(rng, warm, min(NEGATIVES, len(warm)))])
                return self._loss(net, users[rows], items, rng)

            if isinstance(until, int):
                return train(self.name, step, optimiser, until), net
            fold = until

            def check() -> float:
                vectors = net.vectors(matrix)
                user_vectors = net.user_vectors()
                return fold.ndcg(lambda batch: user_vectors[batch.users] @ vectors.T)

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

    def _loss(
        self,
        net: _Net,
        users: NDArray[np.int64],
        items: NDArray[np.int64],
        rng: np.random.Generator,
    ) -> Tensor:
        """Both losses of a batch; the first items are the users', the rest the others."""
        content = net.content_vectors(items)
        collaborative = normalize(net.collaborative[torch.from_numpy(items)])
        replaced = torch.from_numpy(rng.random((len(items), 1)) < self.replaced)
        mixed = torch.where(replaced, content, collaborative)
        wanted = normalize(net.users[torch.from_numpy(users)])
        used = self._contrast(wanted, mixed)
        tied = self._contrast(collaborative[: len(users)], content)
        return (1 - self.balance) * used + self.balance * tied

    def _contrast(self, anchors: Tensor, vectors: Tensor) -> Tensor:
        """Softmax of each anchor's own vector against the others, equation 3 of the paper."""
        own, others = vectors[: len(anchors)], vectors[len(anchors) :]
        same = (anchors * own).sum(dim=1, keepdim=True)
        logits = torch.cat([same, anchors @ others.T], dim=1) / self.temperature
        return nn.functional.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.long))

    def _score(self, batch: UserBatch) -> NDArray[np.float32]:
        if batch.users is None:
            return unit_rows(np.asarray(batch.histories @ self._items)) @ self._items.T
        return self._users[batch.users] @ self._items.T

    def _similarity(self, items: NDArray[np.int64]) -> NDArray[np.float32]:
        return self._items[items] @ self._items.T


class _Net(nn.Module):
    """Collaborative vectors, and the network that makes one of an item's content."""

    def __init__(self, content: sparse.csr_array, users: int, size: int, hidden: int) -> None:
        super().__init__()
        self.content = content
        self.users = nn.Parameter(torch.randn(users, size) * 0.1)
        self.collaborative = nn.Parameter(torch.randn(content.shape[0], size) * 0.1)
        self.from_content = nn.Parameter(torch.randn(content.shape[1], hidden) * 0.1)
        self.out = nn.Sequential(nn.LeakyReLU(), nn.Linear(hidden, size))

    def content_vectors(self, items: NDArray[np.int64]) -> Tensor:
        """Vectors of items by their content alone, [B, size], of length one."""
        mixed = torch.sparse.mm(as_tensor(self.content[items]), self.from_content)
        vectors: Tensor = self.out(mixed)
        return normalize(vectors)

    def vectors(self, matrix: sparse.csr_array) -> NDArray[np.float32]:
        """Collaborative vectors of warm items and content vectors of cold ones, [items, size]."""
        warm = np.bincount(matrix.indices, minlength=matrix.shape[1]) > 0
        with torch.inference_mode():
            content = self.content_vectors(np.arange(len(warm))).numpy()
            collaborative = normalize(self.collaborative).numpy()
        result: NDArray[np.float32] = np.where(warm[:, None], collaborative, content)
        return result

    def user_vectors(self) -> NDArray[np.float32]:
        """Vectors of the graph's users, [users, size], of length one."""
        with torch.inference_mode():
            vectors: NDArray[np.float32] = normalize(self.users).numpy()
        return vectors
