"""Ridge regression from content to what is known of warm items, for the cold ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, sparse

from kgrec.baselines.als import (
    SETTINGS,
    ALSSettings,
    Factors,
    as_settings,
    choose_settings,
    factorise,
)
from kgrec.baselines.content import Content, Encoder, read_content
from kgrec.baselines.ease import MEMORY_LIMIT, as_penalties, check_memory, ease_weights
from kgrec.baselines.validation import Fold, choose, hold_out_items, used_matrix
from kgrec.graph import KnowledgeGraph
from kgrec.ranker import Ranker, UserBatch

EASE_PENALTIES = (100.0, 30.0, 300.0, 1000.0)
CONTENT_PENALTIES = (1.0, 0.3, 3.0, 10.0)


class _ContentRanker(Ranker):
    """Similarity by content, for rankers that learn from it."""

    _content: Content

    def _similarity(self, items: NDArray[np.int64]) -> NDArray[np.float32]:
        return self._content.cosine(items)


class ContentRidge(_ContentRanker):
    """Predict the factors of cold items from their content by ridge regression.

    Warm items keep the factors of :class:`ALS`; users are solved from those.  Gantner et al.,
    Learning attribute-to-feature mappings for cold-start recommendations, ICDM 2010, with a
    least-squares mapping.

    Parameters
    ----------
    encoder
        Adds whitened text vectors to words and neighbours.
    settings
        Of the factorisation: one, or several to try on held-out pairs.
    penalty
        Ridge penalty of the mapping: one, or several to try on pseudo-cold items.
    memory_limit
        Bytes that the dense matrices among warm items may take.

    Notes
    -----
    Needs the extra ``als``.
    """

    def __init__(
        self,
        encoder: Encoder | None = None,
        *,
        settings: ALSSettings | Sequence[ALSSettings] = SETTINGS,
        penalty: float | Sequence[float] = CONTENT_PENALTIES,
        memory_limit: int = MEMORY_LIMIT,
    ) -> None:
        self.encoder = encoder
        self.settings = as_settings(settings)
        self.penalties = as_penalties(penalty)
        self.memory_limit = memory_limit

    chosen_settings: ALSSettings
    chosen_penalty: float
    _factors: Factors
    _targets: NDArray[np.float32]

    def _fit(self, graph: KnowledgeGraph, seed: int) -> None:
        check_memory(int((~graph.is_cold).sum()), 3, self.memory_limit, self.name)
        matrix = used_matrix(graph)
        content = read_content(graph, self.encoder)
        settings = choose_settings(matrix, self.settings, seed)
        fold = hold_out_items(matrix, np.random.default_rng(seed))
        known = factorise(fold.histories, settings, seed)
        warm, _ = _warm_and_cold(fold.histories)
        cold = np.flatnonzero(fold.candidates)
        regression = _Regression(content, warm, cold)

        def value(penalty: float) -> float:
            targets = np.zeros_like(known.items)
            targets[cold] = regression.express(penalty).T @ known.items[warm]
            return fold.ndcg(lambda batch: known.fold_in(batch.histories) @ targets.T)

        penalty = choose(self.penalties, value)
        factors = factorise(matrix, settings, seed)
        warm, cold = _warm_and_cold(matrix)
        targets = factors.items.copy()
        targets[cold] = _Regression(content, warm, cold).express(penalty).T @ targets[warm]
        self._targets = targets
        self._content, self._factors = content, factors
        self.chosen_settings, self.chosen_penalty = settings, penalty

    def _score(self, batch: UserBatch) -> NDArray[np.float32]:
        return self._factors.fold_in(batch.histories) @ self._targets.T


class KernelRidgeEASE(_ContentRanker):
    """Kernel ridge regression of EASE scores on content.

    With S the EASE scores of the warm items, cold items score ``S (K_ww + penalty I)^-1 K_wc``
    for the content kernel K: sums of cosines of words, of neighbours and of text vectors.
    Warm items keep their EASE scores.  (EASE: Steck, WWW 2019; kernel ridge: Saunders,
    Gammerman and Vovk, ICML 1998.)

    Parameters
    ----------
    encoder
        Adds whitened text vectors to words and neighbours.
    ease_penalty, penalty
        Ridge penalty of EASE and of the regression: one, or several to try on pseudo-cold
        items, first EASE's with the first of the others, then the others with the best.
    memory_limit
        Bytes that the dense matrices among items may take.
    """

    def __init__(
        self,
        encoder: Encoder | None = None,
        *,
        ease_penalty: float | Sequence[float] = EASE_PENALTIES,
        penalty: float | Sequence[float] = CONTENT_PENALTIES,
        memory_limit: int = MEMORY_LIMIT,
    ) -> None:
        self.encoder = encoder
        self.ease_penalties = as_penalties(ease_penalty)
        self.penalties = as_penalties(penalty)
        self.memory_limit = memory_limit

    chosen_ease_penalty: float
    chosen_penalty: float
    _warm: NDArray[np.int64]
    _weights: NDArray[np.float32]

    def _fit(self, graph: KnowledgeGraph, seed: int) -> None:
        check_memory(len(graph.items), 5, self.memory_limit, self.name)
        matrix = used_matrix(graph)
        content = read_content(graph, self.encoder)
        fold = hold_out_items(matrix, np.random.default_rng(seed))
        ease_penalty, penalty = self._choose(content, fold)
        warm, cold = _warm_and_cold(matrix)
        learned = ease_weights(matrix[:, warm], ease_penalty)
        weights = np.zeros((len(warm), len(graph.items)), np.float32)
        weights[:, cold] = learned @ _Regression(content, warm, cold).express(penalty)
        weights[:, warm] = learned
        self._content, self._warm, self._weights = content, warm, weights
        self.chosen_ease_penalty, self.chosen_penalty = ease_penalty, penalty

    def _choose(self, content: Content, fold: Fold) -> tuple[float, float]:
        if len(self.ease_penalties) == len(self.penalties) == 1:
            return self.ease_penalties[0], self.penalties[0]
        warm = _warm_and_cold(fold.histories)[0]
        cold = np.flatnonzero(fold.candidates)
        known = fold.histories[:, warm]

        def value(weights: NDArray[np.float32], expressed: NDArray[np.float32]) -> float:
            def score(batch: UserBatch) -> NDArray[np.float32]:
                # users first: they are fewer than the warm items
                known_scores = np.asarray(batch.histories[:, warm] @ weights)
                return _spread(known_scores @ expressed, cold, len(fold.candidates))

            return fold.ndcg(score)

        regression = _Regression(content, warm, cold)
        first = regression.express(self.penalties[0])
        ease_penalty = choose(
            self.ease_penalties, lambda tried: value(ease_weights(known, tried), first)
        )
        weights = ease_weights(known, ease_penalty)
        penalty = choose(
            self.penalties,
            lambda tried: value(weights, regression.express(tried)),
        )
        return ease_penalty, penalty

    def _score(self, batch: UserBatch) -> NDArray[np.float32]:
        return np.asarray(batch.histories[:, self._warm] @ self._weights)


def _warm_and_cold(matrix: sparse.csr_array) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    used = np.bincount(matrix.indices, minlength=matrix.shape[1]) > 0
    return np.flatnonzero(used), np.flatnonzero(~used)


class _Regression:
    """Kernel ridge regression from warm to cold items, for one penalty after the other.

    The kernels are made once: they take longer than the solution.
    """

    def __init__(self, content: Content, warm: NDArray[np.int64], cold: NDArray[np.int64]) -> None:
        self.among_warm = content.kernel(warm, warm)
        self.to_cold = content.kernel(warm, cold)

    def express(self, penalty: float) -> NDArray[np.float32]:
        """Express cold items by the warm ones, (K_ww + penalty I)^-1 K_wc, [W, C]."""
        kernel = self.among_warm.copy()
        kernel[np.diag_indices_from(kernel)] += penalty
        # transposed, since LAPACK wants columns together and would copy otherwise
        factor = linalg.cho_factor(kernel.T, overwrite_a=True, check_finite=False)
        solved: NDArray[np.float32] = linalg.cho_solve(factor, self.to_cold, check_finite=False)
        return solved


def _spread(
    scores: NDArray[np.float32], columns: NDArray[np.int64], count: int
) -> NDArray[np.float32]:
    """Put scores of some items where they belong among all."""
    everything = np.zeros((len(scores), count), np.float32)
    everything[:, columns] = scores
    return everything
