"""What a backend is: something that runs a model, in this process or elsewhere, and answers in the order it was asked.

A backend knows nothing of questions, gold answers or scores. It is asked two things: how probable given continuations of a reply are (`letters`), and
what the model writes (`generate`, `stream`). A backend is one file of `medglot.models.backends`; this module imports no torch, so that settings may
name backends.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from medglot.core.config import HubSource, Machine, PathSource
from medglot.core.records import Turn

Dtype = Literal["float32", "bfloat16", "float16"]

FinishReason = Literal["stop", "length", "context"]
"""``stop``: the model ended its turn or wrote a stop text; ``length``: it ran out of tokens; ``context``: the prompt alone is too long for the
model, which was therefore not asked at all (a prompt is never cut)."""


@dataclass(frozen=True, slots=True)
class LetterRequest:
    """Turns, what the assistant's reply already says, and the candidates for what it says next; the candidate ``""`` is the reply's end."""

    turns: tuple[Turn, ...]
    candidates: tuple[str, ...]
    written: str = ""


@dataclass(frozen=True, slots=True)
class LetterReply:
    """For each candidate the natural log of the probability that the reply begins with ``written + candidate``.

    Empty when `finish_reason` is ``context``. `prompt` is the text the model was given, `prompt_tokens` its length.
    """

    logprobs: tuple[float, ...]
    prompt: str
    prompt_tokens: int
    finish_reason: FinishReason = "stop"


@dataclass(frozen=True, slots=True)
class Generation:
    """What a model wrote. `usage` counts tokens: ``prompt`` and ``completion`` (the end token is one of them)."""

    prompt: str
    text: str
    finish_reason: FinishReason
    usage: Mapping[str, int] = field(default_factory=dict)


class Backend(Protocol):
    """Built once, with the model loaded; replies come in the order of the requests."""

    def __init__(
        self, source: HubSource | PathSource | None, *, machine: Machine, dtype: Dtype = "float32", options: Mapping[str, Any] | None = None
    ) -> None:
        """`source` says which model; `options` holds what only this backend knows. Raises RecipeError on what it cannot use."""

    @property
    def identity(self) -> str:
        """A digest of everything that replies depend on (weights, tokenizer, precision): the key of caches."""
        ...

    def letters(self, requests: Sequence[LetterRequest]) -> list[LetterReply]:
        """How probable each candidate is."""
        ...

    def generate(self, requests: Sequence[Sequence[Turn]], *, max_tokens: int, stop: Sequence[str] = ()) -> list[Generation]:
        """What the model writes after the turns, always choosing the likeliest token. A text of `stop` ends the reply and is no part of it."""
        ...

    def stream(
        self, turns: Sequence[Turn], *, max_tokens: int, temperature: float = 0.0, seed: int = 0, stop: Sequence[str] = ()
    ) -> Generator[str, None, Generation]:
        """One reply in pieces, as it is written; the generator returns the whole. Closing the generator ends the writing.

        At temperature 0 the pieces put together are the text that `generate` gives; above it, equal seeds give equal texts.
        """
        ...


class Reply:
    """A reply being written: `text` so far, and whether a stop text has ended it."""

    def __init__(self, stop: Sequence[str] = ()) -> None:
        self.text = ""
        self.stopped = False
        self._stop = [item for item in stop if item]
        self._shown = 0

    def add(self, piece: str) -> str:
        """Goes on with `piece`; returns what may be shown now, which leaves out what may yet turn out to be the beginning of a stop text."""
        self.text += piece
        end = min((place for item in self._stop if (place := self.text.find(item)) >= 0), default=None)
        if end is not None:
            self.text, self.stopped = self.text[:end], True
            return self.rest()
        held = max((size for item in self._stop for size in range(1, len(item)) if self.text.endswith(item[:size])), default=0)
        return self._show(len(self.text) - held)

    def rest(self) -> str:
        """What has not been shown yet."""
        return self._show(len(self.text))

    def _show(self, end: int) -> str:
        piece = self.text[self._shown : end]
        self._shown = max(self._shown, end)
        return piece
