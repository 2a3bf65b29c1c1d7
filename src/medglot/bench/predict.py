"""Puts the questions to a model and keeps what it did, judging nothing.

Shards of questions run one after another in this process, where the model is loaded once, and only if a shard is open. After kill -9 a finished
shard is not asked again.
"""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from medglot.bench.settings import BACKENDS, Ask, PredictSettings
from medglot.core.balance import Balance
from medglot.core.config import PathSource
from medglot.core.errors import RecipeError, StageError
from medglot.core.find import find
from medglot.core.progress import Progress
from medglot.core.records import Prediction, Question
from medglot.core.rows import read_all, write_rows
from medglot.core.shards import Shard, ShardRow, add_balances, finished_row, run_shard
from medglot.core.stage import StageContext, StageResult
from medglot.languages.prompts import option_letters, question_turns
from medglot.models.base import Backend, LetterReply, LetterRequest

_SHARD = {"letters": 512, "generate": 64}
"""Questions a shard: what is asked again after an interruption."""

_DIGITS = 6
"""Decimals of stored log-probabilities, beyond what float32 holds."""


def build(settings: PredictSettings, context: StageContext) -> StageResult:
    """Writes `predictions-letters-NNNNN.jsonl` and `predictions-generate-NNNNN.jsonl`, as `ask` says."""
    questions = read_questions(context)
    backend = functools.cache(lambda: _load(settings, context))
    balance = Balance()
    summary: dict[str, Any] = {}
    for ask in settings.ask:
        function = functools.partial(_predict_shard, ask=ask, max_tokens=settings.max_tokens, backend=backend)
        rows = _map_here(function, _shards(ask, questions), out=context.out, title=f"predict {ask}")
        balance.add(add_balances(rows))
        summary[ask] = _add_numbers(rows)
    return StageResult(summary, balance, notes=_notes(summary))


def _notes(summary: Mapping[str, Any]) -> tuple[str, ...]:
    long = {ask: numbers["finish"].get("context", 0) for ask, numbers in summary.items()}
    return tuple(
        f"{ask}: {count:,} of {summary[ask]['questions']:,} questions are longer than the model's context and got no answer; they count as wrong"
        for ask, count in long.items()
        if count
    )


def read_questions(context: StageContext) -> list[Question]:
    """The questions of all inputs, in order. Raises StageError when an id comes twice."""
    questions = list(read_all(context.all("questions"), "questions*.jsonl", Question))
    twice = [id for id, count in Counter(question.id for question in questions).items() if count > 1]
    if twice:
        raise StageError(f"questions: {len(twice)} ids come twice, such as {', '.join(twice[:3])}; give each questions node its own `name`")
    return questions


def choose_letters(backend: Backend, questions: Sequence[Question]) -> list[Prediction]:
    """Answers by the probabilities of letters, a batch at a time.

    The likeliest letter is the answer; a tie at the top is none. In a paper whose items may have `several` right answers, the reply then goes on
    greedily as a trained model would write it: with ``,`` and another letter while that is likelier, over all letters left, than the reply's end.
    """
    turns = [question_turns(question, style="answer_only") for question in questions]
    letters = [option_letters(question) for question in questions]
    first = backend.letters([LetterRequest(*pair) for pair in zip(turns, letters, strict=True)])
    written = [_likeliest(reply.logprobs, choices) for reply, choices in zip(first, letters, strict=True)]
    going = [number for number, question in enumerate(questions) if question.several and written[number]]
    while going:
        more = {number: [f",{letter}" for letter in letters[number] if letter not in written[number]] for number in going}
        replies = backend.letters([LetterRequest(turns[number], ("", *more[number]), written[number]) for number in going])
        going = []
        for (number, candidates), reply in zip(more.items(), replies, strict=True):
            end, *others = reply.logprobs or (0.0,)
            if others and _log_sum(others) > end:
                written[number] += candidates[others.index(max(others))]
                going.append(number)
    return [_letters_prediction(*item) for item in zip(questions, first, written, strict=True)]


def write_answers(backend: Backend, questions: Sequence[Question], *, max_tokens: int) -> list[Prediction]:
    """Rationales with an answer line, as the model writes them."""
    turns = [question_turns(question, style="reason_first") for question in questions]
    written = backend.generate(turns, max_tokens=max_tokens)
    return [
        Prediction(question.id, one.prompt, one.text, (), one.finish_reason, dict(one.usage))
        for question, one in zip(questions, written, strict=True)
    ]


def _predict_shard(questions: list[Question], out: Path, name: str, *, ask: Ask, max_tokens: int, backend: Callable[[], Backend]) -> ShardRow:
    predictions = choose_letters(backend(), questions) if ask == "letters" else write_answers(backend(), questions, max_tokens=max_tokens)
    row = ShardRow(numbers=_numbers(predictions))
    row.balance.keep(write_rows(out / f"predictions-{name}.jsonl", predictions))
    return row


def _shards(ask: Ask, questions: list[Question]) -> list[Shard]:
    size = _SHARD[ask]
    return [Shard(f"{ask}-{start // size:05d}", questions[start : start + size]) for start in range(0, len(questions), size)]


def _map_here(function: Callable[[Any, Path, str], ShardRow], shards: Sequence[Shard], *, out: Path, title: str) -> list[ShardRow]:
    """`ShardMap` without a pool: the model lives in this process."""
    rows = []
    with Progress(title, sum(len(shard.payload) for shard in shards), unit="questions") as progress:
        for shard in shards:
            rows.append(finished_row(out, shard.name) or run_shard(function, shard, out))
            progress.advance(len(shard.payload))
    return rows


def _load(settings: PredictSettings, context: StageContext) -> Backend:
    model = context.optional("model")
    if model is not None and settings.base is not None:
        raise RecipeError("predict has both an input `model` and `base`; remove one")
    source = PathSource(path=model.path) if model is not None else settings.base
    kind = find(BACKENDS, settings.backend)
    return cast(Backend, kind(source, machine=context.machine, dtype=settings.dtype, options=settings.options))


def _likeliest(logprobs: Sequence[float], letters: Sequence[str]) -> str:
    """The letter of the highest value; nothing when two share it or there is none."""
    best = [letter for letter, value in zip(letters, logprobs, strict=False) if value == max(logprobs)]
    return best[0] if len(best) == 1 else ""


def _log_sum(values: Sequence[float]) -> float:
    top = max(values)
    return top + math.log(sum(math.exp(value - top) for value in values))


def _letters_prediction(question: Question, reply: LetterReply, written: str) -> Prediction:
    """Nothing is sampled, so no token counts as completion."""
    logprobs = tuple(round(value, _DIGITS) for value in reply.logprobs)
    return Prediction(question.id, reply.prompt, written, logprobs, reply.finish_reason, {"prompt": reply.prompt_tokens, "completion": 0})


def _numbers(predictions: Sequence[Prediction]) -> dict[str, Any]:
    return {
        "questions": len(predictions),
        "tokens": {kind: sum(prediction.usage[kind] for prediction in predictions) for kind in ("prompt", "completion")},
        "finish": dict(sorted(Counter(prediction.finish_reason for prediction in predictions).items())),
    }


def _add_numbers(rows: Iterable[ShardRow]) -> dict[str, Any]:
    total: dict[str, Any] = {"questions": 0, "tokens": Counter(), "finish": Counter()}
    for row in rows:
        total["questions"] += row.numbers["questions"]
        for key in ("tokens", "finish"):
            total[key].update(row.numbers[key])
    return {key: dict(sorted(value.items())) if isinstance(value, Counter) else value for key, value in total.items()}
