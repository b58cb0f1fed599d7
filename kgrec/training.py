"""Training of the propagation, by episodes that imitate the arrival of new items.

Each step hides some warm items, treats them as cold, ranks them for the users who used them by
the closed-form head solved on the remaining items, and moves the channel shares down the
gradient of the ranking loss *through* that solve (episodic training, Vinyals et al., NeurIPS
2016, with the differentiable ridge of Bertinetto et al., ICLR 2019).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from kgrec.errors import TrainingError
from kgrec.model.channels import Matrix
from kgrec.model.collaborative import count_users, ease_weights, gram_matrix, popularity
from kgrec.model.head import ridge_weights
from kgrec.model.prominence import Prominence
from kgrec.model.propagation import Propagation
from kgrec.progress import track

TEACHER_USER_EXPONENT = 0.25
TEACHER_ITEM_EXPONENT = 0.3
TEACHER_DIAGONAL = 0.5
TARGET_EXPONENT = 0.1  # scores of an item used n times are divided by n^.1 before the head
GRADIENT_DECAY = (0.9, 0.95)
LEAST_RIDGE = 1e-3  # below this, duplicates make the kernel singular in float32


@dataclass(frozen=True, slots=True)
class Episode:
    """Some items taken as cold, and what the others say of the users.

    Parameters
    ----------
    known, hidden
        Positions of the items that stay warm [A] and of those taken as cold [H].
    scores
        Collaborative scores of the known items for some users, [U, A].
    positives
        1 where the user used the hidden item, [U, H]; every user has one.
    """

    known: NDArray[np.int64]
    hidden: NDArray[np.int64]
    scores: Tensor
    positives: Tensor


def teacher_weights(histories: sparse.csr_array, penalty: float) -> Tensor:
    """Learn the collaborative scores that content is taught to predict.

    Parameters
    ----------
    histories
        [users, W].
    penalty
        Penalty of EASE.

    Returns
    -------
    Tensor
        [W, W]; scores of often used items are damped, so that they don't drown the others.
    """
    gram = gram_matrix(histories, TEACHER_USER_EXPONENT)
    return _teach(gram, popularity(histories), penalty)


def _teach(gram: Tensor, popular: Tensor, penalty: float) -> Tensor:
    weights = ease_weights(
        gram, popular, penalty, item_exponent=TEACHER_ITEM_EXPONENT, diagonal=TEACHER_DIAGONAL
    )
    return weights.div_(popular**TARGET_EXPONENT)


class Arrival:
    """Items that are hidden, to be treated as if they arrived new.

    Users without a known and a hidden item are left out; possibly nobody is left.

    Parameters
    ----------
    histories
        [users, W].
    known, hidden
        Positions of the items that stay [A] and of those that are hidden [H].
    users
        How many users to draw at most.
    seed
        Seed of that draw.
    """

    def __init__(
        self,
        histories: sparse.csr_array,
        known: NDArray[np.int64],
        hidden: NDArray[np.int64],
        users: int,
        seed: int,
    ) -> None:
        left, right = histories[:, known], histories[:, hidden]
        eligible = np.flatnonzero((np.diff(left.indptr) > 0) & (np.diff(right.indptr) > 0))
        if len(eligible) > users:
            eligible = np.sort(np.random.default_rng(seed).choice(eligible, users, replace=False))
        self._known, self._hidden = known, hidden
        self._histories = left[eligible]
        self._positives = torch.as_tensor(right[eligible].toarray())
        self._gram = gram_matrix(left, TEACHER_USER_EXPONENT)
        self._popular = popularity(left)

    @property
    def has_users(self) -> bool:
        """Whether anybody used both a known and a hidden item."""
        return len(self._positives) > 0

    def episode(self, penalty: float) -> Episode:
        """Score the known items for the users.

        Parameters
        ----------
        penalty
            Penalty of EASE.

        Returns
        -------
        Episode
            With the same users for every penalty.
        """
        weights = _teach(self._gram, self._popular, penalty).numpy(force=True)
        scores = torch.as_tensor(np.asarray(self._histories @ weights))
        return Episode(self._known, self._hidden, scores, self._positives)


def hidden_prominence(
    histories: sparse.csr_array,
    rows: Sequence[Matrix],
    known: NDArray[np.int64],
    hidden: NDArray[np.int64],
) -> Tensor:
    """Tell how prominent hidden items look to who has seen the known ones alone.

    Parameters
    ----------
    histories
        [users, W].
    rows
        The rows that are counted, one matrix a channel, of the same items, [W, D].
    known, hidden
        Positions of the items that stay [A] and of those that are hidden [H].

    Returns
    -------
    Tensor
        [H], see :meth:`~kgrec.model.prominence.Prominence.of`.
    """
    prominence = Prominence.learn(
        [matrix[known] for matrix in rows], count_users(histories[:, known])
    )
    return torch.as_tensor(prominence.of([matrix[hidden] for matrix in rows]))


def softmax_ranking_loss(logits: Tensor, positives: Tensor) -> Tensor:
    """Measure how far the positives are from the top of each list.

    The mean over users of the mean over their positives of ``-log softmax(logits)``.

    Parameters
    ----------
    logits
        [U, H].
    positives
        1 for a positive, else 0, [U, H]; every row has one.

    Returns
    -------
    Tensor
        Scalar.

    Examples
    --------
    >>> loss = softmax_ranking_loss(torch.tensor([[0.0, 0.0]]), torch.tensor([[1.0, 0.0]]))
    >>> round(loss.item(), 4)
    0.6931
    """
    likelihood = (torch.log_softmax(logits, dim=1) * positives).sum(dim=1)
    return -(likelihood / positives.sum(dim=1)).mean()


def train_shares(
    propagation: Propagation,
    kernels: Tensor,
    episodes: Sequence[Episode],
    *,
    steps: int,
    learning_rate: float,
    prior_strength: float,
    ridge: float,
    gains: Sequence[Tensor] | None = None,
) -> list[float]:
    """Train the channel shares of a propagation, in place.

    Parameters
    ----------
    propagation
        What is trained.
    kernels
        Inner products of all items that the episodes name, a matrix a channel, [C, W, W].
    episodes
        Used in turn.
    steps
        Number of steps.
    learning_rate
        Learning rate of Adam.
    prior_strength
        Weight of the squared offsets from the prior in the loss.
    ridge
        Ridge penalty to start from; it is trained along.
    gains
        For each episode what scales the scores of its hidden items, [H]; nothing by default.

    Returns
    -------
    list of float
        Loss of each step.

    Raises
    ------
    TrainingError
        If a loss is not finite; the step is named.
    """
    log_ridge = torch.nn.Parameter(torch.tensor(math.log(ridge)))
    log_scale = torch.nn.Parameter(torch.tensor(0.0))
    with torch.no_grad():
        spread = _spread(_hidden_scores(propagation, kernels, episodes[0], log_ridge))
    parameters = [propagation.offset, log_ridge, log_scale]
    optimiser = torch.optim.Adam(parameters, lr=learning_rate, betas=GRADIENT_DECAY)
    losses = []
    for step in track(range(steps), "training the propagation"):
        episode = episodes[step % len(episodes)]
        scores = _hidden_scores(propagation, kernels, episode, log_ridge)
        if gains is not None:
            scores = scores * gains[step % len(episodes)]
        logits = torch.exp(log_scale) * scores / spread
        loss = softmax_ranking_loss(logits, episode.positives)
        penalty = prior_strength * propagation.offset.square().sum()
        if not torch.isfinite(loss):
            raise TrainingError(
                f"the loss of step {step + 1} is {loss.item()}, on draw {step % len(episodes) + 1} "
                f"of hidden items: lower learning_rate, which is {learning_rate}"
            )
        optimiser.zero_grad()
        (loss + penalty).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        losses.append(loss.item())
    return losses


def _spread(scores: Tensor) -> float:
    """Give the standard deviation of scores, or one where they are all the same."""
    spread = scores.std().item() if scores.numel() > 1 else 0.0
    return spread if spread > 0 else 1.0


def _hidden_scores(
    propagation: Propagation, kernels: Tensor, episode: Episode, log_ridge: Tensor
) -> Tensor:
    known, hidden = torch.as_tensor(episode.known), torch.as_tensor(episode.hidden)
    # mixed before it is cut: one matrix to cut then, not one a channel
    rows = propagation(kernels)[known]
    penalty = torch.exp(log_ridge).clamp_min(LEAST_RIDGE).expand(len(known))
    return episode.scores @ ridge_weights(rows[:, known], penalty, rows[:, hidden])
