"""Propagation with learned shares: how much of an item comes through which channel.

Each channel c carries content along one kind of path of the graph to the items and gives the
rows F_c.  Their shares w_c are learned, and the item vectors are the feature map of

    K(i, j) = exp(sharpness (sum_c w_c <F_c,i, F_c,j> - 1)),

the kernel of all products of paths: two items are alike where the same director *and* the same
genre reach both.  With few, meaningful parameters the propagation can be trained through the
closed-form head without fitting noise.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor, nn

from kgrec.model.channels import Matrix


class Propagation(nn.Module):
    """Shares of the channels, and the kernel of the items that they make.

    Parameters
    ----------
    prior
        Share of each channel before training, [C], positive.
    sharpness
        How much more it counts to be alike in many ways at once; 0 keeps the plain sum.

    Examples
    --------
    >>> propagation = Propagation([1.0, 1.0], sharpness=0.0)
    >>> propagation(torch.tensor([[[1.0]], [[0.5]]])).item()
    0.75
    """

    def __init__(self, prior: Sequence[float], sharpness: float) -> None:
        super().__init__()
        self.prior: Tensor
        self.register_buffer("prior", torch.tensor(prior, dtype=torch.float32))
        self.sharpness = sharpness
        self.offset = nn.Parameter(torch.zeros(len(prior)))

    def shares(self) -> Tensor:
        """Give the share of each channel, [C], summing to one."""
        return torch.softmax(torch.log(self.prior) + self.offset, dim=0)

    def forward(self, channel_kernels: Tensor) -> Tensor:
        """Mix the kernels of the channels.

        Parameters
        ----------
        channel_kernels
            [C, A, B]: for each channel the inner products of rows of A and of B items.

        Returns
        -------
        Tensor
            [A, B].
        """
        return self.sharpen(torch.einsum("c,cab->ab", self.shares(), channel_kernels))

    def sharpen(self, mixture: Tensor) -> Tensor:
        """Apply the sharpness to a mixture of channel kernels, [A, B]."""
        if not self.sharpness:
            return mixture
        return torch.exp(self.sharpness * (mixture - 1.0))

    @torch.no_grad()
    def kernel(self, rows: Sequence[Matrix], columns: Sequence[Matrix]) -> Tensor:
        """Compute the kernel without holding one matrix a channel.

        Parameters
        ----------
        rows, columns
            For each channel the rows of A and of B items.

        Returns
        -------
        Tensor
            [A, B] float32.
        """
        mixture = torch.zeros(rows[0].shape[0], columns[0].shape[0])
        for share, left, right in zip(self.shares().tolist(), rows, columns, strict=True):
            mixture += share * torch.as_tensor(inner_products(left, right))
        return self.sharpen(mixture)


def inner_products(left: Matrix, right: Matrix) -> NDArray[np.float32]:
    """Multiply the rows of two matrices.

    Parameters
    ----------
    left, right
        [A, D] and [B, D], both sparse or both dense.

    Returns
    -------
    ndarray of float32
        [A, B], dense.
    """
    product = left @ right.T
    dense = product.toarray() if sparse.issparse(product) else product
    return np.ascontiguousarray(dense, dtype=np.float32)


def channel_kernels(rows: Sequence[Matrix], columns: Sequence[Matrix]) -> Tensor:
    """Stack the inner products of every channel.

    Parameters
    ----------
    rows, columns
        For each channel the rows of A and of B items.

    Returns
    -------
    Tensor
        [C, A, B] float32.
    """
    kernels = torch.empty(len(rows), rows[0].shape[0], columns[0].shape[0])
    for kernel, left, right in zip(kernels, rows, columns, strict=True):
        kernel.copy_(torch.as_tensor(inner_products(left, right)))
    return kernels
