"""Schema folders for what was exported, so that it can be read again."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from kgrec.schema import GraphSchema

BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def write_schema(schema: GraphSchema, queries: Mapping[str, str], folder: Path) -> None:
    """Write ``schema.toml`` and queries.

    Parameters
    ----------
    schema
        The schema.
    queries
        Text by file name.
    folder
        An existing folder.

    Raises
    ------
    OSError
        If it can't be written.
    """
    (folder / "schema.toml").write_text(schema_toml(schema), encoding="utf-8")
    for name, text in queries.items():
        (folder / name).write_text(text, encoding="utf-8")


def schema_toml(schema: GraphSchema) -> str:
    """Write a schema as TOML, without what is as it is by default.

    Parameters
    ----------
    schema
        The schema.

    Returns
    -------
    str
        :func:`kgrec.schema.load_schema` reads an equal one.
    """
    content = schema.model_dump(mode="json", exclude_defaults=True)
    tables = {name: content.pop(name, {}) for name in ("nodes", "relations")}
    nested = {name: content.pop(name) for name in ("parameters", "rdf") if name in content}
    parts = [_lines(content)]
    parts += [f"[{name}]\n{_lines(values)}" for name, values in nested.items()]
    for table, entries in tables.items():
        parts += [f"[{table}.{_key(name)}]\n{_lines(entry)}" for name, entry in entries.items()]
    return "\n".join(parts)


def _lines(values: Mapping[str, object]) -> str:
    # what JSON writes for text, numbers, booleans and lists of them is TOML as well
    return "".join(f"{_key(name)} = {json.dumps(value)}\n" for name, value in values.items())


def _key(name: str) -> str:
    return name if BARE_KEY.fullmatch(name) else json.dumps(name)
