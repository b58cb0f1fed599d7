"""The command ``kgrec tune``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kgrec.commands.options import (
    AsJson,
    ConfigFile,
    Database,
    Device,
    Log,
    Login,
    Parameters,
    Password,
    Schema,
    Source,
    Username,
    check_device,
    load_settings,
    read_graph,
)
from kgrec.errors import ConfigError
from kgrec.terminal import announce, frame_records, frame_table, make_console, print_json


def tune(
    source: Source,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="settings found, TOML")
    ],
    schema: Schema = None,
    interactions: Log = None,
    parameter: Parameters = None,
    config: ConfigFile = None,
    trials: Annotated[int, typer.Option(min=1, help="settings to try")] = 20,
    storage: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="SQLite file of trials, to go on with or to share"),
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="trials at a time")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="seed of every random draw")] = 0,
    device: Device = None,
    username: Username = None,
    password: Password = None,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Search for settings on items made cold, and tell the gain on others set aside.

    The defaults adapt to the data by themselves: look at the gain before you use what was found.
    """
    from kgrec.tuning import LENGTH, tune, write_config

    if not output.parent.is_dir():
        raise ConfigError(f"{output.parent} is no folder: make it, or name another file")
    settings = load_settings(config)
    check_device(device)
    login = Login(username, password, database)
    graph = read_graph(source, schema, login, interactions, parameter)
    announce(f"trying {trials} settings on {graph}")
    found = tune(
        graph,
        config=settings,
        trials=trials,
        encoder=settings.make_encoder(device),
        seed=seed,
        storage=storage,
        jobs=jobs,
    )
    write_config(found.config, output)
    if as_json:
        print_json(
            {
                "config": found.config.model_dump(exclude_defaults=True),
                "output": str(output),
                "is_clear": found.is_clear,
                "gain": frame_records(found.gain),
            }
        )
        return
    console = make_console()
    columns = ["ranker", f"recall@{LENGTH}", f"ndcg@{LENGTH}", f"recall@{LENGTH}_difference"]
    console.print(frame_table(found.gain[columns], "On items set aside"))
    verdict = "a clear gain" if found.is_clear else "no clear gain: the defaults do as well"
    announce(f"{verdict}; settings written to {output}")
