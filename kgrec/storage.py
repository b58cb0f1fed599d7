"""Save a graph to a folder, and load it again."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet
from pydantic import ValidationError

from kgrec.errors import ArtifactError, SourceError
from kgrec.graph import GraphTables, KnowledgeGraph
from kgrec.schema import TABLE_NAMES, GraphSchema

FORMAT_VERSION = 1
MANIFEST = "graph.json"


def save_graph(graph: KnowledgeGraph, folder: str | Path) -> None:
    """Save a graph as Parquet tables and a JSON file.

    Everything is written beside the folder first and then renamed, so that a crash leaves the
    old graph or the new one and never half of one.

    Parameters
    ----------
    graph
        The graph.
    folder
        Where to; a graph that was saved there is replaced.

    Raises
    ------
    ArtifactError
        If the folder holds something else, or can't be written.
    """
    target = Path(folder)
    if target.exists() and not (is_saved_graph(target) or is_empty_folder(target)):
        raise ArtifactError(f"{target} holds something else than a graph: name another folder")
    try:
        replace_folder(target, lambda folder: _write(graph, folder))
    except OSError as error:
        raise ArtifactError(
            f"the graph can't be saved to {target}: {error}; free some space or name a folder "
            "that can be written"
        ) from error


def load_graph(folder: str | Path) -> KnowledgeGraph:
    """Load a graph that :func:`save_graph` saved.

    Parameters
    ----------
    folder
        Where it was saved.

    Returns
    -------
    KnowledgeGraph
        An equal graph.

    Raises
    ------
    ArtifactError
        If there is no graph, a file is missing or broken, or another version wrote it.
    """
    place = Path(folder)
    schema = _read_schema(place)
    try:
        tables = GraphTables(**{name: _read_table(place, name) for name in TABLE_NAMES})
        return KnowledgeGraph.from_tables(schema, tables)
    except (OSError, pa.ArrowException, SourceError) as error:
        raise ArtifactError(
            f"the graph in {place} is broken: {error}; read it from its source and save it again"
        ) from error


def is_saved_graph(folder: str | Path) -> bool:
    """Tell whether a folder holds a graph that :func:`save_graph` saved.

    Parameters
    ----------
    folder
        Any path.

    Returns
    -------
    bool
        Whether its JSON file is there; it may be broken all the same.
    """
    return (Path(folder) / MANIFEST).is_file()


def is_empty_folder(path: Path) -> bool:
    """Tell whether a path is a folder with nothing in it."""
    return path.is_dir() and not any(path.iterdir())


def replace_folder(target: Path, write: Callable[[Path], None]) -> None:
    """Write a folder beside its place and rename it, so that it is never there by halves.

    All is on disk before it gets its name, so that a power cut leaves one of both as well.

    Parameters
    ----------
    target
        Where to; a folder that is there is replaced, and put back where that fails.
    write
        Makes the folder at the path that it is given and fills it.

    Raises
    ------
    OSError
        If anything can't be written or renamed.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as beside:
        new, old = Path(beside) / "new", Path(beside) / "old"
        write(new)
        for path in (*new.rglob("*"), new):
            sync_to_disk(path)
        if target.exists():
            target.rename(old)
        _rename(new, target, old)
        sync_to_disk(target.parent)


def finish_replacement(target: Path) -> None:
    """Put a folder in place that was written whole when a crash kept it from being renamed.

    Parameters
    ----------
    target
        Where it should be; nothing happens if something is there.
    """
    if target.exists():
        return
    for beside in sorted(target.parent.glob(f".{target.name}.*")):
        if (beside / "old").is_dir() and (beside / "new").is_dir():  # between the two renamings
            (beside / "new").rename(target)
            shutil.rmtree(beside, ignore_errors=True)
            return


def sync_to_disk(path: Path) -> None:
    """Wait until what a file holds, or the names in a folder, are on disk.

    Parameters
    ----------
    path
        The file or folder.

    Raises
    ------
    OSError
        If it can't be opened.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _rename(new: Path, target: Path, old: Path) -> None:
    try:
        new.rename(target)
    except OSError:
        if old.exists():
            old.rename(target)
        raise


def _write(graph: KnowledgeGraph, folder: Path) -> None:
    folder.mkdir()
    tables = graph.to_tables()
    for name in TABLE_NAMES:
        parquet.write_table(getattr(tables, name), folder / f"{name}.parquet", compression="zstd")
    content = {"format": FORMAT_VERSION, "schema": graph.schema.model_dump(mode="json")}
    (folder / MANIFEST).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _read_table(folder: Path, name: str) -> pa.Table:
    return parquet.read_table(folder / f"{name}.parquet", partitioning=None)


def _read_schema(folder: Path) -> GraphSchema:
    path = folder / MANIFEST
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        version = content["format"]
        if version != FORMAT_VERSION:
            raise ArtifactError(
                f"{path} has the format {version}, and this kgrec reads {FORMAT_VERSION}: read "
                "the graph from its source and save it again"
            )
        return GraphSchema(**content["schema"])
    except FileNotFoundError as error:
        raise ArtifactError(f"{folder} holds no saved graph: {path.name} is missing") from error
    except (OSError, ValueError, KeyError, TypeError, ValidationError) as error:
        if isinstance(error, ArtifactError):
            raise
        raise ArtifactError(
            f"{path} is broken: {error}; read the graph from its source and save it again"
        ) from error
