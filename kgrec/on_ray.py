"""kgrec on a cluster of Ray: a fit that several processes share, and lists for all users.

Graph, model and lists lie in folders that all machines see (a network file system).  A fit is run
by Ray Train, whose workers share out the work as :mod:`kgrec.workers` says; lists are written by
Ray Data, a file a shard.  What a worker was at when it died is done again: for lists one shard,
for a fit what came after its last finished stage.
"""

from __future__ import annotations

import os
import shutil
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from logging import ERROR, getLogger
from pathlib import Path
from typing import Any

from kgrec.config import Config
from kgrec.errors import ConfigError, KgrecError, TrainingError
from kgrec.everybody import SHARD_USERS, Shard, cut_into_shards, missing_shards, write_shard
from kgrec.graph import KnowledgeGraph
from kgrec.recommender import Recommender
from kgrec.storage import load_graph, save_graph
from kgrec.workers import TorchWorkers

THIS_MACHINE = "local"
MOST_FAILURES = 3  # of workers that die; what another try would not help is not tried again
FAILED = "failed.txt"


@dataclass(frozen=True, slots=True)
class RayCluster:
    """Where work is done.

    Parameters
    ----------
    address
        Address of a cluster (``"auto"``, ``"ray://host:10001"``), or ``"local"`` for one that is
        started on this machine and ended afterwards.
    workers
        Processes that share out the work.
    gpus
        Whether each of them gets a GPU.

    Raises
    ------
    ConfigError
        If there are no workers.

    Examples
    --------
    A fit and lists for everybody, by two processes of this machine::

        cluster = RayCluster("local", workers=2)
        cluster.fit(graph, "shop.kgrec")
        cluster.recommend("shop.kgrec", "lists", n=20)
    """

    address: str = THIS_MACHINE
    workers: int = 2
    gpus: bool = False

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise ConfigError(f"{self.workers} workers can't do anything: take one at least")

    def fit(
        self,
        graph: KnowledgeGraph,
        folder: str | Path,
        *,
        config: Config | None = None,
        seed: int = 0,
    ) -> Recommender:
        """Fit a model, and save it.

        Parameters
        ----------
        graph
            The graph and its interactions.
        folder
            Where to, as all machines see it; beside it lies what a fit leaves until it is done.
        config
            The model's settings.
        seed
            Seed of every random draw.

        Returns
        -------
        Recommender
            The one that one process would have fitted.

        Raises
        ------
        ConfigError
            If Ray is not installed, or the cluster can't be reached.
        TrainingError
            If the fit failed.
        """
        target = Path(folder).absolute()
        work = target.with_name(f"{target.name}.ray")
        save_graph(graph, work / "graph")
        job = {
            "graph": str(work / "graph"),
            "model": str(target),
            "checkpoint": str(work / "unfinished"),
            "failed": str(work / FAILED),
            "config": (config or Config()).model_dump_json(),
            "seed": seed,
        }
        with self._connected() as ray:
            from ray.train import FailureConfig, RunConfig, ScalingConfig
            from ray.train.torch import TorchConfig, TorchTrainer

            trainer = TorchTrainer(
                _fit_in_worker,
                train_loop_config=job,
                scaling_config=ScalingConfig(num_workers=self.workers, use_gpu=self.gpus),
                torch_config=TorchConfig(backend="nccl" if self.gpus else "gloo"),
                run_config=RunConfig(
                    name=f"fit-{uuid.uuid4().hex}",  # Ray would go on with a former run of the name
                    storage_path=str(work),
                    failure_config=FailureConfig(max_failures=MOST_FAILURES),
                ),
            )
            try:
                trainer.fit()
            except (ray.exceptions.RayError, ray.train.TrainingFailedError) as error:
                raise TrainingError(f"the fit on Ray failed: {error}") from error
        if (work / FAILED).exists():
            reason = (work / FAILED).read_text(encoding="utf-8")
            shutil.rmtree(work)
            raise TrainingError(f"the fit on Ray failed: {reason}")
        shutil.rmtree(work)
        return Recommender.load(target)

    def recommend(
        self,
        model: str | Path,
        folder: str | Path,
        n: int = 10,
        *,
        shard_users: int = SHARD_USERS,
    ) -> int:
        """Write lists for all users of a model, as Parquet.

        Parameters
        ----------
        model
            Folder of a saved model, as all machines see it.
        folder
            Where to, as all machines see it; parts that are there already stay.
        n
            Length of the lists.
        shard_users
            Users of a file.

        Returns
        -------
        int
            Rows that were written now.

        Raises
        ------
        ConfigError
            If Ray is not installed, or the cluster can't be reached.
        ArtifactError
            If the model is none, or the folder holds something else.
        """
        target, source = Path(folder).absolute(), Path(model).absolute()
        users = len(Recommender.load(source).graph.users)
        shards = missing_shards(cut_into_shards(users, shard_users), target)
        if not shards:
            return 0
        rows = [{"start": shard.start, "end": shard.end, "name": shard.name} for shard in shards]
        with self._connected() as ray:
            data = ray.data.from_items(rows, override_num_blocks=len(rows))
            written = data.map(
                _WriteShards,
                fn_constructor_kwargs={"model": str(source), "folder": str(target), "n": n},
                concurrency=min(self.workers, len(rows)),
                num_cpus=1,
            )
            return sum(int(row["rows"]) for row in written.take_all())

    @contextmanager
    def _connected(self) -> Iterator[Any]:
        try:
            import ray
            import ray.data
            import ray.train
        except ImportError as error:
            raise ConfigError("Ray is not installed: pip install 'kgrec[ray]'") from error
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        was_there = ray.is_initialized()
        if not was_there:
            settings: dict[str, Any] = {"log_to_driver": False, "logging_level": ERROR}
            if self.address == THIS_MACHINE:
                settings |= {"num_cpus": self.workers + 1, "include_dashboard": False}
                settings |= {"_node_ip_address": "127.0.0.1"}
            try:
                ray.init(self.address, **settings)
            except (ConnectionError, ValueError, RuntimeError) as error:
                raise ConfigError(
                    f"no cluster of Ray answers at {self.address} ({error}): start one with "
                    "`ray start --head`, or take 'local'"
                ) from error
        getLogger("ray.data").setLevel(ERROR)
        ray.data.DataContext.get_current().enable_progress_bars = sys.stderr.isatty()
        try:
            yield ray
        finally:
            if not was_there:
                ray.shutdown()


def _fit_in_worker(job: dict[str, Any]) -> None:
    workers = TorchWorkers()
    model = Recommender(
        Config.model_validate_json(job["config"]), checkpoint=job["checkpoint"], workers=workers
    )
    try:
        model.fit(load_graph(job["graph"]), seed=job["seed"])
        workers.share_out([job["model"]], model.save)
    except KgrecError as error:
        if workers.rank == 0:
            Path(job["failed"]).write_text(str(error), encoding="utf-8")


class _WriteShards:
    """Holds a model, and writes one shard after the other."""

    def __init__(self, model: str, folder: str, n: int) -> None:
        self._ranker = Recommender.load(model)
        self._folder, self._n = Path(folder), n

    def __call__(self, row: dict[str, Any]) -> dict[str, int]:
        shard = Shard(row["start"], row["end"], row["name"])
        return {"rows": write_shard(self._ranker, shard, self._n, self._folder)}
