"""What the baselines trained by gradient descent share: seeds, sparse tensors, early stopping."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress
from scipy import sparse
from torch import Tensor


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed torch's random draws inside, and leave those outside as they were.

    Parameters
    ----------
    seed
        The seed.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def train(
    name: str,
    step: Callable[[], Tensor],
    optimiser: torch.optim.Optimizer,
    steps: int,
    *,
    check: Callable[[], float] | None = None,
    every: int = 1,
    patience: int = 1,
) -> int:
    """Descend, and stop early when a check no longer improves.

    Parameters
    ----------
    name
        What the progress bar shows.
    step
        Draws a batch and gives its loss.
    optimiser
        Moves the weights.
    steps
        How many steps at most.
    check
        How good the model is, the higher the better; never by default.
    every
        Steps between two checks.
    patience
        Checks without an improvement after which to stop.

    Returns
    -------
    int
        Steps up to the best check; all of them if there was none.
    """
    best, best_steps = -np.inf, steps
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        for done in progress.track(range(1, steps + 1), description=f"training {name}"):
            optimiser.zero_grad()
            step().backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            if check is None or done % every:
                continue
            value = check()
            if value > best:
                best, best_steps = value, done
            elif done - best_steps >= patience * every:
                break
    return best_steps


def as_tensor(matrix: sparse.csr_array) -> Tensor:
    """Turn a sparse matrix into a sparse tensor.

    Parameters
    ----------
    matrix
        [N, D] float32.

    Returns
    -------
    Tensor
        [N, D], sparse COO, coalesced.
    """
    entries = matrix.tocoo()
    indices = torch.from_numpy(np.stack([entries.row, entries.col]).astype(np.int64))
    values = torch.from_numpy(entries.data.astype(np.float32))
    return torch.sparse_coo_tensor(
        indices, values, entries.shape, is_coalesced=True, check_invariants=False
    )


def draw(rng: np.random.Generator, choices: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Draw with replacement.

    Parameters
    ----------
    rng
        The generator.
    choices
        What to draw from.
    size
        How many.

    Returns
    -------
    ndarray of int64
        [size].
    """
    return choices[rng.integers(len(choices), size=size)]
