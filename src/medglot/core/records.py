"""The records that cross floors: frozen dataclasses, nothing else does.

Every record has a stable id. Fields hold plain values only, so that a record is the same as a JSON object, a Parquet row, and an argument of a
worker process.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Document:
    """A text with its origin. `id` is ``source:native-id`` and never depends on the order of reading."""

    id: str
    text: str
    language: str
    source: str
    license: str
    meta: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a conversation; `role` is ``system``, ``user`` or ``assistant``."""

    role: str
    text: str


@dataclass(frozen=True, slots=True)
class Conversation:
    """A training sample: turns that end with the assistant's, whose text alone is learned."""

    id: str
    turns: tuple[Turn, ...]
    language: str
    source: str
    license: str


@dataclass(frozen=True, slots=True)
class Question:
    """One benchmark item.

    `options` are the option texts in order; `answer` holds the zero-based positions of all right options (several may be right; empty means an
    open question, whose reference is `rationale`). `context` is a passage that the stem refers to. `verified` tells whether people checked the
    rationale and found it right. `several` is a property of the paper, equal for all its items and known to its candidates: an item may have several
    right answers.
    """

    id: str
    benchmark: str
    language: str
    stem: str
    options: tuple[str, ...]
    answer: tuple[int, ...]
    rationale: str = ""
    context: str = ""
    verified: bool = False
    several: bool = False


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model did with one question: never a judgement of it.

    `option_logprobs` are natural-log probabilities, one for each option in the question's order; empty when the model was asked to write.
    `usage` counts tokens: ``prompt`` and ``completion``.
    """

    question_id: str
    prompt: str
    text: str
    option_logprobs: tuple[float, ...]
    finish_reason: str
    usage: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Score:
    """The judgement of one prediction.

    `value` is 1.0 when the set of answers is exactly right, else 0.0; `answered` is the parsed set of option positions, or None when no answer
    could be parsed (counted apart, never guessed); `rule` names what parsed it. `metrics` holds text metrics of the rationale where they apply.
    """

    question_id: str
    value: float
    answered: tuple[int, ...] | None
    rule: str
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row of a file (counted from 1) that is no record: the short `kind` it is counted under, what is wrong and what to do, and its beginning."""

    row: int
    kind: str
    message: str
    sample: str = ""
