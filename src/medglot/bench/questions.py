"""The questions of a benchmark as an artifact of their own, so that decontamination, training and evaluation provably use the same ones."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import xxhash

from medglot.bench.benchmarks.base import Benchmark
from medglot.bench.settings import BENCHMARKS, QuestionsSettings
from medglot.core.config import HubSource, PathSource
from medglot.core.errors import RecipeError, StageError
from medglot.core.find import find
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
        if not (root / file).is_file():
            raise RecipeError(f"{root / file}: no such file; name in `languages` those that the folder has, without {language}")
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
    if empty:
        raise StageError(f"not one question of {', '.join(empty)} is usable; the reasons stand in {context.out / 'quarantine'}")
    counts = {language: row.numbers for language, row in zip(wanted, rows, strict=True)}
    summary = {"benchmark": common["name"], "split": settings.split, "questions": {common["name"]: counts}}
    return StageResult(summary, add_balances(rows))


def read_language(payload: dict[str, Any], out: Path, name: str) -> ShardRow:
    """Reads one language's file: the shard function of `build`."""
    benchmark: Benchmark = find(BENCHMARKS, payload["benchmark"])()
    result = ShardRow()
    questions: list[Question] = []
    path = Path(payload["root"]) / payload["file"]
    if path.stat().st_size == 0:
        result.set_aside(payload["file"], "empty-file", "the file is empty; fetch it again")
        return result
    for item in benchmark.read(path, name=payload["name"], split=payload["split"], language=payload["language"]):
        if isinstance(item, Question):
            questions.append(item)
        else:
            result.set_aside(f"{payload['file']}, row {item.row}", item.kind, _writable(item.message), _writable(item.sample))
    chosen = _choose(questions, payload["limit"], seed=payload["seed"])
    result.balance.keep(len(chosen))
    if len(chosen) < len(questions):
        result.balance.drop("limit", len(questions) - len(chosen))
    write_rows(out / f"questions-{name}.jsonl", chosen)
    result.numbers = _counts(chosen)
    return result


def _folder(source: HubSource | PathSource, files: list[str]) -> Path:
    if isinstance(source, PathSource):
        return source.path
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(source.hub, repo_type="dataset", revision=source.revision, allow_patterns=files))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise RecipeError(f"cannot fetch {source.hub} at revision {source.revision} from the Hugging Face Hub: {reason}") from error


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
