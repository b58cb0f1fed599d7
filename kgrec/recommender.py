"""The recommender: from a graph to ranked items, those that nobody has used yet included."""

from __future__ import annotations

import copy
import threading
import warnings
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from numpy.typing import NDArray
from scipy import sparse

from kgrec.artifact import SavedModel, load_model, save_model
from kgrec.calibration import Mixing
from kgrec.catalogue import SAMPLE_ITEMS, Catalogue, Head
from kgrec.catalogue_index import CatalogueIndex
from kgrec.changes import (
    ChangedGraph,
    change_graph,
    compare_graphs,
    empty_tables,
    move_histories,
    without_edges,
)
from kgrec.checkpoint import Checkpoint, fit_key
from kgrec.config import Config
from kgrec.errors import ConfigError, NotFittedError, SourceError, UnknownIdError
from kgrec.explain import Explanation, Subject, explain_item
from kgrec.fitting import Fit, choose_core, fit_network
from kgrec.graph import GraphTables, KnowledgeGraph
from kgrec.items import (
    AddInteractions,
    Change,
    Edge,
    Interaction,
    Item,
    PutItems,
    RemoveItems,
    log_of,
    tables_of,
)
from kgrec.memory import is_out_of_memory
from kgrec.model.channels import Channel, Matrix, TextVectors
from kgrec.notebook import card
from kgrec.ranker import Ranker, UserBatch
from kgrec.retrieval import top_k
from kgrec.rows import RowEncoder, RowParts, learn_core_rows, part_of
from kgrec.text import TextEncoder
from kgrec.text_memory import TextMemory
from kgrec.workers import Alone, Workers

LEAST_KEPT = 0.9  # share of the squared weights below which ranking was seen to suffer
TUNING_USERS = 1_024  # that an index is tuned on
AUDIENCE_BLOCK = 4_096  # users whose histories are written over the core items at once


@dataclass(frozen=True, eq=False)
class _State:
    """A fitted network, applied to the graph as it is now.  Never changed: replaced as a whole."""

    graph: KnowledgeGraph
    catalogue: Catalogue
    row_encoder: RowEncoder
    mixing: Mixing
    core_ids: pa.StringArray
    histories: sparse.csr_array
    is_cold: NDArray[np.bool_]
    seed: int
    validation: dict[str, object]
    text_fingerprint: str
    index: CatalogueIndex | None = None


class Recommender(Ranker):
    """Ranks warm and cold items for users of a knowledge graph.

    An item's vector is a function of its text and its edges; a user's is a function of what
    they have used.  New items and new users therefore need no retraining.

    Parameters
    ----------
    config
        Settings; the defaults adapt to the data.
    encoder
        Encoder of the texts; by default the BERT model that the settings name.
    device
        Where ``fit`` trains and solves, in float32: a GPU where there is one, by default.
    checkpoint
        File in which ``fit`` keeps what it has chosen so far, and deletes when it is done.  If it
        was interrupted, the same fit goes on from there, to the same bits.
    workers
        Processes that run the same program and share out the work of ``fit``, see
        :mod:`kgrec.workers`; this one alone by default.

    Examples
    --------
    >>> Recommender(Config(steps=20)).name
    'kgrec'
    """

    def __init__(
        self,
        config: Config | None = None,
        *,
        encoder: TextEncoder | None = None,
        device: str | None = None,
        checkpoint: str | Path | None = None,
        workers: Workers | None = None,
    ) -> None:
        self.config = config if config is not None else Config()
        self._device = device
        self._checkpoint = None if checkpoint is None else Path(checkpoint)
        self._workers: Workers = workers or Alone()
        self._encoder = encoder
        self._state: _State | None = None
        self._memory: TextMemory | None = None
        self._changing = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_changing"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._changing = threading.Lock()

    def __repr__(self) -> str:
        return f"Recommender({self._state.graph!r})" if self._state else "Recommender(not fitted)"

    def _repr_html_(self) -> str:
        """Say what the model ranks, and how it weighs what is known of items, for notebooks."""
        if self._state is None:
            return card(self.name, "not fitted yet: call fit(graph)")
        return card(self.name, f"ranks the items of {self.graph!r}", _shares(self._state))

    @property
    def name(self) -> str:
        """Name in tables."""
        return "kgrec"

    @property
    def encoder(self) -> TextEncoder:
        """The encoder of the texts, made when it is first needed."""
        if self._encoder is None:
            self._encoder = self.config.make_encoder(self._device)
        return self._encoder

    @property
    def _text_memory(self) -> TextMemory:
        if self._memory is None or self._memory.encoder is not self.encoder:
            self._memory = TextMemory(self.encoder)
        return self._memory

    @property
    def validation(self) -> dict[str, object]:
        """What ``fit`` chose and measured on its validation pairs, ready for JSON.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        """
        return self._fitted.validation

    @property
    def graph(self) -> KnowledgeGraph:
        """The graph whose items are ranked.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        """
        return self._fitted.graph

    @property
    def histories(self) -> sparse.csr_array:
        """What each user of the graph has used, [users, items] float32."""
        return self._fitted.histories

    @property
    def is_cold(self) -> NDArray[np.bool_]:
        """Whether nobody has used an item yet, [items]."""
        return self._fitted.is_cold

    @property
    def is_compressed(self) -> bool:
        """Whether the catalogue is so large that its columns are compressed.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        """
        return self._fitted.catalogue.head.compression is not None

    @property
    def _fitted(self) -> _State:
        if self._state is None:
            raise NotFittedError("kgrec has no model yet: call fit(graph) or load(folder) first")
        return self._state

    def _attach(self, graph: KnowledgeGraph) -> None:
        """Keep nothing beside the state, which holds the graph."""

    def _fit(self, graph: KnowledgeGraph, seed: int) -> None:
        if not len(graph.interactions):
            raise SourceError(
                "the graph has no interactions, so there is nothing to learn from: "
                "check the interactions query"
            )
        self._encode_own_share(graph)
        vectors = self._encode(graph)
        histories = graph.interaction_matrix()
        core = choose_core(histories, self.config.core_items)
        channels, rows = learn_core_rows(
            graph, vectors, core, hops=self.config.hops, words=self.config.words
        )
        fit, rows = self._fit_network(graph, core, channels, rows, seed)
        head = Head.of(fit.network, rows, _typical_history(histories[:, fit.core]))
        row_encoder = RowEncoder.of(channels)
        encode = partial(row_encoder.encode, graph, encode_texts=part_of(graph, vectors))
        others = np.setdiff1d(np.arange(len(graph.items)), fit.core)
        components = self.config.catalogue_components
        if head.should_compress(len(others), self.config.catalogue_gigabytes, components):
            shuffled = np.random.default_rng(seed).permutation(others)
            drawn = np.sort(shuffled[: max(SAMPLE_ITEMS, 2 * components)])
            head, kept = head.compressed(encode(drawn), components)
            _warn_of_loss(kept, components)
        self._state = _State(
            graph,
            Catalogue.compute(head, fit.core, encode, len(graph.items), self._workers),
            row_encoder,
            fit.mixing,
            graph.items.ids.take(pa.array(fit.core)),
            histories,
            graph.is_cold,
            seed,
            _describe(fit),
            self.encoder.fingerprint,
        )

    def _fit_network(
        self,
        graph: KnowledgeGraph,
        core: NDArray[np.int64],
        channels: list[Channel],
        rows: list[Matrix],
        seed: int,
    ) -> tuple[Fit, list[Matrix]]:
        """Fit, and once more with half of the core items where the memory does not suffice.

        Returns
        -------
        fit : Fit
            What was fitted.
        rows : list of Matrix
            For each channel the rows of the core items of the fit.
        """
        try:
            return self._fit_network_of(graph, core, channels, rows, seed, self.config), rows
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
        smaller = self.config.model_copy(update={"core_items": max(1, len(core) // 2)})
        half = choose_core(graph.interaction_matrix(), smaller.core_items)
        kept = np.searchsorted(core, half)
        rows = [matrix[kept] for matrix in rows]
        warnings.warn(
            f"the memory does not suffice for {len(core):,} core items: going on with the "
            f"{smaller.core_items:,} most used; set core_items to choose yourself",
            stacklevel=4,
        )
        return self._fit_network_of(graph, half, channels, rows, seed, smaller), rows

    def _fit_network_of(
        self,
        graph: KnowledgeGraph,
        core: NDArray[np.int64],
        channels: list[Channel],
        rows: list[Matrix],
        seed: int,
        config: Config,
    ) -> Fit:
        checkpoint = None
        if self._checkpoint is not None:
            key = fit_key(graph, config, seed, self.encoder.fingerprint)
            checkpoint = Checkpoint(self._checkpoint, key, writes=self._workers.rank == 0)
        with torch.device(self._device or _best_device()):
            fit = fit_network(graph, core, channels, rows, config, seed, checkpoint, self._workers)
        if checkpoint is not None:
            checkpoint.finish()
        return fit

    def update(self, graph: KnowledgeGraph) -> None:
        """Rank the items of another state of the graph, without retraining.

        What was learned stays: an item's place depends on its text and edges as they are now,
        under the statistics of the graph that the model was fitted on.  Only items whose texts,
        features, edges or neighbours differ are computed anew.  Items that the model learned
        from and that are gone are neither ranked nor counted in histories.  Who asks meanwhile
        is answered from the old state or from the new one.

        Parameters
        ----------
        graph
            A graph of the same schema.

        Raises
        ------
        UnknownIdError
            If no item that the model learned from is left; the recommender is unchanged.
        SourceError
            If the schema is another one.
        ConfigError
            If the encoder is not the one that the model was fitted with.
        """
        with self._changing:
            state = self._fitted
            if graph.schema != state.graph.schema:
                raise SourceError(
                    f"the graph has the schema '{graph.schema.name}', the model was fitted on "
                    f"'{state.graph.schema.name}' or an older state of it: fit a new model"
                )
            core = graph.items.positions(state.core_ids)
            if len(core) and not (core >= 0).any():
                raise UnknownIdError(
                    f"the graph has no {graph.schema.item} that the model learned from: "
                    "give a later state of the same graph, or fit a new model"
                )
            self._check_encoder(state)
            moves, stale = compare_graphs(state.graph, graph)
            stale = np.setdiff1d(stale, core, assume_unique=True)
            if len(stale) > len(graph.items) // 2:
                catalogue = self._catalogue_of(graph, core)
            else:
                encode = self._text_memory.encode_graph
                rows = state.row_encoder.encode(graph, stale, encode) if len(stale) else []
                catalogue = state.catalogue.moved(moves, core, stale, rows, len(graph.items))
            catalogue = catalogue.compact()
            self._state = replace(
                state,
                graph=graph,
                catalogue=catalogue,
                histories=graph.interaction_matrix(),
                is_cold=graph.is_cold,
                index=_index_of(state, catalogue),
            )

    def _catalogue_of(self, graph: KnowledgeGraph, core: NDArray[np.int64]) -> Catalogue:
        state, vectors = self._fitted, self._encode(graph)
        encode = partial(state.row_encoder.encode, graph, encode_texts=part_of(graph, vectors))
        return Catalogue.compute(state.catalogue.head, core, encode, len(graph.items))

    def add_items(self, items: Iterable[Item] | GraphTables) -> None:
        """Add items, other entities and edges, and rank the new items at once.

        Costs about as much as the new items alone, and gives exactly the scores that the whole
        graph, read anew, would give.  Who asks meanwhile is answered from the old state or from
        the new one.

        Parameters
        ----------
        items
            The new ones, each with its edges to known or equally new nodes; or what is new as
            three tables, with interactions too.

        Raises
        ------
        SourceError
            If an item breaks the schema, is there already, or has an edge to a node that is not
            there; it is named, and the recommender is unchanged.
        ConfigError
            If the encoder is not the one that the model was fitted with.
        """
        self._change(self._tables(items))

    def put_items(self, items: Iterable[Item] | GraphTables) -> None:
        """Add items and other entities, or change those that are there.

        Parameters
        ----------
        items
            As in :meth:`add_items`.  One that is there already gets the text, features and edges
            given in place of all that it had; its interactions stay.

        Raises
        ------
        SourceError, ConfigError
            As :meth:`add_items`.
        """
        self._change(self._tables(items), overwrite=True)

    def remove_items(self, items: str | Iterable[str]) -> None:
        """Take items out, with their edges and interactions.

        Parameters
        ----------
        items
            One id or many.

        Raises
        ------
        UnknownIdError
            If one is not there; the recommender is unchanged.
        SourceError
            If no item would be left.
        """
        self._change(empty_tables(), removed=[items] if isinstance(items, str) else list(items))

    def add_interactions(
        self, interactions: pd.DataFrame | Iterable[Interaction | tuple[str, str]]
    ) -> None:
        """Take in who used what since: histories move, and cold items are cold no longer.

        Parameters
        ----------
        interactions
            :class:`~kgrec.items.Interaction` or pairs of user and item, which happened now where
            they have no time; or a frame with the columns ``user``, ``item`` and, where the
            graph has them, ``time`` and ``weight``.  A new user needs nothing else.

        Raises
        ------
        SourceError
            If an item is not there, or a frame has times and the graph has none or the other
            way round; the recommender is unchanged.
        """
        if isinstance(interactions, pd.DataFrame):
            log = pa.Table.from_pandas(interactions, preserve_index=False)
        else:
            listed = [
                one if isinstance(one, Interaction) else Interaction(user=one[0], item=one[1])
                for one in interactions
            ]
            log = log_of(listed, timed=self.graph.interactions.time is not None)
        nothing = empty_tables()
        self._change(GraphTables(nothing.entities, nothing.relations, log))

    def apply(self, change: Change) -> None:
        """Carry out a change of whatever kind.

        Parameters
        ----------
        change
            Items to put or to remove, or interactions.

        Raises
        ------
        SourceError, UnknownIdError, ConfigError
            As the verb of that kind; the recommender is unchanged.
        """
        match change:
            case PutItems(items=items):
                self.put_items(items)
            case RemoveItems(ids=ids):
                self.remove_items(ids)
            case AddInteractions(interactions=interactions):
                self.add_interactions(interactions)

    def _tables(self, items: Iterable[Item] | GraphTables) -> GraphTables:
        return items if isinstance(items, GraphTables) else tables_of(self.graph.schema, items)

    def _change(
        self, tables: GraphTables, *, overwrite: bool = False, removed: Iterable[str] = ()
    ) -> None:
        with self._changing:
            state = self._fitted
            change = change_graph(state.graph, tables, replace=overwrite, removed=removed)
            graph, catalogue = change.graph, state.catalogue
            core = _follow(catalogue.core, change.item_moves, graph, state.core_ids)
            stale = np.setdiff1d(change.stale, core, assume_unique=True)
            rows: list[Matrix] = []
            if len(stale):
                self._check_encoder(state)
                rows = state.row_encoder.encode(graph, stale, self._text_memory.encode_graph)
            moved = catalogue.moved(change.item_moves, core, stale, rows, len(graph.items))
            if moved.is_sparse:
                moved = moved.compact()
            histories = move_histories(state.histories, change)
            is_cold = _follow_cold(state.is_cold, change, histories)
            self._state = replace(
                state,
                graph=graph,
                catalogue=moved,
                histories=histories,
                is_cold=is_cold,
                index=_index_of(state, moved),
            )

    def build_index(self, recall: float = 0.95, *, seed: int = 0) -> float:
        """Search a large catalogue approximately from now on, with faiss (extra ``ann``).

        Items that arrive, change or go later are right in every list.  An index is not saved, and
        is dropped when so much has changed that the columns are put in order anew, by
        :meth:`update` say: build it again then.

        Parameters
        ----------
        recall
            Share of the exact best twenty that are to be found, on average.
        seed
            Seed of the draws.

        Returns
        -------
        float
            The share that is found, measured on users of the graph.

        Raises
        ------
        ConfigError
            If the catalogue is small enough to be searched exactly, or the share is none.
        ImportError
            If faiss is not installed.
        NotFittedError
            Before ``fit``.
        """
        if not 0.0 < recall <= 1.0:
            raise ConfigError(f"recall is {recall}: it must be above 0 and at most 1")
        with self._changing:
            state = self._fitted
            active = np.flatnonzero(np.diff(state.histories.indptr))
            drawn = np.random.default_rng(seed).permutation(active)[:TUNING_USERS]
            histories = state.histories[np.sort(drawn)]
            index = CatalogueIndex(state.catalogue, histories, recall=recall, seed=seed)
            self._state = replace(state, index=index)
        return index.recall

    def explain(self, user: str, item: str, n: int = 5) -> pd.DataFrame:
        """Say what of a user's history speaks for an item, and how they relate.

        Parameters
        ----------
        user
            Id of the user.
        item
            Id of the item.
        n
            How many items of the history to name at most.

        Returns
        -------
        DataFrame
            The ``reasons`` of an :class:`~kgrec.explain.Explanation`.

        Raises
        ------
        UnknownIdError
            If the user or the item is not in the graph.
        """
        return self.explanation(item, user=user, n=n).reasons

    def explain_for(self, history: Iterable[str], item: str, n: int = 5) -> pd.DataFrame:
        """Say what of a history speaks for an item, and how they relate.

        Parameters
        ----------
        history
            Ids of the items that somebody has used.
        item
            Id of the item.
        n
            How many items of the history to name at most.

        Returns
        -------
        DataFrame
            As :meth:`explain`.

        Raises
        ------
        UnknownIdError
            If an item is not in the graph.
        """
        return self.explanation(item, history=history, n=n).reasons

    def explanation(
        self,
        item: str,
        *,
        user: str | None = None,
        history: Iterable[str] | None = None,
        n: int = 5,
    ) -> Explanation:
        """Explain an item's score in full: its parts by history and by path.

        Parameters
        ----------
        item
            Id of the item.
        user, history
            Either the id of a user, or ids of the items that somebody has used.
        n
            How many items of the history, and how many paths, to name at most.

        Returns
        -------
        Explanation
            Contributions that sum to the score.

        Raises
        ------
        UnknownIdError
            If the user or an item is not in the graph.
        ValueError
            If both a user and a history are given, or neither.
        """
        return explain_item(self.subject(item, user=user, history=history), n)

    def subject(
        self, item: str, *, user: str | None = None, history: Iterable[str] | None = None
    ) -> Subject:
        """Give an item as :mod:`kgrec.explain` and :mod:`kgrec.explore` take it apart.

        Parameters
        ----------
        item
            Id of the item.
        user, history
            Either the id of a user, or ids of the items that somebody has used.

        Returns
        -------
        Subject
            Of one state of the recommender.

        Raises
        ------
        UnknownIdError
            If the user or an item is not in the graph.
        ValueError
            If both a user and a history are given, or neither.
        """
        self = copy.copy(self)  # one state for the whole answer
        state = self._fitted
        position = int(state.graph.positions(state.graph.schema.item, [item])[0])
        used = self._history(user, history).indices.astype(np.int64)
        parts: list[RowParts] = []
        if state.catalogue.by_content[position]:
            self._check_encoder(state)
            encode = self._text_memory.encode_graph
            parts = state.row_encoder.take_apart(state.graph, position, encode)
        return Subject(state.graph, state.catalogue, state.mixing, used, position, parts)

    def score_without(
        self,
        item: str,
        edges: Iterable[Edge],
        *,
        user: str | None = None,
        history: Iterable[str] | None = None,
    ) -> float:
        """Ask what an item's score would be if it did not have some of its edges.

        Parameters
        ----------
        item
            Id of the item.
        edges
            Edges to do without, as :class:`~kgrec.items.Edge`; their weights are of no account.
        user, history
            Either the id of a user, or ids of the items that somebody has used.

        Returns
        -------
        float
            The score, exactly as if the graph had been read without those edges.  That of a
            core item, which rests on who used it, stays.

        Raises
        ------
        UnknownIdError
            If the user or an item is not in the graph.
        SourceError
            If the item has no such edge.
        ValueError
            If both a user and a history are given, or neither.
        """
        self = copy.copy(self)  # one state for the whole answer
        state = self._fitted
        position = int(state.graph.positions(state.graph.schema.item, [item])[0])
        histories = self._history(user, history)
        graph = without_edges(state.graph, item, list(edges))
        catalogue = state.catalogue
        if not catalogue.by_content[position]:
            return float(_mixed_scores(state.mixing, catalogue, histories)[0, position])
        self._check_encoder(state)
        rows = state.row_encoder.encode(graph, np.array([position]), self._text_memory.encode_graph)
        everybody = np.arange(len(graph.items))
        other = catalogue.moved(
            everybody, catalogue.core, np.array([position]), rows, len(everybody)
        )
        return float(_mixed_scores(state.mixing, other, histories)[0, position])

    def audience(self, item: str, n: int = 10) -> pd.DataFrame:
        """Find the users who would get an item, a new one say.

        Parameters
        ----------
        item
            Id of the item.
        n
            How many users at most.

        Returns
        -------
        DataFrame
            Columns ``user``, ``score`` and ``rank`` (the item's place in the user's list, from
            1), the greatest score first; users who have used it already are left out.

        Raises
        ------
        UnknownIdError
            If the item is not in the graph.
        """
        self = copy.copy(self)  # one state for the whole answer
        state = self._fitted
        position = int(state.graph.positions(state.graph.schema.item, [item])[0])
        raw = np.full(len(state.graph.users), -np.inf, np.float32)
        for start in range(0, len(raw), AUDIENCE_BLOCK):
            block = state.histories[start : start + AUDIENCE_BLOCK]
            scores = state.catalogue.column_scores(block, position)
            seen = np.asarray(block[:, [position]].sum(axis=1)) > 0
            unknown = np.diff(block.indptr) == 0
            raw[start : start + AUDIENCE_BLOCK] = np.where(seen | unknown, -np.inf, scores)
        users = top_k(raw[None], n)[0][0]
        users = users[users >= 0]
        records = [self._place_of(int(user), position) for user in users]
        frame = pd.DataFrame(records, columns=["score", "rank"])
        frame.insert(0, "user", state.graph.users.ids.take(pa.array(users)).to_pylist())
        return frame

    def _place_of(self, user: int, item: int) -> tuple[float, int]:
        """Find an item's score for a user and its place in the user's list."""
        batch = UserBatch(self.histories[[user]], np.array([user]))
        scores = self._score(batch)[0]
        score = scores[item]
        scores[batch.histories.indices] = -np.inf
        return float(score), int((scores > score).sum() + (scores[:item] == score).sum()) + 1

    def _history(self, user: str | None, history: Iterable[str] | None) -> sparse.csr_array:
        if (user is None) == (history is None):
            raise ValueError("give either a user or a history, and not both")
        if history is not None:
            return self.history_of(history)
        position = self.graph.positions(self.graph.schema.user, [str(user)])
        return self.histories[position]

    def save(self, folder: str | Path, *, journal_position: int | None = None) -> None:
        """Save the model and its graph: safetensors, Parquet and JSON.

        Parameters
        ----------
        folder
            Where to; a model that was saved there is replaced at once, or not at all.
        journal_position
            Number of the last change of a journal that the model has in it.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        ArtifactError
            If the folder holds something else, or can't be written.
        """
        state = self._fitted
        saved = SavedModel(
            self.config,
            state.graph,
            state.catalogue.compact(),
            state.mixing,
            state.core_ids,
            state.seed,
            state.validation,
            state.text_fingerprint,
            journal_position,
        )
        save_model(saved, folder)

    @classmethod
    def load(cls, folder: str | Path, *, encoder: TextEncoder | None = None) -> Self:
        """Load a model that was saved.

        Parameters
        ----------
        folder
            The folder.
        encoder
            Encoder of the texts of items that are added later, the same as in ``fit``; by
            default the BERT model that the settings name.

        Returns
        -------
        Recommender
            Ranks exactly as the one that was saved.

        Raises
        ------
        ArtifactError
            If the folder is no model, is incomplete, was altered, or is of another version.
        """
        saved = load_model(folder)
        recommender = cls(saved.config, encoder=encoder)
        recommender._state = _State(
            saved.graph,
            saved.catalogue,
            RowEncoder.of(saved.catalogue.head.network.channels),
            saved.mixing,
            saved.core_ids,
            saved.graph.interaction_matrix(),
            saved.graph.is_cold,
            saved.seed,
            saved.validation,
            saved.text_fingerprint,
        )
        return recommender

    def _score(self, batch: UserBatch) -> NDArray[np.float32]:
        state = self._fitted
        return _mixed_scores(state.mixing, state.catalogue, batch.histories)

    def rank_batch(
        self,
        batch: UserBatch,
        k: int,
        candidates: NDArray[np.bool_] | None = None,
        exclude_seen: bool = True,
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Rank all candidates for some users at once.

        The best of the core items and the best of all others are found apart, and only those
        are brought to one scale: the curves keep the order within each group.  All others are
        searched approximately after :meth:`build_index`, as long as the items to choose from
        are not narrowed down and everybody has used something.

        Parameters
        ----------
        batch, k, candidates, exclude_seen
            As in :meth:`kgrec.ranker.Ranker.rank_batch`.

        Returns
        -------
        items : ndarray of int64
            Positions of the best items, [B, k], -1 where there are fewer than k.
        scores : ndarray of float32
            Their scores, [B, k].
        """
        state = self._fitted
        catalogue = state.catalogue
        seen = batch.histories if exclude_seen else None
        written = catalogue.write(batch.histories)
        core = catalogue.core_scores(batch.histories, written)
        groups = [_best_of(core, catalogue.core_positions, k, candidates, seen)]
        found = None
        if state.index is not None and candidates is None and np.diff(batch.histories.indptr).all():
            found = state.index.best(catalogue, written, k, seen)
        if found is None:
            content = catalogue.content_scores(batch.histories, written)
            found = _best_of(content, catalogue.content_positions, k, candidates, seen)
        groups.append(found)
        items = np.concatenate([items for items, _ in groups], axis=1)
        warm, cold = (scores for _, scores in groups)
        lengths = np.diff(batch.histories.indptr)
        scores = [
            state.mixing.warm.log_odds(warm, lengths),
            state.mixing.cold_log_odds(cold, lengths),
        ]
        return _merge_best(items, np.concatenate(scores, axis=1), k)

    def _similarity(self, items: NDArray[np.int64]) -> NDArray[np.float32]:
        return self._fitted.catalogue.similarity(items)

    def pair_similarity(self, items: NDArray[np.int64]) -> NDArray[np.float32]:
        """Give the cosines of the columns of some items with each other.

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
        return self._fitted.catalogue.pair_similarity(items)

    def _encode(self, graph: KnowledgeGraph) -> TextVectors:
        return {
            node_type: self.encoder.encode(table.texts) for node_type, table in graph.nodes.items()
        }

    def _encode_own_share(self, graph: KnowledgeGraph) -> None:
        """Encode some of the texts, so that all find all of them in the cache that they share."""
        if self._workers.count == 1:
            return
        texts = pa.chunked_array([table.texts for table in graph.nodes.values()]).unique()
        parts = np.array_split(np.arange(len(texts)), self._workers.count)
        encoder = self.encoder

        def encode(part: NDArray[np.int64]) -> None:
            encoder.encode(texts.take(pa.array(part)))

        self._workers.share_out(parts, encode)

    def _check_encoder(self, state: _State) -> None:
        if self.encoder.fingerprint != state.text_fingerprint:
            raise ConfigError(
                "the model was fitted on the vectors of another text model: give that one's "
                "encoder to load(folder, encoder=...), or fit a new model"
            )


def _mixed_scores(
    mixing: Mixing, catalogue: Catalogue, histories: sparse.csr_array
) -> NDArray[np.float32]:
    """Score all items for some histories, warm and cold ones on one scale, [B, items]."""
    lengths = np.diff(histories.indptr)
    return mixing.mix(catalogue.scores(histories), catalogue.by_content, lengths)


def _best_device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def _warn_of_loss(kept: float, components: int) -> None:
    if kept < LEAST_KEPT:
        warnings.warn(
            f"{components} components keep {kept:.0%} of the weights of this catalogue, whose "
            "items fall into more groups than that, and lists of new items will be worse for it: "
            "raise catalogue_components, or catalogue_gigabytes, as far as the memory allows",
            stacklevel=5,
        )


def _index_of(state: _State, catalogue: Catalogue) -> CatalogueIndex | None:
    """Keep the index where it still is one of the catalogue's columns."""
    return state.index if state.index is not None and state.index.covers(catalogue) else None


def _follow(
    core: NDArray[np.int64], moves: NDArray[np.int64], graph: KnowledgeGraph, ids: pa.StringArray
) -> NDArray[np.int64]:
    """Find the core items in a changed graph; one that was gone may have come back."""
    moved = np.where(core >= 0, moves[core], -1)
    gone = np.flatnonzero(moved < 0)
    if len(gone):
        moved[gone] = graph.items.positions(ids.take(pa.array(gone)))
    return moved


def _follow_cold(
    is_cold: NDArray[np.bool_], change: ChangedGraph, histories: sparse.csr_array
) -> NDArray[np.bool_]:
    if not change.same_log:
        return change.graph.is_cold
    moved = np.ones(histories.shape[1], bool)
    moved[change.item_moves] = is_cold
    return moved


def _best_of(
    scores: NDArray[np.float32],
    positions: NDArray[np.int64],
    k: int,
    candidates: NDArray[np.bool_] | None,
    seen: sparse.csr_array | None,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Find the best of one group of items; ``scores`` is changed in place."""
    if candidates is not None:
        scores[:, ~candidates[positions]] = -np.inf
    if seen is not None and len(positions):
        rows = np.repeat(np.arange(seen.shape[0]), np.diff(seen.indptr))
        places = np.searchsorted(positions, seen.indices)
        inside = places < len(positions)
        inside[inside] = positions[places[inside]] == seen.indices[inside]
        scores[rows[inside], places[inside]] = -np.inf
    columns, values = top_k(scores, k)
    items = np.where(columns >= 0, positions[columns] if len(positions) else -1, -1)
    return items, values


def _merge_best(
    items: NDArray[np.int64], scores: NDArray[np.float32], k: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Merge the best of two groups; ties go to the lower position."""
    scores = np.where(items >= 0, scores, -np.inf)
    order = np.lexsort((items, -scores), axis=1)[:, :k]
    return np.take_along_axis(items, order, axis=1), np.take_along_axis(scores, order, axis=1)


def _typical_history(histories: sparse.csr_array) -> NDArray[np.float32]:
    total = np.asarray(histories.sum(axis=0), dtype=np.float32)
    return total / np.float32(max(histories.shape[0], 1))


def _known(facts: dict[str, object]) -> dict[str, object]:
    """Write None for what was not measured: JSON has no NaN."""
    return {
        name: None if isinstance(value, float) and np.isnan(value) else value
        for name, value in facts.items()
    }


def _shares(state: _State) -> pd.DataFrame:
    """Tabulate what share of an item's kernel each channel has, the greatest first."""
    cold: Any = state.validation["cold"]
    rows = sorted(cold["shares"].items(), key=lambda row: -row[1])
    return pd.DataFrame(rows, columns=["known of an item", "share"])


def _describe(fit: Fit) -> dict[str, object]:
    names = [channel.name for channel in fit.network.channels]
    cold, warm = _known(asdict(fit.cold)), _known(asdict(fit.warm))
    cold["shares"] = dict(zip(names, fit.cold.shares, strict=True))
    return {"core_items": len(fit.core), "cold": cold, "warm": warm, "mixing": asdict(fit.mixing)}
