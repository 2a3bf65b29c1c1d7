"""The questions of a benchmark as an artifact of their own, so that decontamination, training and evaluation provably use the same ones.

Where a file lay (folder, archive, Hub) shows in no id and no message about a row.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path
from typing import Any

import xxhash

from medglot.bench.benchmarks.base import Benchmark
from medglot.bench.locate import DAMAGED, locate
from medglot.bench.settings import BENCHMARKS, QuestionsSettings
from medglot.core.config import HubSource, PathSource
from medglot.core.errors import RecipeError, StageError
from medglot.core.find import find
from medglot.core.hub import snapshot
from medglot.core.records import Question
from medglot.core.rows import write_rows
from medglot.core.shards import Shard, ShardRow, add_balances
from medglot.core.stage import StageContext, StageResult


def build(settings: QuestionsSettings, context: StageContext) -> StageResult:
    """Writes `questions-NNNNN.jsonl`, one file a language; rows that are no questions go to `quarantine/`."""
    benchmark: Benchmark = find(BENCHMARKS, settings.benchmark)()
    wanted = settings.languages or benchmark.languages
    files = {language: benchmark.file(split=settings.split, language=language) for language in wanted}
    root = _folder(settings.source, sorted(set(files.values())))
    for language, file in files.items():
        if locate(root, file) is None:
            raise RecipeError(f"{file}: no such file in {_place(settings.source)}; name in `languages` those that it has, without {language}")
    common = {
        "benchmark": settings.benchmark,
        "name": settings.name or settings.benchmark.rpartition(":")[2].lower(),
        "root": str(root),
        "split": settings.split,
        "seed": settings.seed,
        "limit": settings.limit,
    }
    shards = [Shard(f"{number:05d}", common | {"language": language, "file": file}) for number, (language, file) in enumerate(files.items())]
    rows = context.map_shards(read_language, shards, out=context.out, title="questions")
    empty = [language for language, row in zip(wanted, rows, strict=True) if not row.balance.kept]
    if len(empty) == len(wanted):
        raise StageError(f"not one question is usable; the reasons stand in {context.out / 'quarantine'}")
    counts = {language: row.numbers for language, row in zip(wanted, rows, strict=True) if row.balance.kept}
    summary = {"benchmark": common["name"], "split": settings.split, "questions": {common["name"]: counts}}
    notes = tuple(f"not one question of {language} is usable: {files[language]}" for language in empty)
    return StageResult(summary, add_balances(rows), notes=notes)


def read_language(payload: dict[str, Any], out: Path, name: str) -> ShardRow:
    """Reads one language's file: the shard function of `build`."""
    benchmark: Benchmark = find(BENCHMARKS, payload["benchmark"])()
    result = ShardRow()
    questions: list[Question] = []
    path = locate(Path(payload["root"]), payload["file"])
    if path is None:
        raise StageError(f"{payload['file']}: has disappeared during the run; put it back and run again")
    try:
        items = list(benchmark.read(path, name=payload["name"], split=payload["split"], language=payload["language"]))
    except DAMAGED as error:
        raise StageError(f"{payload['file']}: the archive that holds it is damaged ({error}); fetch it again") from error
    if not items:
        result.set_aside(payload["file"], "empty-file", "the file holds no row; fetch it again")
        return result
    for item in items:
        if isinstance(item, Question):
            questions.append(item)
        else:
            result.set_aside(f"{payload['file']}, row {item.row}", item.kind, _writable(item.message), _writable(item.sample))
    chosen = _choose(mark_several(questions), payload["limit"], seed=payload["seed"])
    result.balance.keep(len(chosen))
    if len(chosen) < len(questions):
        result.balance.drop("limit", len(questions) - len(chosen))
    write_rows(out / f"questions-{name}.jsonl", chosen)
    result.numbers = _counts(chosen)
    return result


def mark_several(questions: list[Question]) -> list[Question]:
    """All items of one paper with `several` set when one of them has several right answers: of the whole paper, whatever is then drawn from it."""
    several = any(len(question.answer) > 1 for question in questions)
    return [dataclasses.replace(question, several=several) for question in questions]


def _folder(source: HubSource | PathSource, files: list[str]) -> Path:
    if isinstance(source, PathSource):
        return source.path
    return snapshot(source, kind="dataset", patterns=[*files, *(f"*/{file}" for file in files), "*.zip"])


def _place(source: HubSource | PathSource) -> str:
    return str(source.path) if isinstance(source, PathSource) else f"{source.hub} at revision {source.revision}"


def _choose(questions: list[Question], limit: int | None, *, seed: int) -> list[Question]:
    """The first `limit` questions in the order of a keyed hash of their ids, put back in the file's order: a larger limit adds, never exchanges."""
    if limit is None:
        return questions
    key = {question.id: xxhash.xxh3_64_intdigest(question.id.encode(), seed=seed % 2**64) for question in questions}
    chosen = set(sorted(key, key=lambda id: (key[id], id))[:limit])
    return [question for question in questions if question.id in chosen]


def _writable(text: str) -> str:
    """`text` with half surrogate pairs, which have no UTF-8, spelt out."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _counts(questions: list[Question]) -> dict[str, Any]:
    options = Counter(len(question.options) for question in questions)
    return {
        "questions": len(questions),
        "several": sum(len(question.answer) > 1 for question in questions),
        "rationales": sum(bool(question.rationale) for question in questions),
        "verified": sum(question.verified for question in questions),
        "options": {str(count): number for count, number in sorted(options.items())},
    }
