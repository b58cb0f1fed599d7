"""Graph neural networks that learn to rank new items: GraphSAGE and GAT."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor, nn
from torch.nn.functional import dropout, normalize
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from kgrec.baselines.content import Encoder
from kgrec.baselines.message_graph import SIGNS, MessageGraph, read_messages, rows_among
from kgrec.baselines.training import as_tensor, draw, seeded, train
from kgrec.baselines.validation import Fold, hold_out_items, used_matrix
from kgrec.graph import EdgeType, KnowledgeGraph
from kgrec.model.whitening import unit_rows
from kgrec.ranker import Ranker, UserBatch
from kgrec.training import softmax_ranking_loss

BATCH_USERS = 1024
AVERAGING = 0.9  # of weights over steps: what is measured and kept is less of a lucky step
HIDDEN_SHARE = 0.2
CHECK_EVERY = 20
PATIENCE = 5


@dataclass(frozen=True, slots=True)
class GraphNetworkSettings:
    """Shape and training of a graph neural network.

    Parameters
    ----------
    convolution
        ``sage``: each relation's messages are aggregated and projected (Hamilton, Ying and
        Leskovec, NeurIPS 2017); ``gat``: they are weighted by attention (GATv2; Brody, Alon and
        Yahav, ICLR 2022).
    layers
        Rounds of message passing.
    width
        Length of all vectors.
    aggregation
        How GraphSAGE aggregates the messages of one relation.
    heads
        Attention heads of GAT.
    identity
        What a node other than an item is known by beside its text: a ``learned`` vector, which
        stays zero where no warm item is near, a fixed random one made by a ``hash`` of its id,
        or ``none``.
    history
        What an item says of those who used it: the vector that the network gives it (``graph``),
        a ``free`` vector of a warm item, or ``both``.
    dropout
        Of vectors between layers, and of whole identities.
    temperature
        Scores are cosines divided by it.
    learning_rate, decay
        Of Adam; the decay is an L2 penalty.
    """

    convolution: Literal["sage", "gat"] = "sage"
    layers: int = 1
    width: int = 128
    aggregation: Literal["mean", "sum", "max"] = "mean"
    heads: int = 4
    identity: Literal["learned", "hash", "none"] = "learned"
    history: Literal["graph", "free", "both"] = "both"
    dropout: float = 0.3
    temperature: float = 0.1
    learning_rate: float = 1e-2
    decay: float = 0.0

    def __post_init__(self) -> None:
        if self.layers < 1:
            raise ValueError(f"layers = {self.layers} must be at least 1")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout = {self.dropout} must lie between 0 and 1")
        if not self.temperature > 0:
            raise ValueError(f"temperature = {self.temperature} must be positive")
        if self.convolution == "gat" and self.width % self.heads:
            raise ValueError(f"width = {self.width} must be a multiple of heads = {self.heads}")


@dataclass(frozen=True, slots=True, eq=False)
class ItemVectors:
    """What the network makes of the items.

    Parameters
    ----------
    candidates
        Vectors of items that are ranked, [items, width], of length one.
    histories
        Vectors of items that have been used, [items, width].
    offsets
        What is added to all scores of an item, [items].
    """

    candidates: Tensor
    histories: Tensor
    offsets: Tensor


class GraphNetwork(nn.Module):
    """Item vectors from texts, identities and edges, and scores for histories.

    Whatever belongs to one item alone stays out of the vector by which it is ranked, and items
    send messages only where they are told to, so that a new item is treated like any other.

    Parameters
    ----------
    graph
        The graph that is learned from: its types, relations and ids.
    settings
        Shape of the network.
    """

    def __init__(self, graph: MessageGraph, settings: GraphNetworkSettings) -> None:
        super().__init__()
        width = settings.width
        self.settings = settings
        self.ids = dict(graph.ids)
        self.item = graph.item
        self.kinds = _kinds_by_layer(graph, settings.layers)
        self.types = _types_in(graph, self.kinds)
        self.from_text = nn.ModuleList(
            nn.Linear(graph.texts[kind].shape[1], width, bias=False) for kind in self.types
        )
        self.from_signs = nn.ModuleList(nn.Linear(SIGNS, width, bias=False) for _ in self.types)
        self.identities = nn.ParameterList(
            torch.zeros(len(graph.ids[kind]) if settings.identity == "learned" else 0, width)
            for kind in self.types
        )
        ways = sum(kind[2] == graph.item for kind in graph.edges)
        self.from_degrees = nn.Linear(ways + 1, width)
        self.convolutions = nn.ModuleList(_convolution(kinds, settings) for kinds in self.kinds)
        self.own = nn.ModuleList(nn.Linear(width, width) for _ in self.kinds for _ in self.types)
        self.out = nn.Linear(width, width)
        self.offset = nn.Linear(width, 1)
        free = 0 if settings.history == "graph" else graph.item_count
        self.free = nn.Parameter(torch.randn(free, width) * 0.1)
        self.query = nn.Linear(width, width, bias=False)

    def forward(self, graph: MessageGraph, senders: Tensor) -> ItemVectors:
        """Pass messages.

        Parameters
        ----------
        graph
            The graph that was learned from, or one with other nodes of the same types.
        senders
            Which items send messages, [items] bool.

        Returns
        -------
        ItemVectors
            Of all items of the graph.
        """
        sent = graph.sent_by(senders)
        targets = self._start(graph, sent)
        sources = self._identified(graph, targets)
        targets = {kind: targets[kind] if kind == self.item else sources[kind] for kind in sources}
        for layer, (kinds, convolution) in enumerate(
            zip(self.kinds, self.convolutions, strict=True)
        ):
            pairs = {kind: (sources[kind[0]], targets[kind[2]]) for kind in kinds}
            arrived = convolution(pairs, sent) if kinds else {}
            reached = {self.item, *(kind[2] for kind in kinds)}
            after = {}
            for place, node_type in enumerate(self.types):
                if node_type in reached:
                    own = self.own[layer * len(self.types) + place](targets[node_type])
                    after[node_type] = self._drop(torch.relu(own + arrived.get(node_type, 0.0)))
            sources = targets = after
        vectors = self.out(targets[self.item])
        return ItemVectors(
            normalize(vectors),
            self._history_vectors(graph, vectors, senders),
            self.offset(targets[self.item])[:, 0],
        )

    def scores(self, vectors: ItemVectors, histories: Tensor, candidates: Tensor) -> Tensor:
        """Score items for users.

        Parameters
        ----------
        vectors
            Of all items.
        histories
            What each user has used, [B, items], sparse or dense.
        candidates
            Positions of the items to score, [N].

        Returns
        -------
        Tensor
            [B, N].
        """
        users = normalize(self.query(histories @ vectors.histories))
        cosines = users @ vectors.candidates[candidates].T
        return cosines / self.settings.temperature + vectors.offsets[candidates]

    def _start(self, graph: MessageGraph, sent: Mapping[EdgeType, Tensor]) -> dict[str, Tensor]:
        start = {
            kind: from_text(graph.texts[kind])
            for kind, from_text in zip(self.types, self.from_text, strict=True)
        }
        degrees = graph.log_degrees(sent)
        said = graph.texts[self.item].any(dim=1, keepdim=True).float()
        start[self.item] = start[self.item] + self.from_degrees(torch.cat([degrees, said], dim=1))
        return start

    def _identified(self, graph: MessageGraph, start: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Add to each node what it is known by."""
        if self.settings.identity == "none":
            return dict(start)
        sources = {}
        for number, kind in enumerate(self.types):
            if self.settings.identity == "hash":
                identity = self.from_signs[number](graph.signs[kind])
            else:
                identity = self._known(self.identities[number], graph, kind)
            present = dropout(torch.ones(len(identity), 1), self.settings.dropout, self.training)
            sources[kind] = start[kind] + present * identity
        return sources

    def _history_vectors(self, graph: MessageGraph, vectors: Tensor, senders: Tensor) -> Tensor:
        own = normalize(vectors)
        # what all items have in common says nothing of a user, and would drown the rest
        own = own - own[senders].mean(dim=0) if senders.any() else own
        if self.settings.history == "graph":
            return own
        free = self._known(self.free, graph, self.item)
        return free if self.settings.history == "free" else own + free

    def _known(self, table: Tensor, graph: MessageGraph, kind: str) -> Tensor:
        """Look up what was learned of single nodes; nothing of those that came later."""
        if graph.ids[kind].equals(self.ids[kind]):
            return table
        padded = torch.cat([table, table.new_zeros(1, table.shape[1])])
        return padded[rows_among(graph.ids[kind], self.ids[kind])]

    def _drop(self, vectors: Tensor) -> Tensor:
        return dropout(vectors, self.settings.dropout, self.training)


class EpisodicTraining:
    """Training by episodes: some items are hidden and ranked as if they were new.

    Parameters
    ----------
    graph
        The graph; items that nobody has used send nothing.
    matrix
        Who used what, [users, items].
    settings
        Shape and training of the network.
    seed
        Seed of the weights and of all draws.
    """

    def __init__(
        self,
        graph: MessageGraph,
        matrix: sparse.csr_array,
        settings: GraphNetworkSettings,
        seed: int,
    ) -> None:
        self.graph, self.matrix = graph, matrix
        self.senders = torch.from_numpy(np.bincount(matrix.indices, minlength=matrix.shape[1]) > 0)
        self._items = np.flatnonzero(self.senders)
        self._users = np.flatnonzero(np.diff(matrix.indptr) > 1)
        self._random = np.random.default_rng(seed)
        with seeded(seed):
            self.network = GraphNetwork(graph, settings)
        average = get_ema_multi_avg_fn(AVERAGING)  # type: ignore[no-untyped-call]
        self.averaged = AveragedModel(self.network, multi_avg_fn=average)
        self.averaged.eval()
        self.optimiser = torch.optim.Adam(
            self.network.parameters(), settings.learning_rate, weight_decay=settings.decay
        )

    @property
    def kept(self) -> GraphNetwork:
        """The network with the weights averaged over the last steps."""
        return cast(GraphNetwork, self.averaged.module)

    def step(self) -> Tensor:
        """Hide some items, and give the ranking loss of those who used them.

        Returns
        -------
        Tensor
            Scalar; zero where nobody has anything left.
        """
        self.averaged.update_parameters(self.network)
        hidden = self._random.permutation(self._items)[: round(HIDDEN_SHARE * len(self._items))]
        hidden = np.sort(hidden).astype(np.int64)
        users = self._users
        if len(users) > BATCH_USERS:
            users = draw(self._random, users, BATCH_USERS)
        return self.loss(users, hidden)

    def loss(self, users: NDArray[np.int64], hidden: NDArray[np.int64]) -> Tensor:
        """Rank hidden items for users by the others.

        Parameters
        ----------
        users
            Positions of the users, [B]; those without a hidden and another item are left out.
        hidden
            Positions of the hidden items, [H].

        Returns
        -------
        Tensor
            Scalar.
        """
        histories = self.matrix[users]
        positives = histories[:, hidden].toarray()
        kept = without_items(histories, hidden)
        useful = (positives.sum(axis=1) > 0) & (np.diff(kept.indptr) > 0)
        senders = self.senders.clone()
        senders[hidden] = False
        vectors: ItemVectors = self.network(self.graph, senders)
        if not useful.any():
            return 0.0 * vectors.offsets.sum()
        known = mean_rows(kept[np.flatnonzero(useful)])
        logits = self.network.scores(vectors, as_tensor(known), torch.from_numpy(hidden))
        return softmax_ranking_loss(logits, torch.from_numpy(positives[useful]))

    @torch.no_grad()
    def vectors(self, graph: MessageGraph | None = None) -> ItemVectors:
        """Give the vectors of all items, the cold ones by the same pass.

        Parameters
        ----------
        graph
            With other nodes than were learned from; new items send nothing.

        Returns
        -------
        ItemVectors
            Of all items of the graph.
        """
        graph = graph or self.graph
        place = rows_among(graph.ids[graph.item], self.graph.ids[graph.item])
        senders = torch.cat([self.senders, torch.tensor([False])])[place]
        vectors: ItemVectors = self.averaged(graph, senders)
        return vectors

    @torch.no_grad()
    def scores(self, vectors: ItemVectors, histories: sparse.csr_array) -> NDArray[np.float32]:
        """Score all items for histories.

        Parameters
        ----------
        vectors
            From :meth:`vectors`.
        histories
            [B, items].

        Returns
        -------
        ndarray of float32
            [B, items].
        """
        everything = torch.arange(len(vectors.candidates))
        scores = self.kept.scores(vectors, as_tensor(mean_rows(histories)), everything)
        return np.asarray(scores.numpy(), dtype=np.float32)


class GraphNetworkRanker(Ranker):
    """Rank by a graph neural network that is trained on items hidden from it.

    Parameters
    ----------
    encoder
        Gives nodes their texts' vectors; without one they have identities alone.
    settings
        One, or several to try on pseudo-cold items.
    max_steps
        Steps at most; how many is found on pseudo-cold items, then all items are trained on.

    Notes
    -----
    Training hides a fifth of the warm items in each step, and ranks those for up to 1,024 of their
    users by a softmax over them.  Hashed identities depend on ids: other ids, other vectors.
    """

    def __init__(
        self,
        encoder: Encoder | None = None,
        *,
        settings: GraphNetworkSettings | Sequence[GraphNetworkSettings] | None = None,
        max_steps: int = 400,
    ) -> None:
        if settings is None:
            settings = self.usual_settings()
        listed = (settings,) if isinstance(settings, GraphNetworkSettings) else tuple(settings)
        if not listed:
            raise ValueError("settings must hold at least one")
        self.encoder = encoder
        self.settings = listed
        self.max_steps = max_steps

    chosen_settings: GraphNetworkSettings
    chosen_steps: int
    _training: EpisodicTraining
    _vectors: ItemVectors

    @staticmethod
    @abstractmethod
    def usual_settings() -> Sequence[GraphNetworkSettings]:
        """Give the settings that are tried by default."""

    def _fit(self, graph: KnowledgeGraph, seed: int) -> None:
        matrix = used_matrix(graph)
        fold = hold_out_items(matrix, np.random.default_rng(seed))
        warm = np.bincount(fold.histories.indices, minlength=matrix.shape[1]) > 0
        hidden_from = read_messages(graph, self.encoder, warm)
        trials = [self._try(hidden_from, fold, settings, seed) for settings in self.settings]
        best = int(np.argmax([value for value, _ in trials]))
        settings, steps = self.settings[best], trials[best][1]
        messages = read_messages(graph, self.encoder, ~graph.is_cold)
        training = EpisodicTraining(messages, matrix, settings, seed)
        with seeded(seed):
            train(self.name, training.step, training.optimiser, steps)
        self.chosen_settings, self.chosen_steps = settings, steps
        self._training, self._vectors = training, training.vectors()

    def _try(
        self, graph: MessageGraph, fold: Fold, settings: GraphNetworkSettings, seed: int
    ) -> tuple[float, int]:
        """Train until pseudo-cold items no longer improve; give the best value and its steps."""
        training = EpisodicTraining(graph, fold.histories, settings, seed)
        values: list[float] = []

        def check() -> float:
            vectors = training.vectors()
            values.append(fold.ndcg(lambda batch: training.scores(vectors, batch.histories)))
            return values[-1]

        with seeded(seed):
            steps = train(
                self.name,
                training.step,
                training.optimiser,
                self.max_steps,
                check=check,
                every=CHECK_EVERY,
                patience=PATIENCE,
            )
        return max(values, default=0.0), steps

    def _score(self, batch: UserBatch) -> NDArray[np.float32]:
        return self._training.scores(self._vectors, batch.histories)

    def _similarity(self, items: NDArray[np.int64]) -> NDArray[np.float32]:
        directions = unit_rows(self._vectors.candidates.numpy())
        return directions[items] @ directions.T


class GraphSAGE(GraphNetworkRanker):
    """Rank by a heterogeneous GraphSAGE with a softmax loss.

    Hamilton, Ying and Leskovec, Inductive representation learning on large graphs, NeurIPS 2017,
    with a convolution a relation and direction, over whitened text vectors and node identities.
    """

    @staticmethod
    def usual_settings() -> Sequence[GraphNetworkSettings]:
        """Give the three that did best among 24 drawn at random (docs/message-passing.md)."""
        return _usual_settings("sage")


class GAT(GraphNetworkRanker):
    """Rank by a heterogeneous graph attention network with a softmax loss.

    Brody, Alon and Yahav, How attentive are graph attention networks?, ICLR 2022, with a
    convolution a relation and direction, over whitened text vectors and node identities.
    """

    @staticmethod
    def usual_settings() -> Sequence[GraphNetworkSettings]:
        """Give the same three as for :class:`GraphSAGE`."""
        return _usual_settings("gat")


def without_items(matrix: sparse.csr_array, items: NDArray[np.int64]) -> sparse.csr_array:
    """Take items out of histories.

    Parameters
    ----------
    matrix
        [B, items].
    items
        Positions, [H].

    Returns
    -------
    csr_array
        [B, items], nothing stored of those items.
    """
    stays = np.ones(matrix.shape[1], np.float32)
    stays[items] = 0.0
    kept = sparse.csr_array(matrix @ sparse.diags_array(stays))
    kept.eliminate_zeros()
    return kept


def mean_rows(matrix: sparse.csr_array) -> sparse.csr_array:
    """Scale rows to the sum of one; an empty row stays empty.

    Parameters
    ----------
    matrix
        [B, items] of ones.

    Returns
    -------
    csr_array
        [B, items] float32.
    """
    count = np.maximum(np.diff(matrix.indptr), 1)
    scaled = sparse.diags_array((1.0 / count).astype(np.float32)) @ matrix
    return sparse.csr_array(scaled, dtype=np.float32)


def _usual_settings(convolution: Literal["sage", "gat"]) -> tuple[GraphNetworkSettings, ...]:
    one = GraphNetworkSettings(
        convolution,
        aggregation="sum",
        identity="hash",
        history="free",
        dropout=0.0,
        temperature=0.4,
        learning_rate=3e-3,
    )
    textual = replace(one, aggregation="mean", identity="none", history="both", temperature=0.05)
    deep = replace(
        one, layers=2, aggregation="max", identity="learned", dropout=0.1, temperature=0.05
    )
    return one, textual, deep


def _kinds_by_layer(graph: MessageGraph, layers: int) -> list[list[EdgeType]]:
    """Choose the messages that reach an item in the layers that are left."""
    wanted, kinds = {graph.item}, []
    for _ in range(layers):
        kinds.append([kind for kind in graph.edges if kind[2] in wanted])
        wanted |= {kind[0] for kind in kinds[-1]}
    return kinds[::-1]


def _types_in(graph: MessageGraph, kinds: Sequence[Sequence[EdgeType]]) -> tuple[str, ...]:
    """List the node types that have a part in some layer."""
    used = {graph.item, *(end for layer in kinds for kind in layer for end in (kind[0], kind[2]))}
    return tuple(node_type for node_type in graph.ids if node_type in used)


def _convolution(kinds: Sequence[EdgeType], settings: GraphNetworkSettings) -> nn.Module:
    """Make one layer: a convolution for each relation and direction, their results added."""
    # takes seconds to import: not for everybody who wants another baseline
    from torch_geometric.nn import GATv2Conv, HeteroConv, SAGEConv

    width, heads = settings.width, settings.heads
    convolutions = {
        kind: SAGEConv(
            (width, width), width, aggr=settings.aggregation, root_weight=False, bias=False
        )
        if settings.convolution == "sage"
        else GATv2Conv((width, width), width // heads, heads, add_self_loops=False, bias=False)
        for kind in kinds
    }
    with warnings.catch_warnings():
        # the last layer is asked for items alone, and says so
        warnings.filterwarnings("ignore", message="There exist node types")
        layer: nn.Module = HeteroConv(convolutions, aggr="sum")
    return layer
