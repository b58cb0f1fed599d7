"""Matrix factorisation of what was used, by implicit's alternating least squares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from kgrec.baselines.validation import choose, hold_out_pairs, used_matrix
from kgrec.graph import KnowledgeGraph
from kgrec.model.whitening import unit_rows
from kgrec.ranker import Ranker, UserBatch


@dataclass(frozen=True, slots=True)
class ALSSettings:
    """Settings of the factorisation.

    Parameters
    ----------
    factors
        Length of the vectors.
    confidence
        Weight of a used item against one that was not (alpha).
    penalty
        Ridge penalty of the vectors.
    iterations
        How often users and items are solved in turn.
    """

    factors: int = 64
    confidence: float = 10.0
    penalty: float = 10.0
    iterations: int = 15


SETTINGS = tuple(
    ALSSettings(confidence=confidence, penalty=penalty)
    for confidence, penalty in ((10.0, 10.0), (10.0, 1.0), (3.0, 10.0), (30.0, 30.0), (1.0, 1.0))
)


class ALS(Ranker):
    """Inner product of user and item factors.

    Hu, Koren and Volinsky, Collaborative filtering for implicit feedback datasets, ICDM 2008.
    A user's factors are solved from the history each time, so that a new history counts too.
    Cold items have no factors and score 0.

    Parameters
    ----------
    settings
        One, or several to try on held-out pairs.

    Notes
    -----
    Needs the extra ``als``.
    """

    def __init__(self, settings: ALSSettings | Sequence[ALSSettings] = SETTINGS) -> None:
        self.settings = as_settings(settings)

    chosen_settings: ALSSettings
    _factors: Factors

    def _fit(self, graph: KnowledgeGraph, seed: int) -> None:
        matrix = used_matrix(graph)
        self.chosen_settings = choose_settings(matrix, self.settings, seed)
        self._factors = factorise(matrix, self.chosen_settings, seed)

    def _score(self, batch: UserBatch) -> NDArray[np.float32]:
        return self._factors.fold_in(batch.histories) @ self._factors.items.T

    def _similarity(self, items: NDArray[np.int64]) -> NDArray[np.float32]:
        directions = unit_rows(self._factors.items)
        return directions[items] @ directions.T


@dataclass(frozen=True, slots=True, eq=False)
class Factors:
    """Item factors, and what it takes to find those of a history.

    Parameters
    ----------
    items
        [items, factors] float32, zero for an item that nobody used.
    settings
        How they were learned.
    """

    items: NDArray[np.float32]
    settings: ALSSettings

    def fold_in(self, histories: sparse.csr_array) -> NDArray[np.float32]:
        """Solve the factors of users given the items' (equation 4 of the paper).

        Parameters
        ----------
        histories
            [B, items] float32.

        Returns
        -------
        ndarray of float32
            [B, factors], zero for an empty history.
        """
        size = self.items.shape[1]
        common = self.items.T @ self.items + self.settings.penalty * np.eye(size)
        users = np.zeros((histories.shape[0], size), np.float32)
        for row in np.flatnonzero(np.diff(histories.indptr)):
            used = self.items[histories.indices[histories.indptr[row] : histories.indptr[row + 1]]]
            system = common + (self.settings.confidence - 1.0) * used.T @ used
            users[row] = np.linalg.solve(system, self.settings.confidence * used.sum(axis=0))
        return users


def factorise(matrix: sparse.csr_array, settings: ALSSettings, seed: int) -> Factors:
    """Factorise interactions.

    Parameters
    ----------
    matrix
        [users, items] float32.
    settings
        How.
    seed
        Seed of the first factors.

    Returns
    -------
    Factors
        Of the items.

    Raises
    ------
    ImportError
        If the package ``implicit`` is not installed.
    """
    try:
        from implicit.cpu.als import AlternatingLeastSquares  # an extra
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # with implicit
    except ImportError as error:
        raise ImportError(
            "this baseline needs the package implicit: pip install 'kgrec[als]'"
        ) from error
    warm = np.flatnonzero(np.bincount(matrix.indices, minlength=matrix.shape[1]))
    with threadpool_limits(1, "blas"):  # implicit has threads of its own and asks for this
        model = AlternatingLeastSquares(
            factors=settings.factors,
            regularization=settings.penalty,
            alpha=settings.confidence,
            iterations=settings.iterations,
            random_state=seed,
        )
        model.fit(sparse.csr_matrix(matrix[:, warm]), show_progress=False)
    items = np.zeros((matrix.shape[1], settings.factors), np.float32)
    items[warm] = model.item_factors
    return Factors(items, settings)


def choose_settings(
    matrix: sparse.csr_array, settings: tuple[ALSSettings, ...], seed: int
) -> ALSSettings:
    """Try settings on held-out pairs.

    Parameters
    ----------
    matrix
        [users, items] float32.
    settings
        What to choose from.
    seed
        Seed of the draw and of the factors.

    Returns
    -------
    ALSSettings
        The best.
    """
    fold = hold_out_pairs(matrix, np.random.default_rng(seed))

    def value(tried: ALSSettings) -> float:
        factors = factorise(fold.histories, tried, seed)
        return fold.ndcg(lambda batch: factors.fold_in(batch.histories) @ factors.items.T)

    return choose(settings, value)


def as_settings(settings: ALSSettings | Sequence[ALSSettings]) -> tuple[ALSSettings, ...]:
    """List settings.

    Parameters
    ----------
    settings
        One or several.

    Returns
    -------
    tuple of ALSSettings
        All of them.

    Raises
    ------
    ValueError
        If there is none.
    """
    listed = (settings,) if isinstance(settings, ALSSettings) else tuple(settings)
    if not listed:
        raise ValueError("settings is empty: give one or several")
    return listed
