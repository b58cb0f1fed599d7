"""``kgrec export``: a graph in the forms of other programs."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from kgrec.commands.options import (
    Database,
    Log,
    Login,
    Parameters,
    Password,
    Schema,
    Source,
    Username,
    find_schema,
    source_options,
)
from kgrec.terminal import announce


class Form(StrEnum):
    """What a graph is written as."""

    RDF = "rdf"
    NEO4J_CSV = "neo4j-csv"
    PARQUET = "parquet"


def export(
    source: Source,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="folder to write")],
    form: Annotated[
        Form,
        typer.Option(
            "--as", help="N-Triples, CSV for neo4j-admin import, or a saved graph in Parquet"
        ),
    ],
    schema: Schema = None,
    interactions: Log = None,
    parameter: Parameters = None,
    username: Username = None,
    password: Password = None,
    database: Database = None,
) -> None:
    """Write a graph as RDF, as CSV for Neo4j, or as Parquet.

    Beside RDF and CSV lies the schema folder that reads them again.
    """
    from kgrec.exchange import export_neo4j_csv, export_rdf
    from kgrec.sources import open_graph
    from kgrec.storage import save_graph

    declared = find_schema(source, schema)
    login = Login(username, password, database)
    options = source_options(source, login, interactions=interactions, parameters=parameter)
    announce(f"reading {source}")
    graph = open_graph(source, declared, **options)
    writers = {Form.RDF: export_rdf, Form.NEO4J_CSV: export_neo4j_csv, Form.PARQUET: save_graph}
    writers[form](graph, output)
    print(f"{graph}\nwritten: {output}")
