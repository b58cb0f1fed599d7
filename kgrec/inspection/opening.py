"""Pick the way to look at a source by its address."""

from __future__ import annotations

from pathlib import Path

from kgrec.errors import SourceError
from kgrec.inspection.bolt import inspect_neo4j
from kgrec.inspection.cypher_file import inspect_cypher_file
from kgrec.inspection.guessing import Roles, guess_roles
from kgrec.inspection.inventory import Inventory
from kgrec.inspection.rdf import inspect_rdf
from kgrec.inspection.tables import inspect_tables
from kgrec.sources.neo4j import BOLT_SCHEMES, Auth
from kgrec.sources.rdf import is_rdf
from kgrec.sources.tables import has_tables


def inspect_source(
    source: str | Path,
    *,
    auth: Auth = None,
    database: str | None = None,
    user: str | None = None,
    item: str | None = None,
    interaction: str | None = None,
) -> tuple[Inventory, Roles]:
    """Look at a source, and guess who is who.

    Parameters
    ----------
    source
        ``bolt://`` or ``neo4j://`` address, an RDF file, a folder of RDF files or of the three
        tables, or an embedded Cypher database file.
    auth, database
        For a server, as :func:`kgrec.sources.read_neo4j`.
    user, item, interaction
        Names of what is known, which overrule a guess.

    Returns
    -------
    tuple
        What the source holds, and who is user and what is item.

    Raises
    ------
    SourceError
        If the source can't be read, or holds nothing.
    ConfigError
        If a name is of nothing in the source.
    """
    address = str(source)
    scheme, separator, _ = address.partition("://")
    if separator and scheme not in BOLT_SCHEMES:
        raise SourceError(
            f"{address}: a schema can be guessed from a bolt:// or neo4j:// address, an RDF file, "
            "a folder or an embedded Cypher file"
        )
    if separator:
        inventory = inspect_neo4j(address, auth=auth, database=database)
        return inventory, guess_roles(inventory, user=user, item=item, interaction=interaction)
    path = Path(source)
    if not path.exists():
        raise SourceError(f"{path} is missing: give a path that exists, or a bolt:// address")
    if path.is_dir() and has_tables(path):
        inventory, log = inspect_tables(path)
        found = inventory.node(log.tail)
        if found is None:
            raise SourceError(f"{path}: the items of the interactions are no entities")
        return inventory, Roles(inventory.node(log.head), found, (log,))
    is_triples = path.is_dir() or is_rdf(path)
    inventory = inspect_rdf(path) if is_triples else inspect_cypher_file(path)
    return inventory, guess_roles(inventory, user=user, item=item, interaction=interaction)
