"""Schema folders with queries written by a test."""

from __future__ import annotations

from pathlib import Path

from kgrec.schema import GraphSchema

from tests.films import SCHEMA


def schema_with(folder: Path, suffix: str, **queries: str) -> GraphSchema:
    """Write queries beside a schema of films.

    Parameters
    ----------
    folder
        Where to.
    suffix
        ``cypher`` or ``rq``.
    **queries
        Text by table.

    Returns
    -------
    GraphSchema
        The schema of films, which knows the folder.
    """
    for name, text in queries.items():
        (folder / f"{name}.{suffix}").write_text(text)
    return SCHEMA.model_copy(update={"folder": folder})
