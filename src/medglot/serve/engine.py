"""One model, one thread, one reply at a time.

The model lives in a thread of its own, whose queue is the waiting line. It writes into memory at its own pace, so that a client who reads slowly
keeps nobody waiting, and it looks at every piece whether its client is still there.
"""

from __future__ import annotations

import asyncio
import logging
import time
import traceback
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from medglot.core.errors import MedglotError
from medglot.core.records import Turn
from medglot.models.base import Generation

log = logging.getLogger("medglot.serve")


class Writer(Protocol):
    """The part of a backend that serving needs; see `medglot.models.base.Backend`."""

    def stream(
        self, turns: Sequence[Turn], *, max_tokens: int, temperature: float = 0.0, seed: int = 0, stop: Sequence[str] = ()
    ) -> Generator[str, None, Generation]:
        """One reply in pieces; the generator returns the whole."""
        ...


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be written; the fields are those of `Writer.stream`."""

    turns: tuple[Turn, ...]
    max_tokens: int
    temperature: float
    seed: int
    stop: tuple[str, ...]


def where(error: BaseException) -> str:
    """The type of an exception and the places it came through, without its text."""
    return f"{type(error).__name__} in\n{''.join(traceback.format_tb(error.__traceback__))}"


class BusyError(MedglotError):
    """The waiting line is full."""


class BrokenError(MedglotError):
    """The model failed while it wrote. What happened is in the log and not in the message."""


class Writing:
    """A reply on its way: an asynchronous iterator of its pieces. `result` is there when the iteration has ended, unless it was stopped."""

    def __init__(self) -> None:
        self.result: Generation | None = None
        self.stopped = False
        self._loop = asyncio.get_running_loop()
        self._events: asyncio.Queue[str | Generation | MedglotError | None] = asyncio.Queue()

    def put(self, event: str | Generation | MedglotError) -> None:
        """Takes a piece, the end or an error from the model's thread."""
        self._loop.call_soon_threadsafe(self._events.put_nowait, event)

    def stop(self) -> None:
        """Ends the writing at its next piece, and the iteration now."""
        self.stopped = True
        self._events.put_nowait(None)

    def __aiter__(self) -> Writing:
        return self

    async def __anext__(self) -> str:
        event = None if self.stopped or self.result else await self._events.get()
        if isinstance(event, str):
            return event
        if isinstance(event, MedglotError):
            raise event
        self.result = event or self.result
        raise StopAsyncIteration


class Engine:
    """Writes replies in the order of asking; `waiting` is the number of replies that may wait while one is written."""

    def __init__(self, writer: Writer, *, waiting: int) -> None:
        self._writer, self._limit = writer, waiting + 1
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model")
        self._open: set[Writing] = set()

    @property
    def open(self) -> int:
        """Replies being written or waiting."""
        return len(self._open)

    def start(self, job: Job) -> Writing:
        """Puts a job in the line. Raises BusyError when the line is full. Call it in the event loop."""
        if self.open >= self._limit:
            raise BusyError(f"{self.open} replies are being written or waiting, which is as many as this server takes; try again later")
        writing = Writing()
        self._open.add(writing)
        self._thread.submit(self._write, job, writing)
        return writing

    def close(self) -> None:
        """Stops everything and waits for the model's thread."""
        for writing in list(self._open):
            writing.stop()
        self._thread.shutdown(wait=True)

    def _write(self, job: Job, writing: Writing) -> None:
        outcome = self._outcome(job, writing)
        self._open.discard(writing)  # first, so that whoever has the reply finds the place free
        if outcome is not None:
            writing.put(outcome)

    def _outcome(self, job: Job, writing: Writing) -> Generation | MedglotError | None:
        """Writes, and says how it ended; None when it was stopped."""
        started = time.monotonic()
        try:
            result = self._pass_on(job, writing)
        except MedglotError as error:
            return error
        except Exception as error:  # whatever a model raises, the server lives on
            log.error("the model failed with %s", where(error))  # noqa: TRY400 - an exception's text may quote a conversation
            return BrokenError("the model failed while it wrote; the server's log says where")
        seconds = time.monotonic() - started
        if result is None:
            log.info("stopped after %.2f s", seconds)
            return None
        usage = (result.usage.get("prompt", 0), result.usage.get("completion", 0))
        log.info("read %d tokens and wrote %d in %.2f s (%s)", *usage, seconds, result.finish_reason)
        return result

    def _pass_on(self, job: Job, writing: Writing) -> Generation | None:
        """Hands pieces over until the end; None when the writing was stopped."""
        if writing.stopped:
            return None
        pieces = self._writer.stream(job.turns, max_tokens=job.max_tokens, temperature=job.temperature, seed=job.seed, stop=job.stop)
        try:
            while not writing.stopped:
                writing.put(next(pieces))
        except StopIteration as end:
            result: Generation = end.value
            return result
        finally:
            pieces.close()
        return None
