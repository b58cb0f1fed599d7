"""Bring a saved model up to date with its source."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Unpack

from kgrec.cypher import parameters_of
from kgrec.errors import ArtifactError, SourceError
from kgrec.graph import GraphTables, KnowledgeGraph
from kgrec.recommender import Recommender
from kgrec.schema import TABLE_NAMES, GraphSchema
from kgrec.sources import open_tables
from kgrec.sources.opening import SourceOptions
from kgrec.syncing.diff import GraphDiff, diff_graphs
from kgrec.syncing.merging import merge_tables

SINCE = "since"
OVERLAP_SECONDS = 120  # clocks differ; what is read twice is merged once
MOST_REMOVED = 0.5


@dataclass(frozen=True, slots=True)
class SyncReport:
    """What a run found and did.

    Parameters
    ----------
    diff
        What differed.
    since
        Only rows that changed after this time were read, in seconds since 1970; None where the
        source was read whole.
    saved
        Whether the model was written anew; not if nothing differed, or in a dry run.
    """

    diff: GraphDiff
    since: int | None
    saved: bool


def sync_model(
    folder: str | Path,
    source: str | Path,
    schema: GraphSchema,
    *,
    recommender: Recommender | None = None,
    whole: bool = False,
    dry_run: bool = False,
    most_removed: float = MOST_REMOVED,
    **options: Unpack[SourceOptions],
) -> SyncReport:
    """Bring a saved model up to date with its source, without training.

    Without ``$since`` in the queries, the source is read whole and compared by ids, texts and
    edges: what is gone there goes here.  Where a Cypher query uses ``$since``, only rows that
    changed after the last run are read and merged, and nothing goes.

    The model is replaced at once when it is complete, and the time of the read is written down
    after that, beside the folder: a run that is killed leaves the old model, and the next one
    reads from the same time again.

    Parameters
    ----------
    folder
        A model that was saved.
    source
        As for :func:`kgrec.sources.open_graph`.
    schema
        The schema that the model was trained with, which knows its folder.
    recommender
        The model, where it is loaded already, with its encoder.
    whole
        Read everything, even where the queries use ``$since``, and let go what is gone.
    dry_run
        Look, and change nothing.
    most_removed
        Share of the items that may be gone; more looks like the wrong source.
    **options
        As for :func:`kgrec.sources.open_graph`.

    Returns
    -------
    SyncReport
        What differed.

    Raises
    ------
    ArtifactError
        If the folder holds no model.
    SchemaError, SourceError
        If the source can't be read, is of another schema, or lacks too many items.
    """
    model = Recommender.load(folder) if recommender is None else recommender
    state = _state_file(Path(folder))
    now = int(time.time())
    uses_since = _uses_since(schema)
    since = _read_since(state) if uses_since and not whole else None
    if uses_since:
        given = options.get("parameters") or {}
        options["parameters"] = {**given, SINCE: since or 0}
    tables = open_tables(source, schema, **options)
    if since is not None:
        tables = merge_tables(model.graph.to_tables(), tables)
    graph = _build(model.graph.schema, schema, tables)
    diff = diff_graphs(model.graph, graph)
    if diff.removed_items > most_removed:
        raise SourceError(
            f"{source} lacks {diff.removed_items:.0%} of the items that the model has: check that "
            "it is the right source, or allow it with most_removed"
        )
    if dry_run:
        return SyncReport(diff, since, saved=False)
    if diff:
        model.update(graph)
        model.save(folder)
    _write_since(state, now - OVERLAP_SECONDS)
    return SyncReport(diff, since, saved=bool(diff))


def _build(own: GraphSchema, given: GraphSchema, tables: GraphTables) -> KnowledgeGraph:
    """Build the graph under the model's schema, where the other differs in its places alone."""
    names = ("user", "item", "interaction", "relations")
    differing = [name for name in names if getattr(own, name) != getattr(given, name)]
    if set(own.nodes) != set(given.nodes):
        differing.append("nodes")
    if differing:
        raise SourceError(
            f"the schema '{given.name}' differs from that of the model in {', '.join(differing)}: "
            "train a new model"
        )
    return KnowledgeGraph.from_tables(own, tables)


def _uses_since(schema: GraphSchema) -> bool:
    if schema.folder is None:
        return False
    queries = (schema.folder / f"{name}.cypher" for name in TABLE_NAMES)
    return any(
        SINCE in parameters_of(path.read_text(encoding="utf-8"))
        for path in queries
        if path.is_file()
    )


def _state_file(folder: Path) -> Path:
    return folder.parent / f"{folder.name}.sync.json"


def _read_since(path: Path) -> int | None:
    if not path.is_file():
        return None
    try:
        return int(json.loads(path.read_text(encoding="utf-8"))[SINCE])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"{path} is broken: {error}; delete it, to read all again") from error


def _write_since(path: Path, since: int) -> None:
    unfinished = path.with_name(f".{path.name}")
    try:
        unfinished.write_text(json.dumps({SINCE: since}) + "\n", encoding="utf-8")
        unfinished.replace(path)
    except OSError as error:
        raise ArtifactError(f"{path} can't be written: {error}; free some space") from error
