"""What every request passes: an id, limits, measurements and a line in the log."""

from __future__ import annotations

import json
import logging
import re
import sys
import time
import uuid
from http import HTTPStatus
from typing import Any

from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kgrec.service.problems import problem

PLAIN_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
POLICY = (
    b"default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; "
    b"form-action 'self'"
)
LATENCIES = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
logger = logging.getLogger("kgrec.service")


class Metrics:
    """What is measured, for Prometheus.

    Parameters
    ----------
    registry
        Where to.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.requests = Counter(
            "kgrec_requests", "requests", ["method", "route", "status"], registry=registry
        )
        self.seconds = Histogram(
            "kgrec_request_seconds",
            "time to answer",
            ["route"],
            registry=registry,
            buckets=LATENCIES,
        )
        self.in_flight = Gauge(
            "kgrec_requests_in_flight",
            "requests that are being answered",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.items = self._gauge("kgrec_items", "items that are ranked", registry)
        self.cold_items = self._gauge("kgrec_cold_items", "items that nobody used", registry)
        self.position = self._gauge("kgrec_changes", "changes of the journal taken in", registry)
        self.skipped = self._gauge(
            "kgrec_changes_skipped", "changes that did not fit a new model", registry
        )

    def _gauge(self, name: str, described: str, registry: CollectorRegistry) -> Gauge:
        return Gauge(name, described, registry=registry, multiprocess_mode="max")


class Gate:
    """Wraps the application.

    Parameters
    ----------
    app
        The application.
    metrics
        What is measured.
    rate
        Requests that one client may make, ``"200/second"`` say; empty for any number.
    max_body
        Bytes of a request at most.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, rate: str, max_body: int) -> None:
        self._app = app
        self._metrics = metrics
        self._max_body = max_body
        self._rate: RateLimitItem | None = parse(rate) if rate else None
        self._limiter = FixedWindowRateLimiter(MemoryStorage())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let one request through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start = time.perf_counter()
        headers = dict(scope["headers"])
        request_id = _request_id(headers.get(b"x-request-id", b""))
        scope.setdefault("state", {})["request_id"] = request_id
        status = 500

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [
                    *message["headers"],
                    (b"x-request-id", request_id.encode()),
                    (b"content-security-policy", POLICY),
                    (b"x-content-type-options", b"nosniff"),
                    (b"referrer-policy", b"no-referrer"),
                ]
            await send(message)

        self._metrics.in_flight.inc()
        try:
            await self._pass(scope, receive, send_with_id, headers, request_id)
        finally:
            self._metrics.in_flight.dec()
            self._record(scope, status, time.perf_counter() - start, request_id)

    async def _pass(
        self, scope: Scope, receive: Receive, send: Send, headers: dict[bytes, bytes], name: str
    ) -> None:
        if self._rate is not None and not self._limiter.hit(self._rate, _client(scope)):
            answer = problem(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"more than {self._rate}: wait a little",
                name,
                headers={"Retry-After": str(self._rate.get_expiry())},
            )
            await answer(scope, receive, send)
            return
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length) > self._max_body:
            status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
            answer = problem(status, self._too_large, name, headers={"Connection": "close"})
            await answer(scope, receive, send)
            return
        received, answered = 0, False

        async def receive_counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._max_body:
                raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, self._too_large)
            return message

        async def send_noted(message: Message) -> None:
            nonlocal answered
            answered = True
            await send(message)

        try:
            await self._app(scope, receive_counted, send_noted)
        except Exception:
            logger.exception("request %s failed", name)
            if answered:
                raise
            answer = problem(
                HTTPStatus.INTERNAL_SERVER_ERROR,
                "the service failed; its log tells more under the request id",
                name,
            )
            await answer(scope, receive, send)

    @property
    def _too_large(self) -> str:
        return f"the body is longer than {self._max_body:,} bytes: send less at a time"

    def _record(self, scope: Scope, status: int, seconds: float, request_id: str) -> None:
        route = getattr(scope.get("route"), "path", "other")
        self._metrics.requests.labels(scope["method"], route, status).inc()
        self._metrics.seconds.labels(route).observe(seconds)
        if logger.isEnabledFor(logging.INFO):
            logger.info(
                "request",
                extra={
                    "facts": {
                        "request_id": request_id,
                        "method": scope["method"],
                        "path": scope["path"],
                        "status": status,
                        "milliseconds": round(1000 * seconds, 2),
                        "client": (scope.get("client") or ("",))[0],
                    }
                },
            )


class JsonLines(logging.Formatter):
    """Writes each record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Write one record."""
        facts: dict[str, Any] = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "facts", {}),
        }
        if record.exc_info:
            facts["traceback"] = self.formatException(record.exc_info)
        return json.dumps(facts, ensure_ascii=False)


def log_json_lines() -> None:
    """Send the log of this process to standard error as lines of JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    for name in ("kgrec", "uvicorn.error"):
        logging.getLogger(name).setLevel(logging.INFO)


def _request_id(given: bytes) -> str:
    name = given.decode("latin-1")
    return name if PLAIN_ID.fullmatch(name) else uuid.uuid4().hex


def _client(scope: Scope) -> str:
    return str((scope.get("client") or ("unknown",))[0])
