"""Lists that are not only the best by score: more diverse, or with a share of cold items."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

POOL_FACTOR = 5
POOL_LEAST = 100


@dataclass(frozen=True, slots=True)
class Reranking:
    """What a list should be beside good.

    Parameters
    ----------
    diversity
        From 0, the best by score, to 1, each item as unlike those before it as can be.
    explore
        Share of the places that are given to cold items, drawn by their odds.
    seed
        Seed of the draws; a user gets the same draws alone or among others.

    Raises
    ------
    ValueError
        If a share is not between 0 and 1.
    """

    diversity: float = 0.0
    explore: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name, value in (("diversity", self.diversity), ("explore", self.explore)):
            if not 0.0 <= value <= 1.0:
                raise ValueError(f"{name} is {value}: it must be between 0 and 1")

    @property
    def changes_lists(self) -> bool:
        """Whether lists differ from those by score alone."""
        return self.diversity > 0 or self.explore > 0

    def pool(self, n: int) -> int:
        """Length of the list by score that a list of n is chosen from."""
        return max(POOL_FACTOR * n, POOL_LEAST)

    def generator(self, name: str) -> np.random.Generator:
        """Make the random numbers of one user."""
        return np.random.default_rng([self.seed, zlib.crc32(name.encode())])


def diversify(
    scores: NDArray[np.float32], similarity: NDArray[np.float32], n: int, diversity: float
) -> NDArray[np.int64]:
    """Choose items one by one by maximal marginal relevance.

    Each step takes the item with the greatest
    ``(1 - diversity) relevance - diversity max similarity to those taken`` (Carbonell and
    Goldstein, SIGIR 1998), scores brought to 0..1 as relevance.

    Parameters
    ----------
    scores
        Scores of the pool, [P], best first.
    similarity
        Similarity within the pool, [P, P].
    n
        How many to choose.
    diversity
        Weight of being unlike, 0 to 1.

    Returns
    -------
    ndarray of int64
        Places in the pool, [min(n, P)], in the order of choice.

    Examples
    --------
    >>> alike = np.array([[1, 1, 0], [1, 1, 0], [0, 0, 1]], np.float32)
    >>> diversify(np.array([3, 2.9, 1], np.float32), alike, 2, 0.5).tolist()
    [0, 2]
    """
    count = min(n, len(scores))
    spread = float(np.ptp(scores)) if len(scores) else 0.0
    relevance = (scores - scores.min()) / spread if spread > 0 else np.ones(len(scores))
    value = (1.0 - diversity) * relevance
    closest = np.zeros(len(scores))
    chosen = np.empty(count, np.int64)
    for place in range(count):
        best = int(np.argmax(value - diversity * closest))
        chosen[place] = best
        value[best] = -np.inf
        closest = np.maximum(closest, similarity[best])
    return chosen


def draw_cold(
    listed: NDArray[np.int64],
    cold: NDArray[np.int64],
    cold_scores: NDArray[np.float32],
    share: float,
    random: np.random.Generator,
) -> NDArray[np.int64]:
    """Give a share of the places of a list to cold items.

    Each place is up for a draw with the probability ``share``; the item is drawn among the cold
    ones by the odds of their scores, without replacement (Gumbel's trick).

    Parameters
    ----------
    listed
        The list, [N], best first.
    cold
        Cold items that it may take, [C].
    cold_scores
        Their scores as log-odds, [C].
    share
        Between 0 and 1.
    random
        Random numbers.

    Returns
    -------
    ndarray of int64
        [N] distinct items.
    """
    is_drawn = random.random(len(listed)) < share
    order = np.argsort(-(cold_scores + random.gumbel(size=len(cold))), kind="stable")
    drawn = list(cold[order][: int(is_drawn.sum())])
    taken = set(drawn)
    rest = iter([item for item in listed if item not in taken])
    result: list[int] = []
    for place in range(len(listed)):
        if is_drawn[place] and drawn:
            result.append(int(drawn.pop(0)))
        else:
            item = next(rest, None)
            if item is not None:
                result.append(int(item))
    return np.array(result, np.int64)
