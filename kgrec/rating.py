"""Prediction of ratings, those of items that nobody has rated yet included."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kgrec.config import Config
from kgrec.errors import NotFittedError, SourceError
from kgrec.fitting import choose_core, start_shares
from kgrec.graph import KnowledgeGraph
from kgrec.model.channels import Matrix, learn_channels
from kgrec.model.propagation import Propagation
from kgrec.progress import track
from kgrec.rating_choice import RatingTrial, choose_rating_settings
from kgrec.rating_head import Profile, RatingHead, Ratings, Targets
from kgrec.text import TextEncoder
from kgrec.text_memory import TextMemory

ITEM_BLOCK = 4_096  # items whose kernel with the core items is held at once


@dataclass(frozen=True, slots=True, eq=False)
class _State:
    """What ``fit`` leaves behind.  Ratings and heads count the core items alone."""

    graph: KnowledgeGraph
    propagation: Propagation
    rows: list[Matrix]
    core: NDArray[np.int64]
    ratings: Ratings
    warm: RatingHead
    cold: RatingHead
    lowest: float
    highest: float


class RatingModel:
    """Predicts how users rate warm and cold items; the weights of the interactions are ratings.

    A rating is the mean, a bias of the user, one of the item, and a residual that is bilinear in
    the user's ratings and the items: see :mod:`kgrec.rating_head`.  All of it is solved in closed
    form for the smallest squared error, and reaches items without ratings by their content.

    Parameters
    ----------
    config
        Settings of the content, ``core_items`` and ``episode_items`` (the items that settings are
        chosen on); what depends on the ratings is chosen inside ``fit``.
    encoder
        Encoder of the texts; by default the BERT model that the settings name.

    Notes
    -----
    Memory grows with the square of the rated items, of which the ``core_items`` most rated
    are learned from; others are predicted by content, as if they were cold.
    """

    def __init__(self, config: Config | None = None, *, encoder: TextEncoder | None = None) -> None:
        self.config = config if config is not None else Config()
        self._encoder = encoder
        self._state: _State | None = None

    @property
    def encoder(self) -> TextEncoder:
        """The encoder of the texts, made when it is first needed."""
        if self._encoder is None:
            self._encoder = self.config.make_encoder()
        return self._encoder

    @property
    def graph(self) -> KnowledgeGraph:
        """The graph that the model was fitted on.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        """
        return self._fitted.graph

    @property
    def validation(self) -> dict[str, dict[str, float]]:
        """What ``fit`` chose for warm and for cold items, and the RMSE that it measured.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        """
        state = self._fitted
        return {"warm": asdict(state.warm.settings), "cold": asdict(state.cold.settings)}

    @property
    def _fitted(self) -> _State:
        if self._state is None:
            raise NotFittedError("the rating model is not fitted yet: call fit(graph) first")
        return self._state

    def fit(self, graph: KnowledgeGraph, *, seed: int = 0) -> Self:
        """Learn from the ratings of a graph.

        Parameters
        ----------
        graph
            Its interactions have weights, which are the ratings.  Where a user has rated an
            item more than once, the mean counts.
        seed
            Seed of every draw.

        Returns
        -------
        RatingModel
            This one.

        Raises
        ------
        SourceError
            If there are no interactions, or they have no weights.
        """
        every = read_ratings(graph)
        core = choose_core(graph.interaction_matrix(), self.config.core_items)
        ratings = every.among(core)
        vectors = TextMemory(self.encoder).encode_graph(graph)
        channels, rows = learn_channels(
            graph, vectors, hops=self.config.hops, words=self.config.words
        )
        propagation = Propagation(start_shares(channels), 0.0)
        core_rows = [matrix[core] for matrix in rows]
        kernel = propagation.kernel(core_rows, core_rows)

        random = np.random.default_rng(seed)
        drawn = np.sort(random.permutation(len(core))[: self.config.episode_items])
        part, part_kernel = ratings.among(drawn), kernel[drawn][:, drawn]
        trials = [
            RatingTrial.of_warm_items(part, part_kernel, random),
            RatingTrial.of_cold_items(part, part_kernel, random),
        ]
        warm, cold = (
            RatingHead.solve(ratings, kernel, choose_rating_settings(trial, seed), seed)
            for trial in track(trials, "choosing how ratings are predicted")
        )
        lowest, highest = float(every.value.min()), float(every.value.max())
        self._state = _State(graph, propagation, rows, core, ratings, warm, cold, lowest, highest)
        return self

    def predict(self, users: str | Iterable[str], items: str | Iterable[str]) -> pd.DataFrame:
        """Predict the ratings of pairs.

        Parameters
        ----------
        users, items
            As many of one as of the other, or a single one for all of the others.

        Returns
        -------
        DataFrame
            Columns ``user``, ``item``, ``rating`` (float64, within the range of the ratings
            learned from) and ``cold``, a row a pair in the order given.

        Raises
        ------
        UnknownIdError
            If a user or an item is not in the graph.
        ValueError
            If there are not as many users as items.
        NotFittedError
            Before ``fit``.
        """
        state = self._fitted
        user_ids, item_ids = _paired(users, items)
        user = state.graph.positions(state.graph.schema.user, user_ids)
        item = state.graph.positions(state.graph.schema.item, item_ids)
        found = np.empty(len(item))
        order = np.argsort(user, kind="stable")
        distinct, starts = np.unique(user[order], return_index=True)
        batches = np.split(order, starts[1:])
        histories = [state.ratings.of_user(one) for one in distinct.tolist()]
        for batch, ratings in zip(batches, self._predict(histories, batches, item), strict=True):
            found[batch] = ratings
        return _frame({"user": user_ids, "item": item_ids}, found, state.graph.is_cold[item])

    def predict_for(self, ratings: Mapping[str, float], items: str | Iterable[str]) -> pd.DataFrame:
        """Predict how somebody who is not in the graph rates items.

        Parameters
        ----------
        ratings
            What they have rated, by id; nothing is an answer too.
        items
            Items to predict.

        Returns
        -------
        DataFrame
            Columns ``item``, ``rating`` and ``cold`` as in :meth:`predict`.

        Raises
        ------
        UnknownIdError
            If an item is not in the graph.
        ValueError
            If a rating is not finite.
        NotFittedError
            Before ``fit``.
        """
        state = self._fitted
        item_type = state.graph.schema.item
        values = np.array(list(ratings.values()), dtype=np.float64)
        if not np.isfinite(values).all():
            raise ValueError("a rating is NaN or infinite: leave out what was not rated")
        rated = state.graph.positions(item_type, ratings)
        item_ids = _listed(items)
        item = state.graph.positions(item_type, item_ids)
        place = np.full(len(state.graph.items), -1)
        place[state.core] = np.arange(len(state.core))
        known = place[rated] >= 0
        order = np.argsort(place[rated][known])
        # float32 as in the graph, so that the same ratings give the same answer
        own = values[known][order].astype(np.float32).astype(np.float64)
        history = place[rated][known][order], own
        found = self._predict([history], [np.arange(len(item))], item)[0]
        return _frame({"item": item_ids}, found, state.graph.is_cold[item])

    def _predict(
        self,
        histories: list[tuple[NDArray[np.int64], NDArray[np.float64]]],
        batches: list[NDArray[np.int64]],
        items: NDArray[np.int64],
    ) -> list[NDArray[np.float64]]:
        """Predict for each history the items of a batch, which are places among ``items``."""
        state = self._fitted
        distinct, place = np.unique(items, return_inverse=True)
        own = np.full(len(state.graph.items), -1)
        own[state.core] = np.arange(len(state.core))
        is_known = own[distinct] >= 0
        results = [np.empty(len(batch)) for batch in batches]
        for head, chosen in ((state.warm, is_known), (state.cold, ~is_known)):
            profiles: dict[int, Profile] = {}
            places = np.flatnonzero(chosen)
            blocks = [places[i : i + ITEM_BLOCK] for i in range(0, len(places), ITEM_BLOCK)]
            shown = track(blocks, "predicting ratings") if len(blocks) > 1 else blocks
            for block in shown:
                terms = head.target_terms(self._targets(distinct[block], own[distinct[block]]))
                row = np.full(len(distinct), -1)
                row[block] = np.arange(len(block))
                for number, (batch, result) in enumerate(zip(batches, results, strict=True)):
                    rows = row[place[batch]]
                    asked = rows >= 0
                    if not asked.any():
                        continue
                    if number not in profiles:
                        profiles[number] = head.profile(*histories[number])
                    result[asked] = head.predict(profiles[number], terms, rows[asked])
        return [np.clip(result, state.lowest, state.highest) for result in results]

    def _targets(self, items: NDArray[np.int64], own: NDArray[np.int64]) -> Targets:
        state = self._fitted
        if (own >= 0).all():
            return Targets(state.warm.kernel[own], own)
        core_rows = [matrix[state.core] for matrix in state.rows]
        cross = state.propagation.kernel([matrix[items] for matrix in state.rows], core_rows)
        return Targets(cross, own)


def read_ratings(graph: KnowledgeGraph) -> Ratings:
    """Read the ratings of a graph.

    Parameters
    ----------
    graph
        Its interactions have weights.

    Returns
    -------
    Ratings
        One a pair of user and item: the mean, where there are several.

    Raises
    ------
    SourceError
        If there are no interactions, or they have no weights.
    """
    log = graph.interactions
    if not len(log):
        raise SourceError(
            "the graph has no interactions, so there are no ratings to learn from: "
            "check the interactions query"
        )
    if log.weight is None:
        raise SourceError(
            "the interactions have no column 'weight', which holds the ratings: let the "
            "interactions query return the rating as weight, or rank with Recommender instead"
        )
    keys = log.user * len(graph.items) + log.item
    distinct, place = np.unique(keys, return_inverse=True)
    value = np.bincount(place, log.weight) / np.bincount(place)
    user, item = np.divmod(distinct, len(graph.items))
    return Ratings(user, item, value, len(graph.users), len(graph.items))


def _listed(ids: str | Iterable[str]) -> list[str]:
    return [ids] if isinstance(ids, str) else list(ids)


def _paired(users: str | Iterable[str], items: str | Iterable[str]) -> tuple[list[str], list[str]]:
    user_ids, item_ids = _listed(users), _listed(items)
    if isinstance(users, str):
        user_ids *= len(item_ids)
    if isinstance(items, str):
        item_ids *= len(user_ids)
    if len(user_ids) != len(item_ids):
        raise ValueError(
            f"{len(user_ids)} users and {len(item_ids)} items make no pairs: give as many of one "
            "as of the other, or a single id for all of the others"
        )
    return user_ids, item_ids


def _frame(
    ids: Mapping[str, list[str]], ratings: NDArray[np.float64], cold: NDArray[np.bool_]
) -> pd.DataFrame:
    return pd.DataFrame({**ids, "rating": ratings, "cold": cold})
