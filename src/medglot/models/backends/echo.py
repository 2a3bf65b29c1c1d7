"""A model without weights: it replies from a table, or repeats what it is told. For tests, dry runs and the plumbing of servers.

The table is a JSON-lines file of ``{"prompt": <the whole last user message>, "reply": ...}``; a row without ``prompt`` answers everything else, and
what no row answers gets an empty reply. So a table of right answers is a perfect model, an empty file a silent one, and the row ``{"reply": "A"}`` a
model that always takes the first option. Without a table it repeats the last message. A token is a word with the white space before it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

from medglot.core.config import HubSource, Machine, PathSource
from medglot.core.errors import RecipeError
from medglot.core.files import file_digest
from medglot.core.records import Turn
from medglot.models.base import Dtype, FinishReason, Generation, LetterReply, LetterRequest, Reply

_TOKEN = re.compile(r"\s*\S+|\s+\Z")
_SURE = 0.9


class Echo:
    """See the module. All that a reply does not begin with is equally improbable."""

    def __init__(
        self,
        source: HubSource | PathSource | None,
        *,
        machine: Machine,  # noqa: ARG002
        dtype: Dtype = "float32",  # noqa: ARG002
        options: Mapping[str, Any] | None = None,
    ) -> None:
        if isinstance(source, HubSource) or options:
            raise RecipeError('the echo backend takes no options, and as its model nothing or a table: base = { path = "replies.jsonl" }')
        self._table = _read_table(source.path) if source else None
        self._digest = file_digest(source.path) if source else "none"

    @property
    def identity(self) -> str:
        """The table's digest."""
        return f"echo:{self._digest}"

    def letters(self, requests: Sequence[LetterRequest]) -> list[LetterReply]:
        """The candidate that the reply goes on with has probability .9; the others share the rest, or all are equal."""
        return [self._letters(request) for request in requests]

    def generate(self, requests: Sequence[Sequence[Turn]], *, max_tokens: int, stop: Sequence[str] = ()) -> list[Generation]:
        """The replies, cut after `max_tokens` words or before a stop text."""
        return [_drain(self.stream(turns, max_tokens=max_tokens, stop=stop)) for turns in requests]

    def stream(
        self,
        turns: Sequence[Turn],
        *,
        max_tokens: int,
        temperature: float = 0.0,  # noqa: ARG002
        seed: int = 0,  # noqa: ARG002
        stop: Sequence[str] = (),
    ) -> Generator[str, None, Generation]:
        """The reply word by word; temperature and seed change nothing."""
        prompt, tokens, reply = _prompt(turns), _TOKEN.findall(self._reply(turns)), Reply(stop)
        used = 0
        while used < min(len(tokens), max_tokens) and not reply.stopped:
            if piece := reply.add(tokens[used]):
                yield piece
            used += 1
        if piece := reply.rest():
            yield piece
        reason: FinishReason = "length" if used < len(tokens) and not reply.stopped else "stop"
        return Generation(prompt, reply.text, reason, {"prompt": len(_TOKEN.findall(prompt)), "completion": used})

    def _letters(self, request: LetterRequest) -> LetterReply:
        reply = self._reply(request.turns).strip()
        meant = [_goes_on(reply, request.written, candidate) for candidate in request.candidates]
        count, right = len(meant), sum(meant)
        other = (1 - _SURE) / max(count - 1, 1) if right == 1 else 1 / (count + 1)
        weights = [_SURE if yes and right == 1 else other for yes in meant]
        prompt = _prompt(request.turns)
        return LetterReply(tuple(math.log(weight) for weight in weights), prompt, len(_TOKEN.findall(prompt)))

    def _reply(self, turns: Sequence[Turn]) -> str:
        last = next((turn.text for turn in reversed(turns) if turn.role == "user"), "")
        if self._table is None:
            return last
        return self._table.get(last, self._table.get(None, ""))


def _goes_on(reply: str, written: str, candidate: str) -> bool:
    return reply == written if candidate == "" else reply.startswith(written + candidate)


def _prompt(turns: Sequence[Turn]) -> str:
    return "\n\n".join(turn.text for turn in turns)


def _drain(pieces: Generator[str, None, Generation]) -> Generation:
    while True:
        try:
            next(pieces)
        except StopIteration as end:
            result: Generation = end.value
            return result


def _read_table(path: Path) -> dict[str | None, str]:
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read as a table of replies: {error.strerror}") from error
    table: dict[str | None, str] = {}
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
            table[row.get("prompt")] = row["reply"]
        except (ValueError, KeyError, AttributeError) as error:
            raise RecipeError(f'{path}, row {number}: must be {{"prompt": ..., "reply": ...}} ({error})') from error
    return table
