"""Who may read and who may write."""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from http import HTTPStatus

from fastapi import HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.requests import HTTPConnection

from kgrec.service.settings import Tokens


class Guard(HTTPBearer):
    """A dependency that lets only those through that have a token of a scope.

    It raises 401 without a known token and 403 with one that does not suffice.

    Parameters
    ----------
    tokens
        Who has which; where there are none at all, everybody on this machine passes.
    writes
        Whether the scope write is needed; else either does.
    """

    def __init__(self, tokens: Tokens, *, writes: bool) -> None:
        super().__init__(
            scheme_name="HTTPBearer",
            auto_error=False,
            description="a token with the scope read or write",
        )
        self._tokens, self._writes = tokens, writes

    # a coroutine, since anything else takes the way over a thread, twice the price of a list
    async def __call__(self, request: HTTPConnection) -> HTTPAuthorizationCredentials | None:
        """Let the request pass or not."""
        if not self._tokens:
            return None
        credentials = await super().__call__(request)
        given = "" if credentials is None else credentials.credentials
        may_write = _is_among(given, self._tokens.write)
        may_read = _is_among(given, self._tokens.read) or may_write
        if not may_read:
            raise HTTPException(
                HTTPStatus.UNAUTHORIZED,
                "give a known token as 'Authorization: Bearer …'",
                {"WWW-Authenticate": "Bearer"},
            )
        if self._writes and not may_write:
            raise HTTPException(HTTPStatus.FORBIDDEN, "this token may read, and not write")
        return credentials


def _is_among(given: str, known: Iterable[str]) -> bool:
    """Compare with all of them in a time that does not tell how much of one was right."""
    encoded = given.encode()
    matches = [hmac.compare_digest(encoded, token.encode()) for token in known]
    return any(matches)
