"""Message passing of dense vectors from neighbours to items, by PyTorch Geometric."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse

BLOCK_VALUES = 64_000_000  # numbers in flight at once: an edge carries a block of its vector


def pass_messages(adjacency: sparse.csr_array, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Add up the neighbours' vectors, each times the weight of its edge.

    ``h_i = sum_j a_ij x_j``, the propagation of SGC (Wu et al., ICML 2019) over a bipartite
    graph, without its non-linearity or weights.

    Parameters
    ----------
    adjacency
        Edge weights, [items, neighbours].
    vectors
        Vectors of the neighbours, [neighbours, D].

    Returns
    -------
    ndarray of float32
        [items, D].

    Examples
    --------
    >>> adjacency = sparse.csr_array(np.array([[1.0, 0.5]], np.float32))
    >>> pass_messages(adjacency, np.array([[1.0], [4.0]], np.float32)).tolist()
    [[3.0]]
    """
    from torch_geometric.nn import SimpleConv  # takes seconds to import: not for every reader

    layer = SimpleConv(aggr="sum")
    edges = adjacency.tocoo()
    edge_index = torch.from_numpy(np.stack([edges.col, edges.row]).astype(np.int64))
    edge_weight = torch.from_numpy(edges.data.astype(np.float32))
    targets = torch.zeros(adjacency.shape[0], 1)
    width = max(1, BLOCK_VALUES // max(1, edges.nnz))
    blocks = [
        layer(
            (torch.from_numpy(vectors[:, start : start + width]), targets), edge_index, edge_weight
        )
        for start in range(0, vectors.shape[1], width)
    ]
    if not blocks:
        return np.zeros((adjacency.shape[0], 0), np.float32)
    return torch.cat(blocks, dim=1).numpy()
