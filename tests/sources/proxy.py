"""A way to a server that breaks in the middle."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

CHUNK = 65_536


@contextmanager
def breaking_proxy(uri: str, after: int) -> Iterator[str]:
    """Forward connections to a server, and cut the one that brings a certain byte.

    Parameters
    ----------
    uri
        ``bolt://host:port`` of the server.
    after
        How many bytes come from the server before the cut, which happens once.

    Yields
    ------
    str
        The address to use instead.
    """
    target = urlsplit(uri)
    left = [after]
    opened: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def start(work: Callable[..., None], *values: object, **named: object) -> None:
        threads.append(threading.Thread(target=work, args=values, kwargs=named))
        threads[-1].start()

    def forward(source: socket.socket, sink: socket.socket, *, is_answer: bool) -> None:
        with suppress(OSError):
            while data := source.recv(CHUNK):
                if is_answer and left[0] > 0:
                    left[0] -= len(data)
                    if left[0] <= 0:
                        break
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def accept(listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.create_connection((target.hostname, target.port))
                opened.extend((client, server))
                start(forward, client, server, is_answer=False)
                start(forward, server, client, is_answer=True)

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        start(accept, listener)
        try:
            yield f"bolt://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            for end in (listener, *opened):
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join()
            for end in opened:
                end.close()
