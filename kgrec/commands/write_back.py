"""``kgrec write-back``: results to where applications query them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kgrec.commands.options import (
    AsJson,
    Database,
    Login,
    Model,
    Password,
    Username,
    find_schema,
    source_options,
)
from kgrec.errors import ConfigError
from kgrec.terminal import announce, print_json

if TYPE_CHECKING:
    from kgrec.schema import GraphSchema

RDF_ENDINGS = (".ttl", ".nt", ".trig", ".nq")


def write_back(
    model: Model,
    target: Annotated[
        str,
        typer.Argument(
            metavar="TARGET",
            help="bolt:// or neo4j:// address, file that ends in .trig, .nq, .ttl or .nt, or "
            "folder for Parquet files",
        ),
    ],
    n: Annotated[int, typer.Option("-n", min=1, help="items a user gets")] = 10,
    similar: Annotated[int, typer.Option(min=0, help="similar items an item gets")] = 0,
    vectors: Annotated[
        int, typer.Option(min=0, metavar="D", help="write vectors of this length; 0 for none")
    ] = 0,
    reasons: Annotated[
        bool, typer.Option("--reasons", help="write with each item what speaks for it; slow")
    ] = False,
    limit_users: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="only the first users, for a trial")
    ] = None,
    name: Annotated[
        str, typer.Option(help="name of the model; results of other names are left alone")
    ] = "kgrec",
    schema: Annotated[
        str | None,
        typer.Option(
            metavar="DIR", help="graph schema that names label and key of users and items"
        ),
    ] = None,
    by_user: Annotated[
        bool,
        typer.Option(
            "--by-user", help="replace some lists at a time, where there is no room for all twice"
        ),
    ] = False,
    linger: Annotated[
        float,
        typer.Option(
            min=0, metavar="S", help="seconds that old lists stay for who is reading them"
        ),
    ] = 10.0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="print what would be run, and write nothing")
    ] = False,
    username: Username = None,
    password: Password = None,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Write recommendations, similar items and vectors into Neo4j, RDF or Parquet.

    Old results of the same name are replaced at once: a run that is cut off leaves them as they
    were.
    """
    from kgrec.recommender import Recommender
    from kgrec.writeback import (
        Neo4jWriter,
        check_places,
        compute_results,
        write_parquet,
        write_rdf,
    )

    is_server = "://" in target
    if is_server and target.startswith("http"):
        raise ConfigError(f"{target} can't be written to: write a .trig file, and load it")
    options = source_options(target, Login(username, password, database))
    declared = None if schema is None else find_schema(target, schema).without_source()
    announce(f"loading {model}")
    recommender = Recommender.load(model)
    places = recommender.graph.schema if declared is None else declared
    _check_roles(places, recommender.graph.schema)
    if is_server:
        check_places(places)
    computed = compute_results(
        recommender,
        model=name,
        n=n,
        similar=similar,
        dimensions=vectors,
        with_reasons=reasons,
        limit_users=limit_users,
    )
    results = replace(computed, schema=places)
    facts: dict[str, object] = {"target": target, **results.counts()}
    if is_server:
        writer = Neo4jWriter(results)
        if dry_run:
            print(writer.describe())
            return
        auth, name_of_database = options.get("auth"), options.get("database")
        announce(f"writing to {target}")
        written = writer.write(
            target,
            auth=None if isinstance(auth, str) else auth,
            database=name_of_database if isinstance(name_of_database, str) else None,
            at_once=not by_user,
            linger_seconds=linger,
        )
        missing = {
            f"{table}_without_node": count - written[table]
            for table, count in results.counts().items()
            if written[table] < count
        }
        facts |= written | missing
    elif not dry_run:
        is_rdf = target.removesuffix(".gz").endswith(RDF_ENDINGS)
        (write_rdf if is_rdf else write_parquet)(results, Path(target))
    _print_facts(facts, as_json=as_json)


def _check_roles(given: GraphSchema, own: GraphSchema) -> None:
    if (given.user, given.item) != (own.user, own.item):
        raise ConfigError(
            f"the schema '{given.name}' recommends {given.item} to {given.user}, and the model "
            f"{own.item} to {own.user}: give the model's own"
        )


def _print_facts(facts: dict[str, object], *, as_json: bool) -> None:
    if as_json:
        print_json(facts)
        return
    for name, value in facts.items():
        print(f"{name.replace('_', ' ')}: {value}")
