"""Options that several commands share, and what they mean for a source."""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kgrec.errors import ConfigError, SourceError
from kgrec.terminal import announce

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kgrec.config import Config
    from kgrec.graph import KnowledgeGraph
    from kgrec.schema import GraphSchema
    from kgrec.sources.opening import SourceOptions

Source = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE",
        help="bolt:// or neo4j:// address, SPARQL endpoint, RDF file, folder of tables, or "
        "embedded Cypher file",
    ),
]
Model = Annotated[Path, typer.Argument(metavar="MODEL", help="folder that `kgrec train` wrote")]
Schema = Annotated[
    str | None,
    typer.Option(
        "--schema",
        metavar="DIR",
        help="graph schema folder, or the name of one that comes with kgrec; may be left out "
        "where the source is a folder with a schema.toml",
    ),
]
Log = Annotated[
    Path | None,
    typer.Option(
        "--interactions",
        metavar="FILE",
        help="table of interactions, columns user and item, in place of those of the source",
    ),
]
Parameters = Annotated[
    list[str] | None,
    typer.Option(
        "--parameter",
        metavar="NAME=VALUE",
        help="value of a $parameter of the Cypher queries; may be repeated",
    ),
]
Username = Annotated[
    str | None, typer.Option(envvar="NEO4J_USERNAME", help="user of a bolt:// source")
]
Password = Annotated[
    str | None,
    typer.Option(
        envvar="NEO4J_PASSWORD",
        show_default=False,
        help="password of a bolt:// source; better in the environment, where others don't see it",
    ),
]
Database = Annotated[
    str | None, typer.Option(envvar="NEO4J_DATABASE", help="database of a bolt:// source")
]
Device = Annotated[
    str | None, typer.Option(metavar="D", help="device of torch, cpu or cuda say; best by default")
]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="settings of the model, TOML")
]
Length = Annotated[int, typer.Option("-n", min=1, help="how many at most")]
RayAddress = Annotated[
    str | None,
    typer.Option(
        "--ray",
        metavar="ADDRESS",
        help="do it on this cluster of Ray; 'local' starts one on this machine",
    ),
]
RayWorkers = Annotated[int, typer.Option(min=1, help="processes that share out work on Ray")]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON, for machines")]
History = Annotated[
    list[str] | None,
    typer.Option(metavar="ID,ID", help="items that somebody outside the graph has used"),
]


@dataclass(frozen=True, slots=True)
class Login:
    """User, password and database of a Bolt server; None where they are not given."""

    username: str | None
    password: str | None = field(repr=False)
    database: str | None


def find_schema(source: str, schema: str | None) -> GraphSchema:
    """Find the schema that goes with a source.

    Parameters
    ----------
    source
        Where the graph is.
    schema
        A folder, the name of a schema that comes with kgrec, or None.

    Returns
    -------
    GraphSchema
        The schema.

    Raises
    ------
    ConfigError
        If none is named, and the source holds none.
    """
    from kgrec.datasets import schema_folder
    from kgrec.schema import load_schema
    from kgrec.storage import is_saved_graph, load_graph

    if schema is not None:
        folder = Path(schema)
        is_name = folder.name == schema and not folder.is_dir()
        return load_schema(schema_folder(schema) if is_name else folder)
    place = Path(source)
    if is_saved_graph(place):
        return load_graph(place).schema
    if (place / "schema.toml").is_file():
        return load_schema(place)
    raise ConfigError(
        f"{source} has no schema.toml: name a graph schema folder with --schema, or make one by "
        "kgrec schema init"
    )


def source_options(
    source: str,
    login: Login,
    *,
    interactions: Path | None = None,
    parameters: Sequence[str] | None = None,
) -> SourceOptions:
    """Choose the options of a source: each login goes to its own kind of server alone.

    Parameters
    ----------
    source
        Where the graph is.
    login
        Of a Bolt server; a bearer token may be in ``NEO4J_TOKEN`` instead.  The login of a SPARQL
        endpoint is in ``SPARQL_USERNAME`` and ``SPARQL_PASSWORD``, or in ``SPARQL_TOKEN``.
    interactions
        A table of them.
    parameters
        Of the queries, as ``NAME=VALUE``.

    Returns
    -------
    SourceOptions
        For :func:`kgrec.sources.open_graph`.

    Raises
    ------
    ConfigError
        If half of a login is missing, or a parameter is none.
    """
    options: SourceOptions = {}
    if interactions is not None:
        options["interactions"] = interactions
    if parameters:
        options["parameters"] = dict(map(_parse_parameter, parameters))
    if source.startswith(("http://", "https://")):
        token = os.environ.get("SPARQL_TOKEN")
        user, password = (os.environ.get(f"SPARQL_{name}") for name in ("USERNAME", "PASSWORD"))
        options["auth"] = token or _pair(user, password, "SPARQL_USERNAME", "SPARQL_PASSWORD")
    elif "://" in source:
        import neo4j

        token = os.environ.get("NEO4J_TOKEN")
        pair = _pair(login.username, login.password, "--username", "--password")
        options["auth"] = neo4j.bearer_auth(token) if token and not pair else pair
        options["database"] = login.database
    return options


def read_graph(
    source: str,
    schema: str | None,
    login: Login,
    interactions: Path | None,
    parameters: Sequence[str] | None,
) -> KnowledgeGraph:
    """Read a graph that there is something to learn from.

    Parameters
    ----------
    source, schema
        As in :func:`find_schema`.
    login, interactions, parameters
        As in :func:`source_options`.

    Returns
    -------
    KnowledgeGraph
        With interactions.

    Raises
    ------
    SourceError
        If it has none, or can't be read.
    ConfigError
        As :func:`find_schema` and :func:`source_options`.
    """
    from kgrec.sources import open_graph

    declared = find_schema(source, schema)
    announce(f"reading {source}")
    options = source_options(source, login, interactions=interactions, parameters=parameters)
    graph = open_graph(source, declared, **options)
    if not len(graph.interactions):
        raise SourceError(
            f"{source} has no interactions to learn from: look at what fills them, and at the "
            "report of `kgrec check`"
        )
    return graph


def load_settings(path: Path | None) -> Config:
    """Load the settings of a file, or take the defaults where there is none.

    Raises
    ------
    ConfigError
        If the file is wrong.
    """
    from kgrec.config import Config, load_config

    return Config() if path is None else load_config(path)


def check_device(device: str | None) -> None:
    """Refuse a device that is not to be had.

    Raises
    ------
    ConfigError
        With torch's reason.
    """
    if device is None:
        return
    import torch

    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:  # torch asserts that it was built for CUDA
        reason = str(error).splitlines()[0]
        raise ConfigError(f"the device '{device}' is not to be had: {reason}") from error


def _pair(
    user: str | None, password: str | None, user_name: str, password_name: str
) -> tuple[str, str] | None:
    if user is None and password is None:
        return None
    if user is None or password is None:
        raise ConfigError(
            f"username and password belong together: give both {user_name} and {password_name}, or "
            "the environment variables that --help names"
        )
    return user, password


def _parse_parameter(text: str) -> tuple[str, object]:
    name, separator, value = text.partition("=")
    if not separator or not name.isidentifier():
        raise ConfigError(f"'{text}' is no parameter: write NAME=VALUE")
    try:
        return name, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return name, value  # text without quotes
