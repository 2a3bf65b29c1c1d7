"""Judges predictions and puts the judgements into tables with intervals; it needs no model, so scoring again costs nothing.

An item is right when the set of answers is exactly right. A reply that cannot be parsed is wrong, but counted apart, so that a model which does not
know is told from one which does not answer in form.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

from medglot.bench import rationales
from medglot.bench.extract import extract, rationale
from medglot.bench.predict import read_questions
from medglot.bench.settings import Ask, ScoreSettings
from medglot.bench.statistics import mcnemar, paired_bootstrap
from medglot.core.artifact import Artifact
from medglot.core.balance import Balance
from medglot.core.errors import StageError
from medglot.core.files import json_digest
from medglot.core.intervals import Interval, macro, wilson
from medglot.core.progress import Progress
from medglot.core.records import Prediction, Question, Score
from medglot.core.rows import read_rows, write_rows
from medglot.core.stage import StageContext, StageResult
from medglot.languages.prompts import option_letters

ASKS: tuple[Ask, ...] = get_args(Ask)

_ACCURACY = "exact-set|version:1|unparsed:wrong|interval:wilson|macro:mean-of-languages"

_Questions = Mapping[str, Question]


def build(settings: ScoreSettings, context: StageContext) -> StageResult:
    """Writes `scores-letters.jsonl` and `scores-generate.jsonl`, whichever was asked; the tables are the summary."""
    predictions, baseline = context.one("predictions"), context.optional("baseline")
    questions = {question.id: question for question in read_questions(context)}
    benchmarks = sorted({question.benchmark for question in questions.values()})
    if len(benchmarks) != 1:
        raise StageError(f"the questions are of {', '.join(benchmarks) or 'no benchmark'}; make a predict and a score node for each benchmark")
    summary: dict[str, Any] = {
        "model": settings.model or predictions.name,
        "size": settings.size,
        "setting": settings.setting,
        "benchmark": benchmarks[0],
        "questions": _mark(context),
        "confidence": settings.confidence,
        "signatures": {"accuracy": _ACCURACY},
    }
    if baseline is not None and baseline.manifest.summary["questions"] != summary["questions"]:
        raise StageError(f"the baseline '{baseline.name}' was scored on other questions: give both score nodes the same questions nodes")
    balance = Balance()
    paired: dict[str, Any] = {}
    for ask in ASKS:
        answers = _predictions(predictions, ask, questions)
        if not answers:
            continue
        judged = _judge_text(answers, questions) if ask == "generate" else _judge_letters(answers, questions)
        balance.keep(len(judged.scores))
        if opened := len(answers) - len(judged.scores):
            balance.drop("open question", opened)
        write_rows(context.out / f"scores-{ask}.jsonl", judged.scores)
        summary[ask] = accuracy_tables(judged.scores, questions, confidence=settings.confidence) | judged.tables
        summary["signatures"] |= judged.signatures
        if baseline is not None and (files := baseline.files(f"scores-{ask}.jsonl")):
            before = list(read_rows(files[0], Score))
            paired[ask] = compare(judged.scores, before, questions, seed=(settings.seed, ASKS.index(ask)), settings=settings)
    if not any(ask in summary for ask in ASKS):
        raise StageError(f"'{predictions.name}' holds no prediction; rebuild it with --rebuild {predictions.name}")
    return StageResult(summary | ({"paired": paired} if paired else {}), balance)


def accuracy_tables(scores: Sequence[Score], questions: _Questions, *, confidence: float) -> dict[str, Any]:
    """Accuracy by language, over all items (`micro`) and as the unweighted mean of the languages (`macro`).

    `chance` is the expected accuracy of drawing one option, or any set of options in a paper whose items may have several right answers.
    """
    table: dict[str, Any] = {}
    intervals = []
    for language, rows in _by_language(scores, questions).items():
        interval = wilson(sum(row.value for row in rows), len(rows), confidence=confidence)
        intervals.append(interval)
        items = [questions[row.question_id] for row in rows]
        several = [row.value for row, item in zip(rows, items, strict=True) if len(item.answer) > 1]
        single = [row.value for row, item in zip(rows, items, strict=True) if len(item.answer) == 1]
        table[language] = _entry(interval, rows) | {
            "single": _mean(single),
            "several": _mean(several),
            "several_n": len(several),
            "chance": _mean([_chance(item) for item in items]),
            "rules": dict(sorted(Counter(row.rule for row in rows).items())),
        }
    whole = wilson(sum(row.value for row in scores), len(scores), confidence=confidence)
    return {"by_language": table, "macro": _rounded(macro(intervals)) | {"languages": len(intervals)}, "micro": _entry(whole, scores)}


@dataclass(frozen=True, slots=True)
class _Judged:
    """Scores in the order of the predictions, and what a way of asking adds to the summary."""

    scores: list[Score]
    tables: dict[str, Any]
    signatures: dict[str, Any]


def _judge_letters(predictions: Sequence[Prediction], questions: _Questions) -> _Judged:
    scores = []
    for prediction in predictions:
        question = questions[prediction.question_id]
        letters = option_letters(question)
        answered = tuple(sorted(letters.index(letter) for letter in prediction.text.split(","))) if prediction.text else None
        rule = "letters" if answered else "context" if prediction.finish_reason == "context" else "tie"
        scores.append(_score(question, answered, rule))
    return _Judged([score for score in scores if questions[score.question_id].answer], {}, {})


def _judge_text(predictions: Sequence[Prediction], questions: _Questions) -> _Judged:
    scores, compared = [], {}
    wanted = rationales.compared(questions.values())
    with Progress("score replies", len(predictions), unit="replies") as progress:
        for prediction in predictions:
            question = questions[prediction.question_id]
            found = extract(prediction.text, options=question.options, language=question.language)
            score = _score(question, found.answered, "context" if prediction.finish_reason == "context" else found.rule)
            if question.id in wanted:
                compared[question.id] = rationales.similarity(question, rationale(prediction.text, found))
                score = replace(score, metrics=compared[question.id].metrics())
            if question.answer:
                scores.append(score)
            progress.advance()
    table = rationales.table(compared, questions, items=wanted)
    return _Judged(scores, {"rationale": table}, rationales.signatures(table))


def _score(question: Question, answered: tuple[int, ...] | None, rule: str) -> Score:
    return Score(question.id, float(answered == question.answer), answered, rule)


def compare(
    scores: Sequence[Score], baseline: Sequence[Score], questions: _Questions, *, seed: Sequence[int], settings: ScoreSettings
) -> dict[str, Any]:
    """The paired comparison with a baseline's scores of the same questions, by language and as the unweighted mean of the languages."""
    before = {score.question_id: score.value for score in baseline}
    _same_ids({score.question_id for score in scores}, set(before), "the baseline's scores")
    differences = {language: [row.value - before[row.question_id] for row in rows] for language, rows in _by_language(scores, questions).items()}
    table = {}
    for number, (language, values) in enumerate(differences.items()):
        interval = paired_bootstrap({language: values}, resamples=settings.resamples, seed=(*seed, number), confidence=settings.confidence)
        wins, losses = sum(value > 0 for value in values), sum(value < 0 for value in values)
        table[language] = _rounded(interval, "difference") | {"n": len(values), "wins": wins, "losses": losses, "p_mcnemar": mcnemar(wins, losses)}
    whole = paired_bootstrap(differences, resamples=settings.resamples, seed=(*seed, len(table)), confidence=settings.confidence)
    return table | {"macro": _rounded(whole, "difference")}


def _predictions(artifact: Artifact, ask: Ask, questions: _Questions) -> list[Prediction]:
    """The predictions of one way of asking. Raises StageError unless every question has exactly one."""
    rows = [row for path in artifact.files(f"predictions-{ask}-*.jsonl") for row in read_rows(path, Prediction)]
    twice = [id for id, count in Counter(row.question_id for row in rows).items() if count > 1]
    if twice:
        raise StageError(f"{artifact.name}: {len(twice)} questions are answered twice by {ask}, such as {', '.join(twice[:3])}; rebuild it")
    if rows:
        _same_ids(set(questions), {row.question_id for row in rows}, f"{artifact.name}, {ask}")
    return rows


def _same_ids(expected: set[str], found: set[str], what: str) -> None:
    for ids, fault in ((expected - found, "has nothing for"), (found - expected, "holds unknown")):
        if ids:
            raise StageError(
                f"{what}: {fault} {len(ids)} questions, such as {', '.join(sorted(ids)[:3])}; predictions and scores must come from the same "
                "questions nodes"
            )


def _mark(context: StageContext) -> str:
    """What the scored questions are: their fingerprint, or one digest over several."""
    marks = sorted(artifact.manifest.fingerprint for artifact in context.all("questions"))
    return marks[0] if len(marks) == 1 else json_digest(marks)


def _by_language(scores: Sequence[Score], questions: _Questions) -> dict[str, list[Score]]:
    groups: dict[str, list[Score]] = {}
    for score in scores:
        groups.setdefault(questions[score.question_id].language, []).append(score)
    return dict(sorted(groups.items()))


def _chance(question: Question) -> float:
    return 1 / (2 ** len(question.options) - 1) if question.several else 1 / len(question.options)


def _entry(interval: Interval, rows: Sequence[Score]) -> dict[str, Any]:
    return {"n": len(rows)} | _rounded(interval) | {"unparsed": sum(row.answered is None for row in rows)}


def _rounded(interval: Interval, name: str = "accuracy") -> dict[str, float]:
    return {name: round(interval.value, 6), "low": round(interval.low, 6), "high": round(interval.high, 6)}


def _mean(values: Sequence[float]) -> float | None:
    return round(sum(values) / len(values), 6) if values else None
