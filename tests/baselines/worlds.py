"""Two tastes and a catalogue that tells them apart: every right answer is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from kgrec.baselines import (
    ALS,
    EASE,
    GAT,
    ALSSettings,
    CLCRec,
    ContentRidge,
    DropoutNet,
    GraphNeighbourVote,
    GraphNetworkSettings,
    GraphSAGE,
    ItemKNN,
    KernelRidgeEASE,
    LightGCN,
    Popularity,
    TextNearest,
    TfidfProfile,
)
from kgrec.graph import KnowledgeGraph
from kgrec.ranker import Ranker
from numpy.typing import NDArray

from tests.evaluation.worlds import make_graph

TASTES = ("heist", "space")
FILMS_EACH = 10
COLD_EACH = 2
USERS_EACH = 20
WORDS = {"heist": "a thief plans to rob the bank", "space": "a crew flies to the red planet"}


class WordEncoder:
    """Counts a few words: an encoder whose vectors are known."""

    axes = ("thief", "rob", "bank", "crew", "flies", "planet", "film")

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        counts = [[text.split().count(word) for word in self.axes] for text in texts]
        return np.array(counts, np.float32).reshape(len(texts), len(self.axes))


def rename(name: str) -> str:
    """Leave names as they are."""
    return name


def checkerboard(
    renamed: Callable[[str], str] = rename, extra: Sequence[tuple[str, str]] = ()
) -> KnowledgeGraph:
    """Users of a taste have watched all films of it but one, and none of the other's.

    Films ``<taste>0`` to ``<taste>9`` are warm, ``<taste>_new0`` and ``1`` cold.  The user
    ``<taste>_fan<i>`` has not watched ``<taste><i mod 10>``.  Texts and genres tell the taste.
    """
    films: dict[str, str | None] = {}
    genres = {}
    watched: list[Sequence[object]] = []
    for taste in TASTES:
        names = [f"{taste}{i}" for i in range(FILMS_EACH)]
        new = [f"{taste}_new{i}" for i in range(COLD_EACH)]
        for place, name in enumerate([*names, *new]):
            films[renamed(name)] = f"{WORDS[taste]} film {taste}{place % 3}"
            genres[renamed(name)] = [taste, f"{taste}_{place % 3}"]
        for fan in range(USERS_EACH):
            user = renamed(f"{taste}_fan{fan}")
            watched += [
                (user, renamed(name)) for i, name in enumerate(names) if i != fan % FILMS_EACH
            ]
    watched += [(renamed(user), renamed(film)) for user, film in extra]
    return make_graph(films, watched, genres)


FACTORS = ALSSettings(factors=4, confidence=10.0, penalty=0.1, iterations=10)
NETWORK = GraphNetworkSettings(width=16, heads=2, dropout=0.1, learning_rate=0.02)
CHOICES: dict[str, Callable[[], Ranker]] = {
    "Popularity": Popularity,
    "TextNearest": lambda: TextNearest(WordEncoder()),
    "TfidfProfile": TfidfProfile,
    "GraphNeighbourVote": GraphNeighbourVote,
    "ItemKNN": lambda: ItemKNN((5, 15)),
    "EASE": lambda: EASE((1.0, 10.0)),
    "ALS": lambda: ALS((FACTORS, ALSSettings(factors=4, iterations=3))),
    "ContentRidge": lambda: ContentRidge(WordEncoder(), settings=FACTORS, penalty=(0.1, 1.0)),
    "KernelRidgeEASE": lambda: KernelRidgeEASE(
        WordEncoder(), ease_penalty=(1.0, 10.0), penalty=(0.1, 1.0)
    ),
    "LightGCN": lambda: LightGCN(size=8, max_steps=50),
    "DropoutNet": lambda: DropoutNet(WordEncoder(), settings=FACTORS, hidden=16, max_steps=200),
    "CLCRec": lambda: CLCRec(WordEncoder(), size=8, hidden=16, learning_rate=0.01, max_steps=200),
    "GraphSAGE": lambda: GraphSAGE(WordEncoder(), settings=NETWORK, max_steps=20),
    "GAT": lambda: GAT(WordEncoder(), settings=replace(NETWORK, convolution="gat"), max_steps=20),
}
COLLABORATIVE = ("ItemKNN", "EASE", "ALS", "LightGCN")
CONTENT = ("TextNearest", "TfidfProfile", "GraphNeighbourVote")
MIXED = ("ContentRidge", "KernelRidgeEASE", "DropoutNet", "CLCRec", "GraphSAGE", "GAT")
