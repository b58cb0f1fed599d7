"""The verbs that the model and every baseline share: one id or many in, a frame out."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from scipy import sparse

from kgrec.errors import NotFittedError
from kgrec.filters import Filter
from kgrec.graph import KnowledgeGraph
from kgrec.reranking import Reranking, diversify, draw_cold
from kgrec.retrieval import top_k

BLOCK_CELLS = 16_000_000  # scores held at once: 64 MB of float32


@dataclass(frozen=True, slots=True)
class UserBatch:
    """Some users, as what they have used.

    Parameters
    ----------
    histories
        [B, items] float32, 1 where the user used the item.
    users
        Positions among the graph's users, [B] int64, so that attributes count too;
        None for histories that belong to nobody in the graph.
    """

    histories: sparse.csr_array
    users: NDArray[np.int64] | None = None

    @classmethod
    def of_user(cls, histories: sparse.csr_array, user: int) -> Self:
        """Take one user's row, in half the time that indexing takes.

        Parameters
        ----------
        histories
            [users, items].
        user
            Position of the user.

        Returns
        -------
        UserBatch
            Of length one.
        """
        part = slice(*histories.indptr[user : user + 2])
        own = (histories.data[part], histories.indices[part], [0, part.stop - part.start])
        row = sparse.csr_array(own, shape=(1, histories.shape[1]))
        return cls(row, np.array([user]))

    def __len__(self) -> int:
        return int(self.histories.shape[0])


class Ranker(ABC):
    """Ranks items for users; a user is a history, so a new user needs no retraining.

    A subclass says how it learns (:meth:`_fit`), how it scores all items for a batch of users
    (:meth:`_score`) and how alike items are (:meth:`_similarity`); the verbs come from here.
    """

    _graph: KnowledgeGraph | None = None
    _histories: sparse.csr_array | None = None

    @property
    def name(self) -> str:
        """Name in tables: that of the class."""
        return type(self).__name__

    @property
    def graph(self) -> KnowledgeGraph:
        """The graph whose items are ranked.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        """
        if self._graph is None:
            raise NotFittedError(f"{self.name} has no graph yet: call fit(graph) first")
        return self._graph

    @property
    def histories(self) -> sparse.csr_array:
        """What each user of the graph has used, [users, items] float32."""
        if self._histories is None:
            self._histories = self.graph.interaction_matrix()
        return self._histories

    @property
    def is_cold(self) -> NDArray[np.bool_]:
        """Whether nobody has used an item yet, [items]."""
        return self.graph.is_cold

    def fit(self, graph: KnowledgeGraph, *, seed: int = 0) -> Self:
        """Learn from a graph.

        Parameters
        ----------
        graph
            The graph and its interactions.
        seed
            Seed of every random draw.

        Returns
        -------
        Self
            The fitted ranker.
        """
        self._fit(graph, seed)
        self._attach(graph)
        return self

    def _attach(self, graph: KnowledgeGraph) -> None:
        self._graph = graph
        self._histories = None

    @abstractmethod
    def _fit(self, graph: KnowledgeGraph, seed: int) -> None:
        """Learn; on an error the ranker stays as it was."""

    @abstractmethod
    def _score(self, batch: UserBatch) -> NDArray[np.float32]:
        """Score every item for each user of the batch, [B, items]."""

    @abstractmethod
    def _similarity(self, items: NDArray[np.int64]) -> NDArray[np.float32]:
        """Similarity of some items to every item, [len(items), items]."""

    def rank(
        self,
        users: NDArray[np.int64],
        k: int,
        *,
        candidates: NDArray[np.bool_] | None = None,
        exclude_seen: bool = True,
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]]:
        """Rank all candidates for users of the graph, by blocks in bounded memory.

        Parameters
        ----------
        users
            Positions among the graph's users, [U].
        k
            Length of the lists.
        candidates
            Mask over the items, [items]; all items by default.
        exclude_seen
            Leave out what the user has used already.

        Yields
        ------
        users : ndarray of int64
            Positions of the block's users, [B].
        items : ndarray of int64
            Positions of the best items, [B, k], -1 where there are fewer than k.
        scores : ndarray of float32
            Their scores, [B, k].
        """
        block = max(1, BLOCK_CELLS // max(1, len(self.graph.items)))
        for start in range(0, len(users), block):
            chosen = users[start : start + block]
            batch = UserBatch(self.histories[chosen], chosen)
            yield chosen, *self.rank_batch(batch, k, candidates, exclude_seen)

    def score(self, users: NDArray[np.int64]) -> NDArray[np.float32]:
        """Score every item for some users of the graph.

        Parameters
        ----------
        users
            Positions among the graph's users, [U].

        Returns
        -------
        ndarray of float32
            [U, items], what users have used already included.
        """
        return self._score(UserBatch(self.histories[users], users))

    def recommend(
        self,
        users: str | Iterable[str],
        n: int = 10,
        *,
        items: Iterable[str] | None = None,
        where: Mapping[str, Iterable[str]] | None = None,
        cold: bool | None = None,
        exclude_seen: bool = True,
        diversity: float = 0.0,
        explore: float = 0.0,
        seed: int = 0,
    ) -> pd.DataFrame:
        """Recommend items to users of the graph.

        Parameters
        ----------
        users
            One id or many.
        n
            How many items a user gets at most.
        items
            Ids to choose from; all items by default.
        where
            Nodes that an item must be joined with one of, by the name of a relation or of a
            node type: ``{"has_genre": ["noir"]}``.
        cold
            True for items that nobody has used yet, False for the others; both by default.
        exclude_seen
            Leave out what the user has used already.
        diversity
            From 0, the best by score, to 1, each item as unlike those before it as can be.
        explore
            Share of the places given to cold items that are drawn by their odds.
        seed
            Seed of those draws.

        Returns
        -------
        DataFrame
            Columns ``user``, ``item``, ``score``, ``rank`` (from 1) and ``cold``.

        Raises
        ------
        UnknownIdError
            If a user, an item or a node is not in the graph.
        ConfigError
            If ``where`` names nothing that items are joined by.
        ValueError
            If a share is not between 0 and 1.
        """
        self = copy.copy(self)  # one state for the whole answer, whatever changes meanwhile
        positions = self.graph.positions(self.graph.schema.user, _listed(users))
        candidates = Filter(items, where or {}, cold).mask(self.graph, self.is_cold)
        reranking = Reranking(diversity, explore, seed)
        frames = []
        block = max(1, BLOCK_CELLS // max(1, len(self.graph.items)))
        for start in range(0, len(positions), block):
            chosen = positions[start : start + block]
            batch = UserBatch(self.histories[chosen], chosen)
            names = _names(self.graph.users.ids.take(chosen))
            frame = self._frame(
                *self.make_lists(batch, names, n, candidates, exclude_seen, reranking)
            )
            frame.insert(0, "user", names[frame.pop("row").to_numpy()])
            frames.append(frame)
        return pd.concat(frames, ignore_index=True) if frames else _no_recommendations()

    def recommend_for(
        self,
        history: Iterable[str],
        n: int = 10,
        *,
        items: Iterable[str] | None = None,
        where: Mapping[str, Iterable[str]] | None = None,
        cold: bool | None = None,
        exclude_seen: bool = True,
        diversity: float = 0.0,
        explore: float = 0.0,
        seed: int = 0,
    ) -> pd.DataFrame:
        """Recommend items to somebody who is not in the graph.

        Parameters
        ----------
        history
            Ids of the items that they have used.
        n
            How many items to recommend at most.
        items, where, cold
            Which items to choose from, as in :meth:`recommend`.
        exclude_seen
            Leave out the history itself.
        diversity, explore, seed
            As in :meth:`recommend`.

        Returns
        -------
        DataFrame
            Columns ``item``, ``score``, ``rank`` (from 1) and ``cold``.

        Raises
        ------
        UnknownIdError
            If an item or a node is not in the graph.
        ConfigError
            If ``where`` names nothing that items are joined by.
        ValueError
            If a share is not between 0 and 1.
        """
        self = copy.copy(self)  # one state for the whole answer, whatever changes meanwhile
        listed = list(history)
        batch = UserBatch(self.history_of(listed))
        candidates = Filter(items, where or {}, cold).mask(self.graph, self.is_cold)
        reranking = Reranking(diversity, explore, seed)
        names = ["\n".join(sorted(set(listed)))]
        lists = self.make_lists(batch, names, n, candidates, exclude_seen, reranking)
        return self._frame(*lists).drop(columns="row")

    def history_of(self, items: Iterable[str]) -> sparse.csr_array:
        """Write the history of somebody who is not in the graph.

        Parameters
        ----------
        items
            Ids of the items that they have used.

        Returns
        -------
        csr_array
            [1, items] float32.

        Raises
        ------
        UnknownIdError
            If an item is not in the graph.
        """
        seen = np.unique(self.graph.positions(self.graph.schema.item, items))
        shape = (1, len(self.graph.items))
        return sparse.csr_array((np.ones(len(seen), np.float32), seen, [0, len(seen)]), shape=shape)

    def similar_items(self, items: str | Iterable[str], n: int = 10) -> pd.DataFrame:
        """Find the items most like others.

        Parameters
        ----------
        items
            One id or many.
        n
            How many neighbours an item gets at most.

        Returns
        -------
        DataFrame
            Columns ``item``, ``neighbour``, ``score`` and ``rank`` (from 1).

        Raises
        ------
        UnknownIdError
            If an item is not in the graph.
        """
        self = copy.copy(self)  # one state for the whole answer, whatever changes meanwhile
        positions = self.graph.positions(self.graph.schema.item, _listed(items))
        block = max(1, BLOCK_CELLS // max(1, len(self.graph.items)))
        starts = range(0, max(1, len(positions)), block)  # once for no items: an empty frame
        frames = [self._neighbours(positions[start : start + block], n) for start in starts]
        return pd.concat(frames, ignore_index=True)

    def _neighbours(self, positions: NDArray[np.int64], n: int) -> pd.DataFrame:
        similarity = self._similarity(positions).copy()
        similarity[np.arange(len(positions)), positions] = -np.inf
        frame = self._frame(*top_k(similarity, n))
        names = _names(self.graph.items.ids.take(positions))
        frame.insert(0, "neighbour", frame.pop("item"))
        frame.insert(0, "item", names[frame.pop("row").to_numpy()])
        return frame[["item", "neighbour", "score", "rank"]]

    def rank_batch(
        self,
        batch: UserBatch,
        k: int,
        candidates: NDArray[np.bool_] | None = None,
        exclude_seen: bool = True,
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Rank all candidates for some users at once.

        Parameters
        ----------
        batch
            The users.
        k
            Length of the lists.
        candidates
            Mask over the items, [items]; all items by default.
        exclude_seen
            Leave out what the user has used already.

        Returns
        -------
        items : ndarray of int64
            Positions of the best items, [B, k], -1 where there are fewer than k.
        scores : ndarray of float32
            Their scores, [B, k].
        """
        scores = self._score(batch).copy()
        if candidates is not None:
            scores[:, ~candidates] = -np.inf
        if exclude_seen:
            scores[batch.histories.nonzero()] = -np.inf
        return top_k(scores, k)

    def make_lists(
        self,
        batch: UserBatch,
        names: Iterable[str],
        n: int,
        candidates: NDArray[np.bool_] | None,
        exclude_seen: bool,
        reranking: Reranking,
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Make lists that may be diverse or explore.

        Parameters
        ----------
        batch, candidates, exclude_seen
            As in :meth:`rank_batch`.
        names
            What tells the users' random draws apart, [B].
        n
            Length of the lists.
        reranking
            What the lists should be beside good.

        Returns
        -------
        items : ndarray of int64
            Positions, [B, n], -1 where there are fewer than n.
        scores : ndarray of float32
            Their scores, [B, n]; not in descending order where lists are reranked.
        """
        if not reranking.changes_lists or n <= 0:
            return self.rank_batch(batch, n, candidates, exclude_seen)
        pool = reranking.pool(n)
        items, scores = self.rank_batch(batch, pool, candidates, exclude_seen)
        width = min(n, items.shape[1])
        if reranking.explore:
            is_cold = self.is_cold if candidates is None else candidates & self.is_cold
            cold, cold_scores = self.rank_batch(batch, pool, is_cold, exclude_seen)
        chosen = np.full((len(batch), width), -1)
        chosen_scores = np.full((len(batch), width), -np.inf, np.float32)
        for row, name in enumerate(names):
            own = items[row, items[row] >= 0]
            known = dict(zip(own.tolist(), scores[row, : len(own)].tolist(), strict=True))
            if reranking.diversity and len(own):
                alike = self.pair_similarity(own)
                own = own[diversify(scores[row, : len(own)], alike, n, reranking.diversity)]
            own = own[:n]
            if reranking.explore:
                new = cold[row, cold[row] >= 0]
                known |= dict(zip(new.tolist(), cold_scores[row].tolist(), strict=False))
                random = reranking.generator(name)
                own = draw_cold(own, new, cold_scores[row, : len(new)], reranking.explore, random)
            chosen[row, : len(own)] = own
            chosen_scores[row, : len(own)] = [known[item] for item in own.tolist()]
        return chosen, chosen_scores

    def pair_similarity(self, items: NDArray[np.int64]) -> NDArray[np.float32]:
        """Give the cosines of the vectors of some items with each other.

        Parameters
        ----------
        items
            Positions, [N].

        Returns
        -------
        ndarray of float32
            [N, N].

        Raises
        ------
        NotFittedError
            Before ``fit``.
        """
        return self._similarity(items)[:, items]

    def _frame(self, columns: NDArray[np.int64], scores: NDArray[np.float32]) -> pd.DataFrame:
        row, rank = np.nonzero(columns >= 0)
        item = columns[row, rank]
        return pd.DataFrame(
            {
                "row": row,
                "item": _names(self.graph.items.ids.take(item)),
                "score": scores[row, rank],
                "rank": rank + 1,
                "cold": self.is_cold[item],
            }
        )


def _names(ids: pa.StringArray) -> NDArray[np.object_]:
    names: NDArray[np.object_] = ids.to_numpy(zero_copy_only=False)
    return names


def _listed(ids: str | Iterable[str]) -> list[str]:
    return [ids] if isinstance(ids, str) else list(ids)


def _no_recommendations() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "user": pd.Series(dtype=object),
            "item": pd.Series(dtype=object),
            "score": pd.Series(dtype=np.float32),
            "rank": pd.Series(dtype=np.int64),
            "cold": pd.Series(dtype=bool),
        }
    )
