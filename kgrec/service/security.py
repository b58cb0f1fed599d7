"""Who may read and who may write."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Iterable
from http import HTTPStatus
from typing import Annotated

from fastapi import Depends, HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from kgrec.service.settings import Tokens

bearer = HTTPBearer(auto_error=False, description="a token with the scope read or write")
Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]


def make_guard(tokens: Tokens, *, writes: bool) -> Callable[[Credentials], Awaitable[None]]:
    """Make a dependency that lets only those through that have a token of a scope.

    Parameters
    ----------
    tokens
        Who has which; where there are none at all, everybody on this machine passes.
    writes
        Whether the scope write is needed; else either does.

    Returns
    -------
    callable
        Raises 401 without a known token and 403 with one that does not suffice.
    """

    # a coroutine, since anything else takes the way over a thread, twice the price of a list
    async def guard(credentials: Credentials) -> None:
        if not tokens:
            return
        given = "" if credentials is None else credentials.credentials
        may_write = _is_among(given, tokens.write)
        may_read = _is_among(given, tokens.read) or may_write
        if not may_read:
            raise HTTPException(
                HTTPStatus.UNAUTHORIZED,
                "give a known token as 'Authorization: Bearer …'",
                {"WWW-Authenticate": "Bearer"},
            )
        if writes and not may_write:
            raise HTTPException(HTTPStatus.FORBIDDEN, "this token may read, and not write")

    return guard


def _is_among(given: str, known: Iterable[str]) -> bool:
    """Compare with all of them in a time that does not tell how much of one was right."""
    encoded = given.encode()
    matches = [hmac.compare_digest(encoded, token.encode()) for token in known]
    return any(matches)
