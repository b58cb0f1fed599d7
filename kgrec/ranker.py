"""The verbs that the model and every baseline share: one id or many in, a frame out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from scipy import sparse

from kgrec.errors import NotFittedError
from kgrec.graph import KnowledgeGraph
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
            yield chosen, *self._rank_batch(batch, k, candidates, exclude_seen)

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
        exclude_seen: bool = True,
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
        exclude_seen
            Leave out what the user has used already.

        Returns
        -------
        DataFrame
            Columns ``user``, ``item``, ``score``, ``rank`` (from 1) and ``cold``.

        Raises
        ------
        UnknownIdError
            If a user or an item is not in the graph.
        """
        positions = self.graph.positions(self.graph.schema.user, _listed(users))
        candidates = self._candidate_mask(items)
        frames = []
        for block, columns, scores in self.rank(
            positions, n, candidates=candidates, exclude_seen=exclude_seen
        ):
            frame = self._frame(columns, scores)
            names = _names(self.graph.users.ids.take(block))
            frame.insert(0, "user", names[frame.pop("row").to_numpy()])
            frames.append(frame)
        return pd.concat(frames, ignore_index=True) if frames else _no_recommendations()

    def recommend_for(
        self,
        history: Iterable[str],
        n: int = 10,
        *,
        items: Iterable[str] | None = None,
        exclude_seen: bool = True,
    ) -> pd.DataFrame:
        """Recommend items to somebody who is not in the graph.

        Parameters
        ----------
        history
            Ids of the items that they have used.
        n
            How many items to recommend at most.
        items
            Ids to choose from; all items by default.
        exclude_seen
            Leave out the history itself.

        Returns
        -------
        DataFrame
            Columns ``item``, ``score``, ``rank`` (from 1) and ``cold``.

        Raises
        ------
        UnknownIdError
            If an item is not in the graph.
        """
        seen = np.unique(self.graph.positions(self.graph.schema.item, history))
        row = sparse.csr_array(
            (np.ones(len(seen), np.float32), (np.zeros(len(seen), np.int64), seen)),
            shape=(1, len(self.graph.items)),
        )
        columns, scores = self._rank_batch(
            UserBatch(row), n, self._candidate_mask(items), exclude_seen
        )
        return self._frame(columns, scores).drop(columns="row")

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

    def _rank_batch(
        self,
        batch: UserBatch,
        k: int,
        candidates: NDArray[np.bool_] | None,
        exclude_seen: bool,
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        scores = self._score(batch).copy()
        if candidates is not None:
            scores[:, ~candidates] = -np.inf
        if exclude_seen:
            scores[batch.histories.nonzero()] = -np.inf
        return top_k(scores, k)

    def _candidate_mask(self, items: Iterable[str] | None) -> NDArray[np.bool_] | None:
        if items is None:
            return None
        mask = np.zeros(len(self.graph.items), bool)
        mask[self.graph.positions(self.graph.schema.item, items)] = True
        return mask

    def _frame(self, columns: NDArray[np.int64], scores: NDArray[np.float32]) -> pd.DataFrame:
        row, rank = np.nonzero(columns >= 0)
        item = columns[row, rank]
        return pd.DataFrame(
            {
                "row": row,
                "item": _names(self.graph.items.ids.take(item)),
                "score": scores[row, rank],
                "rank": rank + 1,
                "cold": self.graph.is_cold[item],
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
