"""Vectors of texts in memory: those of what new items are joined with are wanted again."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from kgrec.graph import KnowledgeGraph
from kgrec.model.channels import TextVectors
from kgrec.text import TextEncoder

KEPT_TEXTS = 100_000  # 77 MB with 384 numbers in half precision


class TextMemory:
    """Encodes the texts of small graphs, each distinct text once as long as it is kept.

    Parameters
    ----------
    encoder
        Encodes what is not in memory.
    capacity
        How many texts are kept; when there are more, all are forgotten.
    """

    def __init__(self, encoder: TextEncoder, capacity: int = KEPT_TEXTS) -> None:
        self.encoder = encoder
        self._capacity = capacity
        self._vectors: dict[str, NDArray[np.float16]] = {}

    def encode_graph(self, graph: KnowledgeGraph) -> TextVectors:
        """Encode the texts of all nodes, with one call of the encoder at most.

        Parameters
        ----------
        graph
            The graph, a small part of another one say.

        Returns
        -------
        mapping
            For each node type, [N, D] float32; zero where there is no text.
        """
        texts = {name: table.texts.to_pylist() for name, table in graph.nodes.items()}
        wanted = {text for column in texts.values() for text in column if text}
        known = self._known(sorted(wanted))
        size = self.encoder.dimension
        vectors = {}
        for name, column in texts.items():
            matrix = np.zeros((len(column), size), np.float32)
            for row, text in enumerate(column):
                if text:
                    matrix[row] = known[text]
            vectors[name] = matrix
        return vectors

    def _known(self, texts: list[str]) -> dict[str, NDArray[np.float16]]:
        found = {text: vector for text in texts if (vector := self._vectors.get(text)) is not None}
        missing = [text for text in texts if text not in found]
        if missing:
            # rounded to half precision already, so that nothing is lost
            vectors = self.encoder.encode(pa.array(missing, pa.string())).astype(np.float16)
            new = dict(zip(missing, vectors, strict=True))
            if len(self._vectors) + len(new) > self._capacity:
                self._vectors = {}
            self._vectors |= new
            found |= new
        return found
