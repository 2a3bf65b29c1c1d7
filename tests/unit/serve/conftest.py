import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from medglot.core.config import Machine
from medglot.models.backends.echo import Echo
from medglot.models.base import Generation
from medglot.serve.app import make_app
from medglot.serve.engine import Engine
from medglot.serve.guard import Token
from medglot.serve.model import ServedModel

ADDRESS = "http://127.0.0.1"


class Endless:
    """A model that writes until it is stopped, and says when that happened."""

    def __init__(self) -> None:
        self.writing, self.ended = threading.Event(), threading.Event()

    def stream(self, _turns, **_):
        try:
            while True:
                self.writing.set()
                yield "word "
                time.sleep(0.001)
        finally:
            self.ended.set()


class Failing:
    """A model that fails after `pieces` pieces, with what it read in the message."""

    def __init__(self, pieces: int) -> None:
        self._pieces = pieces

    def stream(self, turns, **_):
        for _ in range(self._pieces):
            yield "word "
        raise ValueError(f"cannot read {turns[-1].text}")


class ShortSighted:
    """A model whose context is too short for every prompt."""

    def stream(self, _turns, **_):
        return Generation("", "", "context", {"prompt": 5000, "completion": 0})
        yield


@pytest.fixture
def echo() -> Echo:
    """A model that repeats the last message."""
    return Echo(None, machine=Machine.model_validate({}))


@pytest.fixture
def endless() -> Endless:
    return Endless()


@pytest.fixture
def short_sighted() -> ShortSighted:
    return ShortSighted()


@pytest.fixture
def failing():
    return Failing


@pytest.fixture
def app_of():
    """A function that puts an application before a model."""

    def make(model, *, waiting: int = 4, token: Token | None = None):
        hosts = frozenset({"127.0.0.1", "localhost"})
        served = ServedModel("demo", Path("demo"), 1_700_000_000)
        return make_app(Engine(model, waiting=waiting), model=served, max_tokens=50, token=token, hosts=hosts)

    return make


@pytest.fixture
def client(app_of, echo) -> Iterator[TestClient]:
    """A client of a server whose model repeats the last message."""
    with TestClient(app_of(echo), base_url=ADDRESS) as client:
        yield client
