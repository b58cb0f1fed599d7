"""Lists for all users of a model, shard by shard into Parquet files of a folder."""

from __future__ import annotations

import os
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
from pyarrow import parquet

from kgrec.errors import ArtifactError
from kgrec.progress import track
from kgrec.ranker import Ranker

SHARD_USERS = 4_096
PARTIAL = ".partial"

SCHEMA = pa.schema(
    [
        ("user", pa.string()),
        ("item", pa.string()),
        ("score", pa.float32()),
        ("rank", pa.int32()),
        ("cold", pa.bool_()),
    ]
)


@dataclass(frozen=True, slots=True)
class Shard:
    """Some users in turn, and the file that their lists go to.

    Parameters
    ----------
    start, end
        Positions of the first user, and of the one after the last.
    name
        Name of the file.
    """

    start: int
    end: int
    name: str


def cut_into_shards(users: int, size: int = SHARD_USERS) -> list[Shard]:
    """Cut the users of a graph into shards.

    Parameters
    ----------
    users
        How many there are.
    size
        Users of a shard.

    Returns
    -------
    list of Shard
        In the order of the users.

    Examples
    --------
    >>> [shard.name for shard in cut_into_shards(5, 2)]
    ['part-00000.parquet', 'part-00001.parquet', 'part-00002.parquet']
    """
    starts = range(0, users, size)
    return [
        Shard(start, min(start + size, users), f"part-{number:05}.parquet")
        for number, start in enumerate(starts)
    ]


def missing_shards(shards: Sequence[Shard], folder: Path) -> list[Shard]:
    """Tell which shards are not written yet, and make the folder.

    Parameters
    ----------
    shards
        All of them.
    folder
        Where they go.

    Returns
    -------
    list of Shard
        Those whose file is not there: a run that was interrupted goes on with them.

    Raises
    ------
    ArtifactError
        If the folder holds something else, or can't be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        found = {path.name for path in folder.iterdir() if path.suffix != PARTIAL}
    except OSError as error:
        raise ArtifactError(f"the folder {folder} can't be used: {error}") from error
    strange = sorted(found - {shard.name for shard in shards})
    if strange:
        raise ArtifactError(
            f"{folder} holds {strange[0]}, which is no part of these lists: name an empty folder, "
            "or the one of an interrupted run with the same users"
        )
    return [shard for shard in shards if shard.name not in found]


def write_shard(ranker: Ranker, shard: Shard, n: int, folder: Path) -> int:
    """Write the lists of a shard; the file is there as a whole or not at all.

    Parameters
    ----------
    ranker
        The model.
    shard
        Which users.
    n
        Length of the lists.
    folder
        Where to.

    Returns
    -------
    int
        Rows of the file.

    Raises
    ------
    ArtifactError
        If it can't be written.
    """
    users = ranker.graph.users.ids.slice(shard.start, shard.end - shard.start).to_pylist()
    table = _as_table(ranker.recommend(users, n))
    beside = folder / f"{shard.name}.{uuid.uuid4().hex}{PARTIAL}"
    try:
        parquet.write_table(table, beside, compression="zstd")
        os.replace(beside, folder / shard.name)  # noqa: PTH105  over the same file of another try
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise ArtifactError(f"{folder / shard.name} can't be written: {error}") from error
    return len(table)


def recommend_to_everybody(
    ranker: Ranker, folder: str | Path, n: int = 10, *, shard_users: int = SHARD_USERS
) -> int:
    """Write the lists of all users of a model.

    Parameters
    ----------
    ranker
        The model.
    folder
        Where to; parts that are there already stay.
    n
        Length of the lists.
    shard_users
        Users of a file.

    Returns
    -------
    int
        Rows that were written now.

    Raises
    ------
    ArtifactError
        If the folder holds something else, or can't be written.
    """
    shards = missing_shards(cut_into_shards(len(ranker.graph.users), shard_users), Path(folder))
    return sum(
        write_shard(ranker, shard, n, Path(folder)) for shard in track(shards, "recommending")
    )


def _as_table(frame: pd.DataFrame) -> pa.Table:
    return pa.Table.from_pandas(frame, schema=SCHEMA, preserve_index=False)
