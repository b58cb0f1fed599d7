"""A small model, and services that listen on free ports of this machine."""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from kgrec import Config, Recommender, TextEncoder
from kgrec.live import LiveModel
from kgrec.service.app import make_app
from kgrec.service.settings import ServiceSettings, Tokens

from tests.live_world import live_graph


@dataclass(frozen=True)
class Answer:
    """What a service answered."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:  # noqa: ANN401
        return json.loads(self.text)


@dataclass(frozen=True)
class Service:
    """A service that listens."""

    port: int
    live: LiveModel
    headers: Mapping[str, str] = field(default_factory=dict)

    def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"Content-Type": "application/json", **self.headers, **(headers or {})}
        try:
            connection.request(method, path, None if body is None else content, sent)
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, found, answer.read().decode())
        finally:
            connection.close()

    def post(self, path: str, **body: object) -> Answer:
        return self.ask("POST", path, body)


@pytest.fixture(scope="session")
def service_model(tiny_encoder: TextEncoder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("service") / "model"
    config = Config(steps=2, core_items=20)
    Recommender(config, encoder=tiny_encoder).fit(live_graph(), seed=1).save(folder)
    return folder


@pytest.fixture
def folder(service_model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(service_model, tmp_path / "model"))


Start = Callable[..., Service]


@pytest.fixture
def start(folder: Path, tiny_encoder: TextEncoder) -> Iterator[Start]:
    """Start services that stop when the test ends."""
    running: list[tuple[uvicorn.Server, threading.Thread]] = []

    def begin(tokens: Tokens | None = None, **settings: object) -> Service:
        given = {"model": folder, "rate": "", "reload_seconds": 0.2} | settings
        chosen = ServiceSettings.model_validate(given)
        live = LiveModel(folder, encoder=tiny_encoder, read_only=chosen.read_only)
        app = make_app(live, chosen, tokens or Tokens())
        listening = socket.socket()
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        running.append((server, thread))
        while not server.started:
            time.sleep(0.01)
        return Service(listening.getsockname()[1], live)

    yield begin
    for server, thread in running:
        server.should_exit = True
        thread.join()


@pytest.fixture
def service(start: Start) -> Service:
    return start()
