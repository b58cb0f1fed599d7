"""Errors as problem+json (RFC 9457), which name the field at fault."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from kgrec.errors import ArtifactError, ConfigError, KgrecError, SourceError, UnknownIdError

MEDIA_TYPE = "application/problem+json"


class Fault(BaseModel):
    """One thing that is wrong with a request."""

    field: str = Field(description="where, as a path: body.items.0.id")
    message: str = Field(description="what")


class Problem(BaseModel):
    """What went wrong, and what to do."""

    type: str = Field(default="about:blank", description="kind of the problem")
    title: str = Field(description="name of the status")
    status: int = Field(description="status of the response")
    detail: str = Field(description="what is at fault and what to do")
    request_id: str | None = Field(default=None, description="id to find the request by in logs")
    errors: tuple[Fault, ...] = Field(default=(), description="fields at fault")


STATUS: tuple[tuple[type[KgrecError], int], ...] = (
    (UnknownIdError, HTTPStatus.NOT_FOUND),
    (SourceError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (ConfigError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (ArtifactError, HTTPStatus.INSUFFICIENT_STORAGE),
)
RESPONSES: dict[int | str, dict[str, Any]] = {
    int(status): {"model": Problem, "content": {MEDIA_TYPE: {}}, "description": status.phrase}
    for status in (
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.UNPROCESSABLE_ENTITY,
        HTTPStatus.TOO_MANY_REQUESTS,
    )
}


def problem(
    status: int,
    detail: str,
    request_id: str | None = None,
    errors: Sequence[Fault] = (),
    headers: dict[str, str] | None = None,
) -> JSONResponse:
    """Make the response for a problem.

    Parameters
    ----------
    status
        Status of the response.
    detail
        What is at fault and what to do.
    request_id
        Id of the request.
    errors
        Fields at fault.
    headers
        More headers.

    Returns
    -------
    JSONResponse
        Of the type problem+json.
    """
    content = Problem(
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        request_id=request_id,
        errors=tuple(errors),
    )
    return JSONResponse(content.model_dump(mode="json"), status, headers, MEDIA_TYPE)


def add_problem_handlers(app: FastAPI) -> None:
    """Answer every error with a problem.

    Parameters
    ----------
    app
        The application.
    """

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        faults = [
            Fault(field=".".join(str(part) for part in one["loc"]), message=one["msg"])
            for one in error.errors()
        ]
        named = "; ".join(f"{fault.field}: {fault.message}" for fault in faults[:5])
        return problem(HTTPStatus.UNPROCESSABLE_ENTITY, named, _id(request), faults)

    @app.exception_handler(KgrecError)
    async def on_purpose(request: Request, error: KgrecError) -> JSONResponse:
        status = next(
            (status for kind, status in STATUS if isinstance(error, kind)),
            int(HTTPStatus.INTERNAL_SERVER_ERROR),
        )
        return problem(status, " ".join(str(error).split()), _id(request))

    @app.exception_handler(HTTPException)
    async def by_http(request: Request, error: HTTPException) -> JSONResponse:
        headers = dict(error.headers) if error.headers else None
        return problem(error.status_code, str(error.detail), _id(request), headers=headers)


def _id(request: Request) -> str | None:
    found: str | None = request.scope.get("state", {}).get("request_id")
    return found
