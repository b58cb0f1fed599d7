"""``kgrec sync``: a model as its source is now."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from kgrec.commands.options import (
    AsJson,
    Database,
    Log,
    Login,
    Model,
    Parameters,
    Password,
    Schema,
    Source,
    Username,
    find_schema,
    source_options,
)
from kgrec.terminal import announce, print_json

if TYPE_CHECKING:
    from kgrec.syncing.diff import Counts


def sync(
    model: Model,
    source: Source,
    schema: Schema = None,
    interactions: Log = None,
    parameter: Parameters = None,
    whole: Annotated[
        bool, typer.Option("--whole", help="read everything, even where queries use $since")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="say what differs, and change nothing")
    ] = False,
    most_removed: Annotated[
        float, typer.Option(min=0, max=1, help="share of the items that may be gone")
    ] = 0.5,
    username: Username = None,
    password: Password = None,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Bring a model up to date with its source, without training.

    Queries that use $since are asked for what changed since the last run; others are read whole,
    and compared. A run that is killed leaves the model as it was.
    """
    from kgrec.syncing import sync_model

    declared = find_schema(source, schema)
    login = Login(username, password, database)
    options = source_options(source, login, interactions=interactions, parameters=parameter)
    announce(f"comparing {model} with {source}")
    report = sync_model(
        model,
        source,
        declared,
        whole=whole,
        dry_run=dry_run,
        most_removed=most_removed,
        **options,
    )
    if as_json:
        print_json({"saved": report.saved, "since": report.since, **report.diff.to_dict()})
        return
    print("nothing differs" if not report.diff else "what differs:")
    for kind, counts in (*report.diff.nodes.items(), *report.diff.relations.items()):
        if counts:
            print(f"  {kind}: {_describe(counts)}")
    if report.diff.interactions:
        print(f"  interactions: {_describe(report.diff.interactions)}")
    if report.diff:
        print("the model is up to date" if report.saved else "nothing was written")


def _describe(counts: Counts) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in asdict(counts).items() if count)
