"""``kgrec schema``: a first schema folder for a database that nobody has described yet."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kgrec.commands.options import (
    AsJson,
    Database,
    Login,
    Password,
    Source,
    Username,
    source_options,
)
from kgrec.terminal import announce, frame_table, make_console, print_json

if TYPE_CHECKING:
    import pandas as pd

    from kgrec.inspection import Inventory, Roles

schema_app = typer.Typer(
    help="Describe a database to kgrec: a folder of queries that fill the graph.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)


@schema_app.command(
    "init",
    epilog="Example: kgrec schema init bolt://localhost:7687 --output my_schema --item Movie",
)
def schema_init(
    source: Source,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="folder to write")],
    user: Annotated[
        str | None, typer.Option(metavar="LABEL", help="label or class of the users")
    ] = None,
    item: Annotated[
        str | None, typer.Option(metavar="LABEL", help="label or class of the items")
    ] = None,
    interaction: Annotated[
        str | None,
        typer.Option(metavar="TYPE", help="relationship type or predicate from user to item"),
    ] = None,
    username: Username = None,
    password: Password = None,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Look at a database or RDF, and write a first schema folder for it.

    Users, items, interactions and texts are guessed by names and counts; --user, --item and
    --interaction overrule. Look the folder over, then run `kgrec check`.
    """
    from kgrec.inspection import inspect_source, write_schema_folder

    announce(f"looking at {source}")
    options = source_options(source, Login(username, password, database))
    auth, name = options.get("auth"), options.get("database")
    inventory, roles = inspect_source(
        source,
        auth=None if isinstance(auth, str) else auth,
        database=name if isinstance(name, str) else None,
        user=user,
        item=item,
        interaction=interaction,
    )
    files = write_schema_folder(inventory, roles, output, source=source)
    if as_json:
        print_json({"schema": str(output), "files": files, **_facts(roles)})
        return
    console = make_console()
    console.print(frame_table(_overview(inventory), title="What is there"))
    for role, found in _facts(roles).items():
        console.print(f"{role}: {found or 'not found, give a table with --interactions'}")
    console.print(f"written: {', '.join(str(output / file) for file in files)}", soft_wrap=True)
    console.print(f"next: kgrec check {source} --schema {output}", soft_wrap=True)


def _overview(inventory: Inventory) -> pd.DataFrame:
    import pandas as pd

    rows = [
        ("node", kind.name, kind.count, ", ".join(p.name for p in kind.properties))
        for kind in inventory.nodes
    ]
    rows += [
        (
            "link",
            f"{link.head} -{link.name}-> {link.tail}",
            link.count,
            ", ".join(p.name for p in link.properties),
        )
        for link in inventory.links
    ]
    return pd.DataFrame(rows, columns=["kind", "name", "count", "properties"])


def _facts(roles: Roles) -> dict[str, str | None]:
    return {
        "user": roles.user.name if roles.user else None,
        "item": roles.item.name,
        "interaction": " / ".join(link.name for link in roles.path) or None,
    }
