"""Text vectors on disk: shards of (text, vector) that processes may share.

A shard is an Arrow file.  It is written under another name and then renamed, so that a reader
sees it whole or not at all, and it is never changed afterwards.  Small shards are merged into
one when there are many.
"""

from __future__ import annotations

import logging
import os
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

SHARD_SUFFIX = ".arrow"
MERGED_SHARDS = 64  # so many small shards are merged into one
SMALL_SHARD_BYTES = 16 * 1024**2

logger = logging.getLogger(__name__)


def default_cache_folder() -> Path:
    """Find where vectors are kept when nobody says otherwise.

    Returns
    -------
    Path
        ``$KGREC_CACHE``, else ``$XDG_CACHE_HOME/kgrec``, else ``~/.cache/kgrec``.
    """
    if chosen := os.environ.get("KGREC_CACHE"):
        return Path(chosen).expanduser()
    if parent := os.environ.get("XDG_CACHE_HOME"):
        return Path(parent) / "kgrec"
    return Path.home() / ".cache" / "kgrec"


@dataclass(frozen=True, slots=True)
class VectorCache:
    """Vectors of texts, in a folder of one encoder's own.

    Parameters
    ----------
    folder
        Made when the first vector is written.  It holds the texts in the clear.
    dimension
        Length D of a vector.

    Examples
    --------
    >>> import tempfile
    >>> cache = VectorCache(Path(tempfile.mkdtemp()), dimension=2)
    >>> cache.insert(pa.array(["a"], pa.large_string()), np.ones((1, 2), np.float16))
    >>> known, vectors = cache.lookup(pa.array(["b", "a"], pa.large_string()))
    >>> known.tolist(), vectors.tolist()
    ([False, True], [[0.0, 0.0], [1.0, 1.0]])
    """

    folder: Path
    dimension: int

    def lookup(self, texts: pa.LargeStringArray) -> tuple[NDArray[np.bool_], NDArray[np.float16]]:
        """Find the vectors of texts.

        Parameters
        ----------
        texts
            Distinct texts, [K].

        Returns
        -------
        known : ndarray of bool
            Whether a text has a vector, [K].
        vectors : ndarray of float16
            The vectors, [K, D], zero for a text that has none.
        """
        known = np.zeros(len(texts), bool)
        vectors = np.zeros((len(texts), self.dimension), np.float16)
        shards = self._read_all(self._paths())
        # one hash table of what is asked for; every shard is only probed against it
        found = pc.fill_null(pc.index_in(shards["text"], value_set=texts), -1).to_numpy()
        start = 0
        for chunk in shards["vector"].chunks:  # a few, and no copy of what is not asked for
            hits = found[start : start + len(chunk)]
            rows = np.flatnonzero(hits >= 0)
            known[hits[rows]] = True
            vectors[hits[rows]] = self._as_matrix(chunk)[rows]
            start += len(chunk)
        return known, vectors

    def insert(self, texts: pa.LargeStringArray, vectors: NDArray[np.float16]) -> None:
        """Keep vectors; a folder that can't be written is logged, and nothing is kept.

        Parameters
        ----------
        texts
            Distinct texts, [K].
        vectors
            Their vectors, [K, D].
        """
        column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), self.dimension)
        try:
            self._write(pa.table([texts, column], schema=self._schema))
            self._merge_small_shards()
        except OSError as error:
            logger.warning(
                "text vectors can't be kept in %s (%s), so that they are computed again next "
                "time: set KGREC_CACHE to a folder that can be written, or give cache_dir=False",
                self.folder,
                error,
            )

    @property
    def _schema(self) -> pa.Schema:
        vector = pa.list_(pa.float16(), self.dimension)
        return pa.schema([("text", pa.large_string()), ("vector", vector)])

    def _as_matrix(self, chunk: pa.FixedSizeListArray) -> NDArray[np.float16]:
        matrix: NDArray[np.float16] = chunk.flatten().to_numpy()
        return matrix.reshape(-1, self.dimension)

    def _paths(self) -> list[Path]:
        return sorted(self.folder.glob(f"*{SHARD_SUFFIX}"))

    def _read_all(self, paths: Sequence[Path]) -> pa.Table:
        shards = [shard for path in paths if (shard := self._read(path)) is not None]
        return pa.concat_tables([self._schema.empty_table(), *shards])

    def _read(self, path: Path) -> pa.Table | None:
        try:
            with pa.memory_map(str(path)) as file:
                table = pa.ipc.open_file(file).read_all()
        except (pa.ArrowInvalid, OSError):
            return None  # cut short by a crash, or merged away by another process just now
        return table if table.schema == self._schema else None

    def _write(self, table: pa.Table) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{uuid.uuid4().hex}{SHARD_SUFFIX}"
        partial = path.with_suffix(".partial")
        try:
            with partial.open("wb") as file:
                with pa.ipc.new_file(file, self._schema) as writer:
                    writer.write_table(table)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)

    def _merge_small_shards(self) -> None:
        small = [path for path in self._paths() if path.stat().st_size < SMALL_SHARD_BYTES]
        if len(small) < MERGED_SHARDS:
            return
        self._write(_first_of_each_text(self._read_all(small)))
        for path in small:
            path.unlink(missing_ok=True)


def _first_of_each_text(table: pa.Table) -> pa.Table:
    """Drop what two processes have computed at the same time."""
    codes = table["text"].combine_chunks().dictionary_encode().indices
    _, first = np.unique(np.asarray(codes), return_index=True)
    return table.take(pa.array(first))
