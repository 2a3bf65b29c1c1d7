"""The application: /v1/models, /v1/chat/completions, /v1/completions, /health, and the chat page."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, StreamingResponse
from starlette.types import Receive, Scope, Send

from medglot.core.errors import MedglotError
from medglot.models.base import Generation
from medglot.serve.engine import BrokenError, BusyError, Engine, Job, Writing
from medglot.serve.guard import Guard, Token, respond
from medglot.serve.model import ServedModel
from medglot.serve.page import page_files
from medglot.serve.wire import ApiError, ChatRequest, CompletionRequest, Envelope, event

_CLIENT_GONE = 499
_RETRY_SECONDS = "5"


def make_app(engine: Engine, *, model: ServedModel, max_tokens: int, token: Token | None = None, hosts: frozenset[str] = frozenset()) -> FastAPI:
    """The ASGI application. `max_tokens` bounds every reply; see `Guard` for `token` and `hosts`."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        engine.close()

    app = FastAPI(title="medglot", openapi_url=None, lifespan=lifespan)
    app.add_middleware(Guard, token=token, hosts=hosts)
    app.add_exception_handler(ApiError, _api_error)
    app.add_exception_handler(RequestValidationError, _wrong_request)
    app.add_exception_handler(HTTPException, _http_error)
    writer = _Writer(engine, model.name, max_tokens)
    entry = {"id": model.name, "object": "model", "created": model.created, "owned_by": "medglot"}

    @app.get("/health")
    async def health() -> dict[str, Any]:
        return {"status": "ok", "model": model.name, "open": engine.open}

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        return {"object": "list", "data": [entry]}

    @app.get("/v1/models/{name:path}")
    async def one_model(name: str) -> dict[str, Any]:
        writer.check_model(name)
        return entry

    @app.post("/v1/chat/completions", response_model=None)
    async def chat(asked: ChatRequest, request: Request) -> Response:
        return await writer.answer(asked, request, chat=True)

    @app.post("/v1/completions", response_model=None)
    async def complete(asked: CompletionRequest, request: Request) -> Response:
        return await writer.answer(asked, request, chat=False)

    for path, file in page_files().items():
        app.add_api_route(path, _sender(file.body, file.media_type), response_model=None)
    return app


class _Writer:
    """Turns requests into jobs of the engine, and what it writes into responses."""

    def __init__(self, engine: Engine, model: str, max_tokens: int) -> None:
        self._engine, self._model, self._max_tokens = engine, model, max_tokens

    def check_model(self, name: str) -> None:
        """Raises ApiError unless `name` is the model that is served."""
        if name != self._model:
            raise ApiError(404, f"no such model here; this server has '{self._model}'", code="model_not_found", param="model")

    async def answer(self, asked: ChatRequest | CompletionRequest, request: Request, *, chat: bool) -> Response:
        """The response to a request, in one piece or as a stream."""
        self.check_model(asked.model)
        asked.check()
        writing = self._start(asked)
        envelope = Envelope(("chatcmpl-" if chat else "cmpl-") + secrets.token_hex(12), int(time.time()), self._model, chat)
        try:
            async with _stopped_when_gone(request, writing):
                first = await anext(writing, "")
                _check_context(writing.result)
                if not asked.stream:
                    async for _ in writing:
                        pass
        except BrokenError as error:
            raise ApiError(500, str(error), code="model_failed") from error
        except MedglotError as error:
            raise ApiError(400, str(error), code="invalid_prompt", param="messages" if chat else "prompt") from error
        except asyncio.CancelledError:
            writing.stop()
            raise
        if asked.stream and not writing.stopped:
            return _EventStream(_events(writing, first, envelope, with_usage=asked.wants_usage), writing)
        return JSONResponse(envelope.whole(writing.result)) if writing.result else Response(status_code=_CLIENT_GONE)

    def _start(self, asked: ChatRequest | CompletionRequest) -> Writing:
        seed = secrets.randbits(63) if asked.seed is None else asked.seed
        job = Job(asked.turns(), asked.tokens(self._max_tokens), asked.temperature or 0.0, seed, asked.stops)
        try:
            return self._engine.start(job)
        except BusyError as error:
            raise ApiError(429, str(error), code="rate_limit_exceeded", headers={"retry-after": _RETRY_SECONDS}) from error


class _EventStream(StreamingResponse):
    """A stream of events that ends the writing when its client goes."""

    def __init__(self, events: AsyncIterator[str], writing: Writing) -> None:
        super().__init__(events, media_type="text/event-stream", headers={"cache-control": "no-store"})
        self._writing = writing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._writing.stop()


async def _events(writing: Writing, first: str, envelope: Envelope, *, with_usage: bool) -> AsyncIterator[str]:
    yield envelope.opening() + (envelope.piece(first) if first else "")
    try:
        async for piece in writing:
            yield envelope.piece(piece)
    except MedglotError as error:
        yield event(ApiError(500, str(error), code="model_failed").body)
        return
    if writing.result:
        yield envelope.closing(writing.result, with_usage=with_usage)


def _check_context(result: Generation | None) -> None:
    if result and result.finish_reason == "context":
        count = result.usage.get("prompt", 0)
        raise ApiError(400, f"the prompt has {count:,} tokens, more than this model can read; shorten it", code="context_length_exceeded")


@asynccontextmanager
async def _stopped_when_gone(request: Request, writing: Writing) -> AsyncIterator[None]:
    """Stops the writing when the client goes while the block runs."""

    async def watch() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        writing.stop()

    watcher = asyncio.create_task(watch())
    try:
        yield
    finally:
        watcher.cancel()


def _sender(body: bytes, media_type: str) -> Any:
    async def send() -> Response:
        return Response(body, media_type=media_type, headers={"cache-control": "no-cache"})

    return send


async def _api_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return respond(error)


async def _wrong_request(request: Request, error: Exception) -> Response:
    """A body that is not what it must be: says where and why, never what was found there."""
    assert isinstance(error, RequestValidationError)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        return respond(ApiError(415, "send the request with Content-Type: application/json", code="unsupported_media_type"))
    fault = error.errors()[0]
    if fault["type"] == "json_invalid":
        return respond(ApiError(400, "the body is not valid JSON", code="invalid_json"))
    param = ".".join(str(part) for part in fault["loc"][1:])
    return respond(ApiError(400, f"{param or 'body'}: {fault['msg']}", code="invalid_value", param=param or None))


async def _http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    what = {400: "the body is not valid UTF-8 JSON", 404: "no such page", 405: "this method is not allowed here"}.get(error.status_code, error.detail)
    return respond(ApiError(error.status_code, what, code="not_found" if error.status_code == 404 else "invalid_request", headers=error.headers))
