"""`medglot serve`: checks everything that can be wrong before the model is loaded, then serves until Ctrl-C."""

from __future__ import annotations

import ipaddress
import logging
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import uvicorn

from medglot.core.config import Machine, PathSource
from medglot.core.errors import RecipeError
from medglot.core.find import find
from medglot.serve.app import make_app
from medglot.serve.engine import Engine
from medglot.serve.guard import Token
from medglot.serve.model import find_model

log = logging.getLogger("medglot.serve")

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
_GRACE_SECONDS = 2
_LAST_PORT = 65535


def serve(model: str, *, host: str = "127.0.0.1", port: int = 8000, token_file: Path | None = None, max_tokens: int = 1024, waiting: int = 8) -> None:
    """Serves the model in a folder until Ctrl-C.

    `max_tokens` bounds every reply, `waiting` the replies that wait while one is written. Port 0 takes a free one. Raises RecipeError when the folder
    holds no model, the port is taken, or `host` can be reached from other machines and there is no `token_file`.
    """
    if not _is_loopback(host) and token_file is None:
        raise RecipeError(f"--host {host} can be reached from other machines: name a file that holds a secret with --token-file, or leave out --host")
    if max_tokens < 1:
        raise RecipeError(f"--max-tokens {max_tokens}: must be at least 1")
    if waiting < 0:
        raise RecipeError(f"--waiting {waiting}: must be at least 0")
    token = Token.read(token_file) if token_file else None
    served = find_model(Path(model))
    with _listen(host, port) as listener, _logging_to_stderr():
        log.info("loading %s", served.name)
        backend = find("medglot.models.backends", "hf")(PathSource(path=served.folder.resolve()), machine=Machine.model_validate({}))
        hosts = _LOOPBACK | {f"[{host}]" if ":" in host else host.lower()}
        app = make_app(Engine(backend, waiting=waiting), model=served, max_tokens=max_tokens, token=token, hosts=hosts)
        address = f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"
        log.info("serving %s at %s%s; Ctrl-C ends it", served.name, address, " with a token" if token else "")
        config = uvicorn.Config(app, log_config=None, access_log=False, server_header=False, timeout_graceful_shutdown=_GRACE_SECONDS)
        with suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listener])
        log.info("ended")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


@contextmanager
def _listen(host: str, port: int) -> Iterator[socket.socket]:
    """A listening socket, taken before the model is loaded. Raises RecipeError that says what is wrong with address or port."""
    if not 0 <= port <= _LAST_PORT:
        raise RecipeError(f"--port {port}: must lie between 0 (any free one) and {_LAST_PORT}")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise RecipeError(f"--host {host} --port {port}: not an address of this machine ({error})") from error
    with listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
            listener.listen(128)
        except OSError as error:
            raise RecipeError(f"cannot listen on {host}, port {port}: {error}; name another port with --port") from error
        yield listener


@contextmanager
def _logging_to_stderr() -> Iterator[None]:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(handler)
