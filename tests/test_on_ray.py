"""A cluster of Ray on this machine: the model and the lists of one process, also after a kill."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import psutil  # type: ignore[import-untyped]
import pytest
import ray
from benchmarks.synthetic import SCHEMA, make_synthetic
from kgrec import Config, KnowledgeGraph, Recommender
from kgrec.errors import ConfigError, TrainingError
from kgrec.everybody import cut_into_shards
from kgrec.on_ray import RayCluster
from kgrec.ranker import UserBatch

from tests.bert import save_random_bert
from tests.live_world import live_graph

SECONDS = 120.0

pytestmark = pytest.mark.filterwarnings("default")  # Ray warns of its own future


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    """Start a cluster once for all tests, on the loopback address."""
    ray.init(
        "local",
        num_cpus=3,
        include_dashboard=False,
        log_to_driver=False,
        _node_ip_address="127.0.0.1",
        object_store_memory=200_000_000,
    )
    yield RayCluster("local", workers=2)
    ray.shutdown()


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    bert = save_random_bert(tmp_path_factory.mktemp("bert"))
    return Config(text_model=str(bert), max_length=32, steps=3, core_items=20)


def workers_named(name: str) -> list[psutil.Process]:
    """Find Ray's processes of this machine that say what they are at."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if name in " ".join(process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


def test_a_fit_is_that_of_one_process(cluster: RayCluster, config: Config, tmp_path: Path) -> None:
    model = cluster.fit(live_graph(), tmp_path / "model", config=config, seed=1)
    alone = Recommender(config).fit(live_graph(), seed=1)
    np.testing.assert_allclose(
        model._score(UserBatch(model.histories)),
        alone._score(UserBatch(alone.histories)),
        atol=1e-5,
    )
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_fit_that_can_not_work_says_why(
    cluster: RayCluster, config: Config, tmp_path: Path
) -> None:
    broken = config.model_copy(update={"text_model": str(tmp_path / "nowhere")})
    with pytest.raises(TrainingError, match="nowhere"):
        cluster.fit(live_graph(), tmp_path / "model", config=broken)
    assert not (tmp_path / "model").exists()


def test_lists_are_all_there_though_a_worker_was_killed(
    cluster: RayCluster, config: Config, tmp_path: Path
) -> None:
    world = make_synthetic(1_200)
    graph = KnowledgeGraph.from_tables(SCHEMA, world.tables)
    small = config.model_copy(update={"core_items": 200, "selection_items": 100})
    model = Recommender(small).fit(graph)
    model.save(tmp_path / "model")
    shards = cut_into_shards(len(graph.users), 2)
    lists = tmp_path / "lists"
    killed: list[int] = []

    def kill_one() -> None:
        end = time.monotonic() + SECONDS
        while time.monotonic() < end and not killed:
            done = len(list(lists.glob("*.parquet"))) if lists.exists() else 0
            writers = workers_named("_WriteShards")
            if done and writers:
                writers[0].kill()
                killed.append(done)
            time.sleep(0.01)

    killer = threading.Thread(target=kill_one)
    killer.start()
    cluster.recommend(tmp_path / "model", lists, 5, shard_users=2)
    killer.join()
    assert 0 < killed[0] < len(shards), "the worker was killed too late to tell"
    assert sorted(path.name for path in lists.iterdir()) == [shard.name for shard in shards]
    expected = model.recommend(graph.users.ids.to_pylist(), 5)
    written = pd.read_parquet(lists)
    assert written["user"].tolist() == expected["user"].tolist()
    np.testing.assert_allclose(written["score"], expected["score"], atol=1e-5)
    assert (written["item"].to_numpy() == expected["item"].to_numpy()).mean() > 0.999
    assert cluster.recommend(tmp_path / "model", lists, 5, shard_users=2) == 0


def test_what_is_no_cluster_is_refused() -> None:
    with pytest.raises(ConfigError, match="0 workers"):
        RayCluster(workers=0)
