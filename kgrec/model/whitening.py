"""Whitening of text vectors: raw cosines of BERT vectors waste what they know."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kgrec.model.rowwise import multiply_rows


@dataclass(frozen=True, slots=True)
class Whitening:
    """Rotation and scale that make vectors uncorrelated (PCA whitening).

    Parameters
    ----------
    mean
        Mean of the vectors, [D].
    projection
        [D, K], each column an eigenvector divided by its standard deviation.
    """

    mean: NDArray[np.float32]
    projection: NDArray[np.float32]

    @classmethod
    def learn(cls, vectors: NDArray[np.float32], dimensions: int) -> Whitening:
        """Learn the whitening of some vectors.

        Parameters
        ----------
        vectors
            [N, D].
        dimensions
            How many leading components to keep at most.

        Returns
        -------
        Whitening
            With K = min(dimensions, D, N - 1) columns; directions without variance are left out.
        """
        mean = vectors.mean(axis=0) if len(vectors) else np.zeros(vectors.shape[1])
        centred = (vectors - mean).astype(np.float64)
        values, directions = np.linalg.eigh(centred.T @ centred / max(len(vectors), 1))
        order = np.argsort(values)[::-1][: max(0, min(dimensions, len(vectors) - 1))]
        order = order[values[order] > 1e-9 * max(values.max(), 1e-30)]
        projection = np.ascontiguousarray(directions[:, order] / np.sqrt(values[order]), np.float32)
        return cls(mean.astype(np.float32), projection)

    @classmethod
    def standardise(cls, vectors: NDArray[np.float32]) -> Whitening:
        """Learn to scale each number by its spread alone, and to rotate nothing.

        Whitening makes all directions count alike.  Where there are about as many directions as
        vectors, most of them are noise, and drown the few that say something.

        Parameters
        ----------
        vectors
            [N, D].

        Returns
        -------
        Whitening
            With D columns; those of numbers that never change are zero.
        """
        mean = vectors.mean(axis=0) if len(vectors) else np.zeros(vectors.shape[1])
        spread = vectors.std(axis=0) if len(vectors) else np.zeros(vectors.shape[1])
        changes = spread > 1e-6 * np.maximum(np.abs(mean), 1e-30)
        scale = np.divide(1.0, spread, out=np.zeros(len(mean)), where=changes)
        return cls(mean.astype(np.float32), np.diag(scale).astype(np.float32))

    def apply(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Whiten vectors and scale them to length one.

        Parameters
        ----------
        vectors
            [N, D]; a zero row is a node without a text.

        Returns
        -------
        ndarray of float32
            [N, K]; zero where the vector was zero.
        """
        white = multiply_rows(vectors - self.mean, self.projection)
        white[~np.any(vectors, axis=1)] = 0.0
        return unit_rows(white)


def unit_rows(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scale each row to length one; a zero row stays zero.

    Parameters
    ----------
    vectors
        [N, D].

    Returns
    -------
    ndarray of float32
        [N, D].
    """
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: NDArray[np.float32] = np.divide(
        vectors, length, out=np.zeros_like(vectors), where=length > 0
    )
    return unit
