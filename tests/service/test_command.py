"""``kgrec serve`` as a process of its own: workers, signals and crashes."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest
from kgrec import Config, Recommender, TextEncoder
from kgrec.live import LiveModel

from tests.bert import save_random_bert
from tests.live_world import live_graph
from tests.service.conftest import Service

SECONDS = 120.0
READY_IN_A_ROW = 12


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fit a model whose text model another process finds."""
    folder = tmp_path_factory.mktemp("command")
    bert = save_random_bert(folder)
    config = Config(steps=2, core_items=20, text_model=str(bert), max_length=32)
    encoder = TextEncoder(bert, max_length=32, cache_dir=False)
    Recommender(config, encoder=encoder).fit(live_graph(), seed=1).save(folder / "model")
    return folder / "model"


@contextmanager
def serving(model: Path, *options: str) -> Iterator[tuple[Service, subprocess.Popen[str]]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "kgrec.cli", "serve", str(model), "--port", str(port)]
    environment = os.environ | {"KGREC_CACHE": str(model.parent / "cache"), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(  # noqa: S603  our own command line
        [*command, *options],
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    )
    lines: list[str] = []
    reader = threading.Thread(target=lambda: lines.extend(process.stderr or []))
    reader.start()
    service = Service(port, None)  # type: ignore[arg-type]  # lives in the other process
    try:
        end = time.monotonic() + SECONDS
        ready = 0  # as often as one of several workers is asked by chance alone
        while ready < READY_IN_A_ROW and process.poll() is None and time.monotonic() < end:
            ready = ready + 1 if is_ready(service) else 0
            time.sleep(0.02 if ready else 0.1)
        assert ready, "".join(lines)
        yield service, process
    finally:
        with suppress(ProcessLookupError):  # workers too, which a killed parent leaves behind
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        reader.join()
        if process.stderr:
            process.stderr.close()


def is_ready(service: Service) -> bool:
    try:
        return service.ask("GET", "/ready").status == 200
    except (OSError, http.client.HTTPException):
        return False


def put(service: Service, number: int) -> int:
    items = [{"id": f"item{number:03}", "text": "a shark"}]
    return service.ask("PUT", "/items", {"items": items}).status


def test_workers_agree_and_stop_without_losing_a_write(model: Path) -> None:
    with serving(model, "--workers", "2", "--rate", "") as (service, process):
        workers = psutil.Process(process.pid).children()
        assert len(workers) >= 2
        for number in range(12):
            assert put(service, number) == 200
            answer = service.post("/recommend", history=["film01"], items=[f"item{number:03}"])
            assert answer.status == 200  # whichever worker answers
        assert 'route="/items",status="200"} 12.0' in service.ask("GET", "/metrics").text
        accepted: list[int] = []

        def write() -> None:
            for number in range(100, 400):
                try:
                    if put(service, number) == 200:
                        accepted.append(number)
                except (OSError, http.client.HTTPException):
                    return

        writer = threading.Thread(target=write)
        writer.start()
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS) in (0, -signal.SIGTERM)
        writer.join()
    live = LiveModel(model)
    items = set(live.current().graph.items.ids.to_pylist())
    assert accepted
    assert {f"item{number:03}" for number in accepted} <= items


def test_a_killed_service_has_all_that_it_acknowledged(model: Path) -> None:
    before = LiveModel(model).position
    with serving(model, "--rate", "") as (service, process):
        accepted = 0
        end = time.monotonic() + 0.7
        while time.monotonic() < end:
            accepted += put(service, 500 + accepted) == 200
        process.kill()
        process.wait()
    assert accepted
    assert LiveModel(model).position in (before + accepted, before + accepted + 1)
