"""The fitted network: what is learned once, whatever arrives later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
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

    def __post_init__(self) -> None:
        """Give the matrices one layout, for the rounding of a product depends on it.

        Rows of items go through ``inverse`` and ``teacher.T`` in many small products.  These read
        memory in order with this layout; with the other they take 1.4 to 1.8 times as long, and
        many times as long on a machine with other work.
        """
        object.__setattr__(self, "core_weights", self.core_weights.contiguous())
        object.__setattr__(self, "teacher", self.teacher.T.contiguous().T)
        object.__setattr__(self, "inverse", self.inverse.contiguous())

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
