"""How much a source may hold before kgrec refuses it, rather than run out of memory or of time.

Sources come from other people: a file of a few kilobytes may unpack to terabytes.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedIOBase
from pathlib import Path
from typing import IO, Literal, cast

from pydantic import BaseModel, ConfigDict, Field

from kgrec.errors import SourceError

TableName = Literal["entities", "relations", "interactions"]

RATIO_MATTERS_FROM = 1 << 26  # bytes unpacked


class Limits(BaseModel):
    """What is refused as too much: the table ``[limits]`` of ``schema.toml``.

    Examples
    --------
    >>> Limits(nodes=1_000).nodes
    1000
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    nodes: int = Field(default=1_000_000_000, ge=0, description="how many nodes")
    edges: int = Field(default=10_000_000_000, ge=0, description="how many edges")
    interactions: int = Field(default=10_000_000_000, ge=0, description="how many interactions")
    text_characters: int = Field(
        default=1_000_000, ge=0, description="how many characters one text may have"
    )
    file_gigabytes: float = Field(
        default=1_000.0, gt=0, description="how large one file may be, unpacked"
    )
    unpacked_ratio: float = Field(
        default=250.0, gt=1, description="how many times its size a file may unpack to"
    )
    outside_sources: bool = Field(
        default=False,
        description="whether queries may read what the source is not: SERVICE, LOAD CSV and others",
    )


def check_rows(place: str, table: TableName, count: int, limits: Limits) -> None:
    """Refuse a table with too many rows.

    Parameters
    ----------
    place
        Where it is, for the error.
    table
        Which of the three tables it is.
    count
        How many rows it has.
    limits
        What is allowed.

    Raises
    ------
    SourceError
        If there are more.
    """
    what, limit = {
        "entities": ("nodes", limits.nodes),
        "relations": ("edges", limits.edges),
        "interactions": ("interactions", limits.interactions),
    }[table]
    if count > limit:
        raise SourceError(
            f"{place} has {count:,} {what}, more than the {limit:,} that are allowed: leave some "
            f"out, or raise {what} in [limits] of schema.toml"
        )


def check_size(path: Path, size: int, limits: Limits) -> None:
    """Refuse a file that is too large, or will be once it is unpacked.

    Parameters
    ----------
    path
        Its path.
    size
        How many bytes there are, unpacked as far as is known.
    limits
        What is allowed.

    Raises
    ------
    SourceError
        If there are more.
    """
    if size > limits.file_gigabytes * 1e9:
        raise SourceError(
            f"{path} holds more than the {limits.file_gigabytes:g} GB that are allowed: split it, "
            "or raise file_gigabytes in [limits] of schema.toml"
        )
    packed = path.stat().st_size
    if size > RATIO_MATTERS_FROM and size > limits.unpacked_ratio * packed:
        raise SourceError(
            f"{path} unpacks to more than {limits.unpacked_ratio:g} times its {packed:,} bytes, as "
            "files do that are made to fill a memory: if it is right, raise unpacked_ratio in "
            "[limits] of schema.toml"
        )


@contextmanager
def open_limited(path: Path, limits: Limits) -> Iterator[IO[bytes]]:
    """Open a file, unpacked where it ends in ``.gz``.

    Parameters
    ----------
    path
        The file.
    limits
        How large it may be.

    Yields
    ------
    stream
        Its content; reading on raises :class:`SourceError` where it becomes too much.

    Raises
    ------
    OSError
        If it can't be opened.
    SourceError
        If it is too large already.
    """
    check_size(path, path.stat().st_size, limits)
    if path.suffix != ".gz":
        with path.open("rb") as stream:
            yield stream
        return
    with gzip.open(path, "rb") as unpacked:
        yield cast("IO[bytes]", _Counted(unpacked, path, limits))


class _Counted(BufferedIOBase):
    """Counts what is read from a stream."""

    def __init__(self, stream: IO[bytes] | gzip.GzipFile, path: Path, limits: Limits) -> None:
        super().__init__()
        self._stream, self._path, self._limits, self._count = stream, path, limits, 0

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def read(self, size: int | None = -1) -> bytes:
        """Read so many bytes, or all."""
        try:
            content = self._stream.read(-1 if size is None else size)
        except zlib.error as error:  # as for other damage of the file
            raise OSError(f"what is packed is damaged: {error}") from error
        self._count += len(content)
        check_size(self._path, self._count, self._limits)
        return content
