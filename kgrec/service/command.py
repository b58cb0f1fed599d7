"""The command ``kgrec serve``."""

from __future__ import annotations

import os
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from kgrec.errors import ConfigError
from kgrec.terminal import announce

GRACE_SECONDS = 30


def serve(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="folder that `kgrec train` wrote")],
    host: Annotated[str, typer.Option(help="address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="port to listen on")] = 8000,
    workers: Annotated[
        int, typer.Option(min=1, help="processes that answer; they share the model's memory")
    ] = 1,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="follow what others write, write nothing")
    ] = False,
    recall: Annotated[
        float | None,
        typer.Option(
            min=0.01,
            max=1,
            help="search a large catalogue approximately, with this share of the exact best",
        ),
    ] = None,
    read_token_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="tokens that may read, one a line; or KGREC_READ_TOKEN"),
    ] = None,
    write_token_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="tokens that may read and write; or KGREC_WRITE_TOKEN"),
    ] = None,
    rate: Annotated[
        str, typer.Option(help="requests of one client to one worker; '' for any number")
    ] = "200/second",
    max_body: Annotated[int, typer.Option(min=1, help="bytes of a request at most")] = 4 * 1024**2,
    reload_seconds: Annotated[
        float, typer.Option(min=0, help="how often to look for a new model; 0 for never")
    ] = 2.0,
) -> None:
    """Serve a model over HTTP, with a page to look at it.

    Changes are kept in a journal beside the model.  A model that is trained anew into the same
    folder takes the old one's place without a dropped request.
    """
    try:
        import uvicorn
        from limits import parse

        from kgrec.service.settings import ServiceSettings, read_tokens, to_environment
    except ImportError as error:
        raise ConfigError(
            f"the service needs the package {error.name}: pip install 'kgrec[serve]'"
        ) from error
    if recall is not None and find_spec("faiss") is None:
        raise ConfigError("--recall needs the package faiss-cpu: pip install 'kgrec[ann]'")
    try:
        if rate:
            parse(rate)
    except ValueError as error:
        raise ConfigError(f"the rate '{rate}' is none: write '200/second' say") from error
    from kgrec.artifact import digest_of_model

    settings = ServiceSettings(
        model=model.absolute(),
        host=host,
        port=port,
        workers=workers,
        read_only=read_only,
        recall=recall,
        read_token_file=read_token_file,
        write_token_file=write_token_file,
        rate=rate,
        max_body=max_body,
        reload_seconds=reload_seconds,
    )
    read_tokens(settings)
    digest_of_model(model)
    to_environment(settings)
    announce(f"serving {model} at http://{host}:{port}/ (described in /openapi.json)")
    with tempfile.TemporaryDirectory(prefix="kgrec-metrics-") as shared:
        if workers > 1:
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = shared
        uvicorn.run(
            "kgrec.service.app:app_from_environment",
            factory=True,
            host=host,
            port=port,
            workers=workers,
            access_log=False,
            log_config=None,
            server_header=False,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
