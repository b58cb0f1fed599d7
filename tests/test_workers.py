"""Several processes that share out a fit come to the model of one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from kgrec import Config, Recommender, TextEncoder
from kgrec.errors import ConfigError, TrainingError
from kgrec.ranker import UserBatch
from kgrec.storage import save_graph
from kgrec.workers import Alone, TorchWorkers, workers_of_environment
from torch import distributed
from torch.multiprocessing.spawn import spawn

from tests.bert import save_random_bert
from tests.live_world import live_graph

WORKERS = 2


def _run(rank: int, store: Path, body: Callable[[TorchWorkers, Path], None]) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=f"file://{store / 'group'}", rank=rank, world_size=WORKERS
    )
    try:
        body(TorchWorkers(), store)
    finally:
        distributed.destroy_process_group()


def run_workers(store: Path, body: Callable[[TorchWorkers, Path], None]) -> None:
    spawn(_run, (store, body), nprocs=WORKERS)  # type: ignore[no-untyped-call]


def _share_out_squares(workers: TorchWorkers, store: Path) -> None:
    done = []

    def square(number: int) -> int:
        done.append(number)
        return number**2

    assert workers.share_out(range(5), square) == [0, 1, 4, 9, 16]
    assert workers.share_out([], square) == []
    assert workers.share_out([7], square) == [49]
    (store / f"done{workers.rank}").write_text(" ".join(map(str, done)))


def _fail_in_one(workers: TorchWorkers, store: Path) -> None:
    def work(number: int) -> int:
        if number == 1:
            raise ValueError("no such number")
        return number

    try:
        workers.share_out([0, 1], work)
    except (ValueError, TrainingError) as error:
        (store / f"error{workers.rank}").write_text(f"{type(error).__name__} {error}")


def _fit(workers: TorchWorkers, store: Path) -> None:
    encoder = TextEncoder(store / "bert", max_length=32, cache_dir=store / "cache")
    config = Config(steps=3, core_items=20, episode_items=12)
    path = store / "unfinished"
    model = Recommender(config, encoder=encoder, workers=workers, checkpoint=path)
    model.fit(live_graph(), seed=1).save(store / f"model{workers.rank}")


def test_each_does_a_part_and_all_get_everything(tmp_path: Path) -> None:
    run_workers(tmp_path, _share_out_squares)
    assert (tmp_path / "done0").read_text() == "0 2 4 7"
    assert (tmp_path / "done1").read_text() == "1 3"


def test_all_hear_of_a_failure(tmp_path: Path) -> None:
    run_workers(tmp_path, _fail_in_one)
    assert (tmp_path / "error1").read_text() == "ValueError no such number"
    told = (tmp_path / "error0").read_text()
    assert told == "TrainingError worker 1 failed (ValueError: no such number): see its output"


def test_a_fit_by_two_is_the_fit_of_one(tmp_path: Path) -> None:
    (tmp_path / "bert").mkdir()
    save_random_bert(tmp_path / "bert")
    run_workers(tmp_path, _fit)
    encoder = TextEncoder(tmp_path / "bert", max_length=32, cache_dir=False)
    config = Config(steps=3, core_items=20, episode_items=12)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    alone = Recommender(config, encoder=encoder).fit(live_graph(), seed=1)
    torch.set_num_threads(threads)
    expected = alone._score(UserBatch(alone.histories))
    for rank in range(WORKERS):
        model = Recommender.load(tmp_path / f"model{rank}", encoder=encoder)
        assert model.validation == alone.validation
        np.testing.assert_array_equal(model._score(UserBatch(model.histories)), expected)
    assert not (tmp_path / "unfinished").exists()


def test_torchrun_trains_one_model(tmp_path: Path) -> None:
    save_graph(live_graph(), tmp_path / "graph")
    (tmp_path / "bert").mkdir()
    bert = save_random_bert(tmp_path / "bert")
    (tmp_path / "config.toml").write_text(
        f'text_model = "{bert}"\nmax_length = 32\nsteps = 3\ncore_items = 20\n'
    )
    environment = os.environ | {"KGREC_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    train = ["-m", "kgrec.cli", "train", str(tmp_path / "graph")]
    train += ["--config", str(tmp_path / "config.toml")]
    torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={WORKERS}"]
    for name, start in (("two", torchrun), ("one", [])):
        done = subprocess.run(  # noqa: S603  our own command line
            [sys.executable, *start, *train, "--output", str(tmp_path / name), "--json"],
            capture_output=True,
            text=True,
            env=environment,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("core_items") <= 1
    two, one = (Recommender.load(tmp_path / name) for name in ("two", "one"))
    left, right = (model._score(UserBatch(model.histories)) for model in (two, one))
    np.testing.assert_array_equal(left, right)


def test_alone_where_nobody_started_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with workers_of_environment() as workers:
        assert isinstance(workers, Alone)
        assert (workers.rank, workers.count) == (0, 1)
    with pytest.raises(ConfigError, match="start them with torchrun"):
        TorchWorkers()
