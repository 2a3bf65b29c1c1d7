"""What stands before the application: who may ask, how much they may send, and what is written about it.

The log holds method, route, status and time. It never holds a body, a query, a header or the text of an exception, so no word of a conversation and
no token can get into it.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from medglot.core.errors import RecipeError
from medglot.serve.engine import where
from medglot.serve.wire import ApiError

log = logging.getLogger("medglot.serve")

BODY_LIMIT = 1 << 20
_DRAIN_LIMIT = 64 * BODY_LIMIT
_SHORTEST_TOKEN = 16

_HEADERS: Mapping[str, str] = {
    "content-security-policy": "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}


class Token:
    """A secret of which only the SHA-256 is kept."""

    def __init__(self, secret: str) -> None:
        self._digest = hashlib.sha256(secret.encode()).digest()

    @classmethod
    def read(cls, file: Path) -> Token:
        """The token in a file, without the white space around it. Raises RecipeError."""
        try:
            secret = file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise RecipeError(f"{file}: cannot be read as a token file: {error}") from error
        if len(secret) < _SHORTEST_TOKEN or not secret.isascii() or any(character.isspace() for character in secret):
            raise RecipeError(f"{file}: a token is one word of at least {_SHORTEST_TOKEN} ASCII characters; make one with: openssl rand -hex 32")
        return cls(secret)

    def admits(self, authorization: bytes) -> bool:
        """Whether an ``Authorization`` header carries the token; takes as long for a nearly right one as for a wrong one."""
        scheme, _, secret = authorization.partition(b" ")
        return hmac.compare_digest(hashlib.sha256(secret.strip()).digest(), self._digest) and scheme.lower() == b"bearer"


class Guard:
    """ASGI middleware. With a `token`, everything under /v1/ needs it.

    Without one, only `hosts` are answered: a page of another site that lets its name point to this machine (DNS rebinding) is not.
    """

    def __init__(self, app: ASGIApp, *, token: Token | None, hosts: frozenset[str]) -> None:
        self._app, self._token, self._hosts = app, token, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.monotonic(), 0

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), *((name.encode(), value.encode()) for name, value in _HEADERS.items())]
            await send(message)

        try:
            await self._answer(scope, receive, watched)
        except Exception as error:
            log.error("failed with %s", where(error))  # noqa: TRY400 - an exception's text may quote a conversation
            if not status:
                await respond(ApiError(500, "the server failed; its log says where", code="internal_error"))(scope, receive, watched)
        finally:
            log.info("%s %s %s %.3f s", scope["method"], _route(scope), status or "gone", time.monotonic() - started)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            self._admit(scope)
            body = await _read(receive) if scope["method"] in ("POST", "PUT", "PATCH") else b""
        except ApiError as error:
            await respond(error)(scope, receive, send)
            return
        if body is not None:
            await self._app(scope, _replay(body, receive), send)

    def _admit(self, scope: Scope) -> None:
        headers = dict(scope["headers"])
        if self._token is None:
            host = headers.get(b"host", b"").decode("latin-1")
            if _host_name(host) not in self._hosts:
                raise ApiError(403, "this server answers only under the name of this machine; set a token to serve others", code="wrong_host")
        elif scope["path"].startswith("/v1/") and not self._token.admits(headers.get(b"authorization", b"")):
            raise ApiError(
                401, "missing or wrong token; send it as Authorization: Bearer TOKEN", code="invalid_api_key", headers={"www-authenticate": "Bearer"}
            )


def respond(error: ApiError) -> JSONResponse:
    """An error as a response."""
    return JSONResponse(error.body, error.status, error.headers)


async def _read(receive: Receive) -> bytes | None:
    """The whole body, or None when the client has gone. Raises ApiError when it is too large.

    What is too much is read and dropped, within reason: a client that is still sending would not see an answer.
    """
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        size += len(message.get("body", b""))
        if size <= BODY_LIMIT:
            chunks.append(message.get("body", b""))
        else:
            chunks.clear()
        if size > _DRAIN_LIMIT or not message.get("more_body"):
            break
    if size > BODY_LIMIT:
        raise ApiError(413, f"the body is larger than {BODY_LIMIT:,} bytes", code="request_too_large")
    return b"".join(chunks)


def _replay(body: bytes, receive: Receive) -> Receive:
    """Gives the body that was read, then whatever comes, which is the client's leaving."""
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return pending.pop() if pending else await receive()

    return again


def _host_name(host: str) -> str:
    """The host of a ``Host`` header without its port."""
    return host.partition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0].lower()


def _route(scope: Mapping[str, Any]) -> str:
    """The pattern of the matched route: what a client made up is not repeated."""
    return str(getattr(scope.get("route"), "path", "-"))
