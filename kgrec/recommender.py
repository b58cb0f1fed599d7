"""The recommender: from a graph to ranked items, those that nobody has used yet included."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from numpy.typing import NDArray
from scipy import sparse

from kgrec.artifact import SavedModel, load_model, save_model
from kgrec.calibration import Mixing
from kgrec.config import Config
from kgrec.errors import ConfigError, NotFittedError, SourceError
from kgrec.explain import explain_item
from kgrec.fitting import Fit, fit_network
from kgrec.graph import GraphTables, KnowledgeGraph
from kgrec.model.channels import Matrix, TextVectors, learn_channels
from kgrec.model.network import ItemWeights, Network, apply_network
from kgrec.model.whitening import unit_rows
from kgrec.ranker import Ranker, UserBatch
from kgrec.text import TextEncoder


@dataclass(frozen=True, slots=True, eq=False)
class _State:
    """A fitted network, applied to the graph as it is now."""

    network: Network
    mixing: Mixing
    core_ids: pa.StringArray
    item_weights: ItemWeights
    typical_history: NDArray[np.float32]
    seed: int
    validation: dict[str, object]
    text_fingerprint: str


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
    ) -> None:
        self.config = config if config is not None else Config()
        self._device = device
        self._encoder = encoder
        self._state: _State | None = None

    @property
    def name(self) -> str:
        """Name in tables."""
        return "kgrec"

    @property
    def encoder(self) -> TextEncoder:
        """The encoder of the texts, made when it is first needed."""
        if self._encoder is None:
            self._encoder = TextEncoder(
                self.config.text_model,
                pooling=self.config.pooling,
                max_length=self.config.max_length,
                device=self._device,
            )
        return self._encoder

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
    def _fitted(self) -> _State:
        if self._state is None:
            raise NotFittedError("kgrec has no model yet: call fit(graph) or load(folder) first")
        return self._state

    def _fit(self, graph: KnowledgeGraph, seed: int) -> None:
        if not len(graph.interactions):
            raise SourceError(
                "the graph has no interactions, so there is nothing to learn from: "
                "check the interactions query"
            )
        vectors = self._encode(graph)
        channels = learn_channels(graph, vectors, hops=self.config.hops, words=self.config.words)
        rows = [channel.encode(graph, vectors) for channel in channels]
        with torch.device(self._device or _best_device()):
            fit = fit_network(graph, channels, rows, self.config, seed)
        self._state = _State(
            fit.network,
            fit.mixing,
            graph.items.ids.take(pa.array(fit.core)),
            apply_network(fit.network, fit.core, rows),
            _typical_history(graph.interaction_matrix()[:, fit.core]),
            seed,
            _describe(fit),
            self.encoder.fingerprint,
        )

    def update(self, graph: KnowledgeGraph) -> None:
        """Rank the items of another state of the graph, without retraining.

        What was learned stays: an item's place depends on its text and edges as they are now,
        under the statistics of the graph that the model was fitted on.  Other threads must not
        ask meanwhile: update a ``copy.copy`` of the recommender, which shares all that was
        learned, and put it in place of the old one.

        Parameters
        ----------
        graph
            A graph of the same schema that still has the items that the model learned from.

        Raises
        ------
        UnknownIdError
            If an item that the model learned from is gone; the recommender is unchanged.
        SourceError
            If the schema is another one.
        ConfigError
            If the encoder is not the one that the model was fitted with.
        """
        state = self._fitted
        if graph.schema != self.graph.schema:
            raise SourceError(
                f"the graph has the schema '{graph.schema.name}', the model was fitted on "
                f"'{self.graph.schema.name}' or an older state of it: fit a new model"
            )
        core = graph.positions(graph.schema.item, state.core_ids.to_pylist())
        rows = self._rows(graph)
        self._state = replace(state, item_weights=apply_network(state.network, core, rows))
        self._attach(graph)

    def add_items(self, tables: GraphTables) -> None:
        """Add items, entities and edges, and rank the new items at once.

        Parameters
        ----------
        tables
            What is new; edges may join new nodes with each other and with old ones.

        Raises
        ------
        SourceError
            If a row breaks the schema; the recommender is unchanged.
        """
        self.update(self.graph.extended(tables))

    def explain(self, user: str, item: str, n: int = 5) -> pd.DataFrame:
        """Say why a user of the graph is recommended an item.

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
            See :func:`kgrec.explain.explain_item`.

        Raises
        ------
        UnknownIdError
            If the user or the item is not in the graph.
        """
        position = self.graph.positions(self.graph.schema.user, [user])
        return self._explain(self.histories[position], item, n)

    def explain_for(self, history: Iterable[str], item: str, n: int = 5) -> pd.DataFrame:
        """Say why somebody who used some items is recommended another.

        Parameters
        ----------
        history
            Ids of the items that they have used.
        item
            Id of the item.
        n
            How many items of the history to name at most.

        Returns
        -------
        DataFrame
            See :func:`kgrec.explain.explain_item`.

        Raises
        ------
        UnknownIdError
            If an item is not in the graph.
        """
        seen = np.unique(self.graph.positions(self.graph.schema.item, history))
        row = np.zeros((1, len(self.graph.items)), np.float32)
        row[0, seen] = 1.0
        return self._explain(sparse.csr_array(row), item, n)

    def save(self, folder: str | Path) -> None:
        """Save the model and its graph: safetensors, Parquet and JSON.

        Parameters
        ----------
        folder
            Where to; a model that was saved there is replaced at once, or not at all.

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
            self.graph,
            state.network,
            state.mixing,
            state.core_ids,
            state.item_weights,
            state.typical_history,
            state.seed,
            state.validation,
            state.text_fingerprint,
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
            saved.network,
            saved.mixing,
            saved.core_ids,
            saved.item_weights,
            saved.typical_history,
            saved.seed,
            saved.validation,
            saved.text_fingerprint,
        )
        recommender._attach(saved.graph)
        return recommender

    def _score(self, batch: UserBatch) -> NDArray[np.float32]:
        state = self._fitted
        scores = state.item_weights.scores(batch.histories)
        nothing_used = np.flatnonzero(np.diff(batch.histories.indptr) == 0)
        if len(nothing_used):
            scores[nothing_used] = state.typical_history @ state.item_weights.weights
        return state.mixing.mix(scores, state.item_weights.by_content)

    def _similarity(self, items: NDArray[np.int64]) -> NDArray[np.float32]:
        columns = unit_rows(np.ascontiguousarray(self._fitted.item_weights.weights.T))
        return np.asarray(columns[items] @ columns.T, dtype=np.float32)

    def _encode(self, graph: KnowledgeGraph) -> TextVectors:
        return {
            node_type: self.encoder.encode(table.texts) for node_type, table in graph.nodes.items()
        }

    def _rows(self, graph: KnowledgeGraph) -> list[Matrix]:
        if self.encoder.fingerprint != self._fitted.text_fingerprint:
            raise ConfigError(
                "the model was fitted on the vectors of another text model: give that one's "
                "encoder to load(folder, encoder=...), or fit a new model"
            )
        vectors = self._encode(graph)
        return [channel.encode(graph, vectors) for channel in self._fitted.network.channels]

    def _explain(self, history: sparse.csr_array, item: str, n: int) -> pd.DataFrame:
        state = self._fitted
        position = int(self.graph.positions(self.graph.schema.item, [item])[0])
        return explain_item(
            self.graph,
            state.network,
            state.item_weights,
            self._rows(self.graph),
            history,
            position,
            n,
        )


def _best_device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def _typical_history(histories: sparse.csr_array) -> NDArray[np.float32]:
    total = np.asarray(histories.sum(axis=0), dtype=np.float32)
    return total / np.float32(max(histories.shape[0], 1))


def _known(facts: dict[str, object]) -> dict[str, object]:
    """Write None for what was not measured: JSON has no NaN."""
    return {
        name: None if isinstance(value, float) and np.isnan(value) else value
        for name, value in facts.items()
    }


def _describe(fit: Fit) -> dict[str, object]:
    names = [channel.name for channel in fit.network.channels]
    cold, warm = _known(asdict(fit.cold)), _known(asdict(fit.warm))
    cold["shares"] = dict(zip(names, fit.cold.shares, strict=True))
    return {"core_items": len(fit.core), "cold": cold, "warm": warm, "mixing": asdict(fit.mixing)}
