"""The fitted network: from histories to scores, and from a new item's content to its column.

Everything is one matrix of item weights, ``scores = histories @ weights``.  The columns of the
core items (warm, and used often enough) are collaborative; every other column is the head's
answer to the item's content, ``teacher @ (K_ww + ridge)^-1 @ K_wi``, times the gain of an item
of its prominence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from kgrec.model.channels import Channel, Matrix, what_comes_along
from kgrec.model.prominence import Prominence
from kgrec.model.propagation import Propagation


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """What is learned once, and stays as it is when items arrive.

    Parameters
    ----------
    channels
        Ways in which content reaches an item, C of them.
    propagation
        Shares of the channels and the kernel.
    core_weights
        Collaborative weights among the core items, [W, W].
    teacher
        Collaborative scores that content predicts, as weights, [W, W].
    inverse
        ``(K_ww + ridge I)^-1`` over the core items, [W, W].
    prominence
        How much used an item looks.
    prominence_strength
        Power to which that scales scores; 0 leaves them alone.
    """

    channels: tuple[Channel, ...]
    propagation: Propagation
    core_weights: Tensor
    teacher: Tensor
    inverse: Tensor
    prominence: Prominence
    prominence_strength: float

    @torch.no_grad()
    def project(self, core_rows: Sequence[Matrix], rows: Sequence[Matrix]) -> Tensor:
        """Express items by the core items that are like them.

        Parameters
        ----------
        core_rows
            For each channel the rows of the core items, [W, D].
        rows
            For each channel the rows of the items wanted, [N, D].

        Returns
        -------
        Tensor
            [W, N]; a column depends on its own item alone.
        """
        kernel = self.propagation.kernel(core_rows, rows)
        return self.inverse @ kernel

    def gain(self, rows: Sequence[Matrix]) -> Tensor:
        """Tell by how much the scores of items are scaled.

        Parameters
        ----------
        rows
            For each channel the rows of the items, [N, D].

        Returns
        -------
        Tensor
            [N], one for an item of mean prominence.
        """
        counted = what_comes_along(self.channels, rows)
        return torch.as_tensor(self.prominence.gain(counted, self.prominence_strength))


@dataclass(frozen=True, slots=True, eq=False)
class ItemWeights:
    """The network applied to all items of one graph.

    Parameters
    ----------
    core
        Positions of the core items, [W], ascending.
    other
        Positions of all other items, [N], ascending.
    weights
        Item weights: scores are histories of core items times this, [W, items].
    projection
        Other items expressed by core items, [W, N].
    """

    core: NDArray[np.int64]
    other: NDArray[np.int64]
    weights: NDArray[np.float32]
    projection: NDArray[np.float32]

    def core_histories(self, histories: sparse.csr_array) -> sparse.csr_array:
        """Write histories over the core items alone.

        An item outside the core speaks through the core items that it is like.

        Parameters
        ----------
        histories
            [B, items].

        Returns
        -------
        csr_array
            [B, W] float32.
        """
        known, others = histories[:, self.core], histories[:, self.other]
        if not others.nnz:
            return sparse.csr_array(known)
        return sparse.csr_array(known + sparse.csr_array(others @ self.projection.T))

    def scores(self, histories: sparse.csr_array) -> NDArray[np.float32]:
        """Score every item, [B, items] float32, in units of the spread of warm scores."""
        return np.asarray(self.core_histories(histories) @ self.weights, dtype=np.float32)

    @property
    def by_content(self) -> NDArray[np.bool_]:
        """Whether an item is scored by its content alone, [items]."""
        mask = np.ones(self.weights.shape[1], bool)
        mask[self.core] = False
        return mask


def apply_network(network: Network, core: NDArray[np.int64], rows: Sequence[Matrix]) -> ItemWeights:
    """Compute the weights of all items of a graph.

    Parameters
    ----------
    network
        The fitted network.
    core
        Positions of the core items, [W], in the order of the network.
    rows
        For each channel the rows of all items, [items, D].

    Returns
    -------
    ItemWeights
        Columns of the core items as they are, all others by content.
    """
    count = rows[0].shape[0] if rows else len(core)
    other = np.setdiff1d(np.arange(count), core)
    projection, gain = torch.zeros(len(core), len(other)), torch.ones(len(other))
    if len(other) and rows:
        core_rows = [matrix[core] for matrix in rows]
        other_rows = [matrix[other] for matrix in rows]
        projection, gain = network.project(core_rows, other_rows), network.gain(other_rows)
    weights = np.empty((len(core), count), np.float32)
    weights[:, core] = network.core_weights.numpy(force=True)
    weights[:, other] = (network.teacher @ projection * gain).numpy(force=True)
    return ItemWeights(core, other, weights, projection.numpy(force=True))
