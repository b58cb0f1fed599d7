"""The command ``kgrec recommend-all``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kgrec.commands.options import AsJson, Length, Model, RayAddress, RayWorkers
from kgrec.terminal import announce, print_json


def recommend_all(
    model: Model,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="folder for Parquet files")
    ],
    n: Length = 10,
    shard_users: Annotated[int, typer.Option(min=1, help="users of a file")] = 4_096,
    ray: RayAddress = None,
    ray_workers: RayWorkers = 2,
    as_json: AsJson = False,
) -> None:
    """Write lists for all users of a model, a Parquet file for some users at a time.

    A run that was interrupted goes on with the files that are missing.
    """
    if ray is None:
        from kgrec.everybody import recommend_to_everybody
        from kgrec.recommender import Recommender

        rows = recommend_to_everybody(Recommender.load(model), output, n, shard_users=shard_users)
    else:
        from kgrec.on_ray import RayCluster

        cluster = RayCluster(ray, ray_workers)
        rows = cluster.recommend(model, output, n, shard_users=shard_users)
    if as_json:
        print_json({"output": str(output), "rows": rows})
    else:
        announce(f"wrote {rows:,} rows into {output}")
