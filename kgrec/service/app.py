"""The application: each route reads a request, asks the model and answers."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import pandas as pd
from fastapi import APIRouter, Depends, FastAPI, Query, Response
from fastapi import Path as InPath
from fastapi.staticfiles import StaticFiles
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from pydantic_core import to_json
from starlette.middleware.trustedhost import TrustedHostMiddleware

from kgrec.errors import ArtifactError, KgrecError
from kgrec.items import AddInteractions, PutItems, RemoveItems
from kgrec.live import LiveModel
from kgrec.service import queries
from kgrec.service.gate import Gate, Metrics, log_json_lines
from kgrec.service.messages import (
    Accepted,
    AudienceRequest,
    AudienceResponse,
    ExplainRequest,
    ExplainResponse,
    GraphFacts,
    Health,
    InteractionsRequest,
    Listener,
    Neighbour,
    NeighbourhoodResponse,
    PutItemsRequest,
    RecommendRequest,
    RecommendResponse,
    RelationFacts,
    SearchResponse,
    SimilarRequest,
    SimilarResponse,
    State,
)
from kgrec.service.problems import RESPONSES, add_problem_handlers
from kgrec.service.security import Guard
from kgrec.service.settings import ServiceSettings, Tokens, from_environment, read_tokens

PAGE = Path(__file__).parent / "page"
LOOPBACK = ["127.0.0.1", "localhost", "[::1]"]
MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"
Limit = Annotated[int, Query(ge=1, le=200)]
logger = logging.getLogger("kgrec.service")


def make_app(live: LiveModel, settings: ServiceSettings, tokens: Tokens) -> FastAPI:
    """Make the application.

    Parameters
    ----------
    live
        The model to serve.
    settings
        Limits, and how often to look for a new model.
    tokens
        Who may read and write.

    Returns
    -------
    FastAPI
        To be run by an ASGI server.
    """
    metrics = Metrics(CollectorRegistry())
    app = FastAPI(
        title="kgrec",
        summary="Recommendations of items that nobody has used yet, from a knowledge graph",
        version="1",
        docs_url=None,  # both load their scripts from another host
        redoc_url=None,
        lifespan=lambda _: _look_after(live, settings),
        responses=RESPONSES,
    )
    add_problem_handlers(app)
    app.include_router(_watching(live, metrics, tokens))
    app.include_router(_reading(live, tokens, read_only=settings.read_only))
    app.include_router(_writing(live, tokens))
    app.mount("/", StaticFiles(directory=PAGE, html=True), name="page")
    if not tokens:  # a page of another site must not reach what has no other protection
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=LOOPBACK)
    app.add_middleware(Gate, metrics=metrics, rate=settings.rate, max_body=settings.max_body)
    return app


def app_from_environment() -> FastAPI:
    """Make the application in a process that the service has started.

    Returns
    -------
    FastAPI
        Of the settings in the environment.
    """
    settings = from_environment()
    log_json_lines()
    live = LiveModel(settings.model, read_only=settings.read_only, recall=settings.recall)
    return make_app(live, settings, read_tokens(settings))


@asynccontextmanager
async def _look_after(live: LiveModel, settings: ServiceSettings) -> AsyncIterator[None]:
    """Load the text model, and look for a new model of the folder now and then."""
    stop = threading.Event()

    def watch() -> None:
        try:
            live.warm_up()
        except KgrecError:
            logger.exception("the text model can't be loaded, so new items will be refused")
        while settings.reload_seconds and not stop.wait(settings.reload_seconds):
            try:
                if live.reload():
                    logger.info("loaded the model %s", live.version[:12])
            except (KgrecError, OSError):
                logger.exception("the new model is not taken, the old one goes on")

    thread = threading.Thread(target=watch, name="kgrec-watch", daemon=True)
    thread.start()
    yield
    stop.set()


def _state(live: LiveModel) -> State:
    return State(version=live.version, changes=live.position)


def _watching(live: LiveModel, metrics: Metrics, tokens: Tokens) -> APIRouter:
    router = APIRouter(tags=["state"])

    @router.get("/health")
    async def health() -> Health:
        """Tell that the process answers."""
        return Health(status="ok")

    @router.get("/ready", responses={503: RESPONSES[429]})
    def ready(response: Response) -> Health:
        """Tell whether the model is loaded, texts can be encoded and the journal is whole."""
        try:
            live.current()
        except ArtifactError:
            response.status_code = 503
            return Health(status="the journal can't be read")
        if not live.is_warm:
            response.status_code = 503
            return Health(status="loading the text model")
        return Health(status="ready")

    @router.get("/metrics", dependencies=[Depends(Guard(tokens, writes=False))])
    def measurements() -> Response:
        """Give what was measured, for Prometheus."""
        ranker = live.current()
        metrics.items.set(len(ranker.graph.items))
        metrics.cold_items.set(int(ranker.is_cold.sum()))
        metrics.position.set(live.position)
        metrics.skipped.set(live.skipped)
        registry = metrics.registry
        if MULTIPROCESS in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return router


def _reading(live: LiveModel, tokens: Tokens, *, read_only: bool) -> APIRouter:
    router = APIRouter(tags=["read"], dependencies=[Depends(Guard(tokens, writes=False))])

    @router.post("/recommend", response_model=RecommendResponse)
    def recommend(request: RecommendRequest) -> Response:
        """Recommend items to a user, to somebody with a history, or by attributes."""
        found = queries.recommend(live.current(), request)
        # written here and not checked again: this is asked most
        answer = to_json({"recommendations": found, "model": _state(live)}, inf_nan_mode="null")
        return Response(answer, media_type="application/json")

    @router.post("/similar")
    def similar(request: SimilarRequest) -> SimilarResponse:
        """Find the items most like others."""
        ranker = live.current()
        frame = ranker.similar_items(request.items, request.n)
        texts = queries.texts_of(ranker.graph, frame["neighbour"].tolist())
        rows = frame.assign(text=pd.Series(texts, dtype=object)).to_dict("records")
        found = [Neighbour.model_validate(row) for row in rows]
        return SimilarResponse(similar=found, model=_state(live))

    @router.post("/explain")
    def explain(request: ExplainRequest) -> ExplainResponse:
        """Say why somebody is recommended an item, and what its score would be otherwise."""
        score, base, reasons, paths, what_if = queries.explain(live.current(), request)
        return ExplainResponse(
            item=request.item,
            score=score,
            base=base,
            reasons=reasons,
            paths=paths,
            what_if=what_if,
            model=_state(live),
        )

    @router.post("/audience")
    def audience(request: AudienceRequest) -> AudienceResponse:
        """Find the users who would get an item, a new one say."""
        frame = live.current().audience(request.item, request.n)
        found = [Listener.model_validate(row) for row in frame.to_dict("records")]
        return AudienceResponse(item=request.item, audience=found, model=_state(live))

    @router.get("/search")
    def search(
        q: Annotated[str, Query(min_length=1, max_length=200)],
        type: Annotated[str | None, Query()] = None,  # noqa: A002
        limit: Limit = 20,
    ) -> SearchResponse:
        """Find nodes of the graph by their id or text."""
        ranker = live.current()
        return SearchResponse(nodes=queries.search(ranker.graph, ranker.is_cold, q, type, limit))

    @router.get("/neighbourhood")
    def neighbourhood(
        type: Annotated[str, Query()],  # noqa: A002
        id: Annotated[str, Query()],  # noqa: A002
        limit: Limit = 50,
    ) -> NeighbourhoodResponse:
        """List what a node of the graph is joined with."""
        ranker = live.current()
        node, ties, total = queries.neighbourhood(ranker.graph, ranker.is_cold, type, id, limit)
        return NeighbourhoodResponse(node=node, ties=ties, total=total)

    @router.get("/graph")
    def graph() -> GraphFacts:
        """Say what the graph is made of."""
        ranker = live.current()
        schema = ranker.graph.schema
        return GraphFacts(
            name=schema.name,
            description=schema.description,
            user=schema.user,
            item=schema.item,
            interaction=schema.interaction,
            nodes={name: len(table) for name, table in ranker.graph.nodes.items()},
            relations=[
                RelationFacts(name=name, head=one.head, tail=one.tail)
                for name, one in schema.relations.items()
            ],
            cold_items=int(ranker.is_cold.sum()),
            read_only=read_only,
            model=_state(live),
        )

    return router


def _writing(live: LiveModel, tokens: Tokens) -> APIRouter:
    router = APIRouter(tags=["write"], dependencies=[Depends(Guard(tokens, writes=True))])

    @router.put("/items")
    def put_items(request: PutItemsRequest) -> Accepted:
        """Add items and other entities, or replace them; all of the batch or nothing."""
        return Accepted(change=live.apply(PutItems(items=request.items)))

    @router.delete("/items/{item}")
    def delete_item(item: Annotated[str, InPath(min_length=1)]) -> Accepted:
        """Remove an item with its edges and interactions."""
        return Accepted(change=live.apply(RemoveItems(ids=(item,))))

    @router.post("/interactions")
    def add_interactions(request: InteractionsRequest) -> Accepted:
        """Take in who used what; all of the batch or nothing."""
        change = AddInteractions(interactions=request.interactions)
        return Accepted(change=live.apply(change))

    @router.post("/compact")
    def compact() -> Accepted:
        """Save the model with all changes in it, and begin an empty journal."""
        live.compact()
        return Accepted(change=live.position)

    return router
