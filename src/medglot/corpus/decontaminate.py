"""Stage `decontaminate`: drops every document that holds a question of the benchmarks, and writes down each match.

matches-NNNNN.jsonl names document, question, share and place of every match; found.jsonl says in how many documents each question was found.
"""

from __future__ import annotations

import functools
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from medglot.core.files import write_lines
from medglot.core.records import Question
from medglot.core.rows import read_rows, read_tables
from medglot.core.shards import Shard, ShardRow, add_balances
from medglot.core.stage import StageContext, StageResult
from medglot.corpus.overlap import Match, QuestionIndex
from medglot.corpus.settings import DecontaminateSettings
from medglot.corpus.shard_writer import shard_writer
from medglot.corpus.statistics import Tally
from medglot.languages import load


@dataclass(frozen=True, slots=True)
class Work:
    """A shard's payload: a file of documents and the files of questions to look for."""

    settings: DecontaminateSettings
    documents: Path
    questions: tuple[Path, ...]


def build(settings: DecontaminateSettings, context: StageContext) -> StageResult:
    """Runs the stage."""
    questions = tuple(path for artifact in context.all("questions") for path in artifact.files("questions*.jsonl"))
    files = [path for artifact in context.all("documents") for path in artifact.files("documents-*.parquet")]
    shards = [Shard(f"{place:05d}", Work(settings, path, questions)) for place, path in enumerate(files)]
    rows = context.map_shards(clean_shard, shards, out=context.out, title="contamination")
    found: Counter[str] = Counter()
    for row in rows:
        found.update(row.numbers["found"])
    write_lines(context.out / "found.jsonl", ({"question": name, "documents": count} for name, count in sorted(found.items())))
    summary = Tally.total(row.numbers["tally"] for row in rows).summary()
    summary["contaminated"] = Tally.total(row.numbers["removed"] for row in rows).summary()
    summary["questions"] = _report(settings, questions, found)
    return StageResult(summary=summary, balance=add_balances(rows))


def clean_shard(work: Work, out: Path, name: str) -> ShardRow:
    """Writes the documents of a file that hold no question, and the matches of the others."""
    row, kept, removed = ShardRow(), Tally(), Tally()
    matches: list[dict[str, Any]] = []
    with shard_writer(out / f"documents-{name}.parquet") as writer:
        for table in read_tables(work.documents):
            found = _search(table, work)
            for number, entries in sorted(found.items()):
                matches += [{"document": table["id"][number].as_py()} | asdict(match) for match in entries]
            dirty = pa.array(np.isin(np.arange(len(table)), list(found)))
            stays, goes = table.filter(pc.invert(dirty)), table.filter(dirty)
            writer.add(stays)
            kept.add(stays)
            removed.add(goes)
            row.balance.keep(len(stays))
            if len(goes):
                row.balance.drop("contaminated", len(goes))
    if matches:
        write_lines(out / f"matches-{name}.jsonl", matches)
    found_in = Counter(match["question"] for match in matches)
    row.numbers = {"tally": kept.to_json(), "removed": removed.to_json(), "found": dict(sorted(found_in.items()))}
    return row


def _search(table: pa.Table, work: Work) -> dict[int, list[Match]]:
    """The matches of a table's documents by row."""
    found: dict[int, list[Match]] = {}
    for language in pc.unique(table["language"]).to_pylist():
        index = _index(work.settings, work.questions, language)
        if index is None:
            continue
        rows = np.flatnonzero(pc.equal(table["language"], language).to_numpy())
        touched = rows[index.touches(table["text"].take(pa.array(rows)))]
        for number in touched.tolist():
            if matches := index.matches(table["text"][number].as_py()):
                found[number] = matches
    return found


@functools.lru_cache(maxsize=16)
def _index(settings: DecontaminateSettings, files: tuple[Path, ...], language: str) -> QuestionIndex | None:
    """The index of a language's questions, built once a process; None without any question."""
    questions = [question for path in files for question in read_rows(path, Question) if question.language == language]
    if not questions:
        return None
    length = settings.words if load(language).segmenter == "words" else settings.characters
    return QuestionIndex(questions, length=length, threshold=settings.threshold, common=settings.common)


def _report(settings: DecontaminateSettings, files: tuple[Path, ...], found: Counter[str]) -> dict[str, dict[str, dict[str, int]]]:
    """By benchmark and language: how many questions there are, how many are too short to look for, how many were found in some document."""
    report: dict[str, dict[str, dict[str, int]]] = {}
    for path in files:
        for question in read_rows(path, Question):
            index = _index(settings, files, question.language)
            entry = report.setdefault(question.benchmark, {}).setdefault(question.language, {"questions": 0, "too_short": 0, "found": 0})
            entry["questions"] += 1
            entry["too_short"] += index is not None and question.id in index.too_short
            entry["found"] += question.id in found
    return {name: dict(sorted(languages.items())) for name, languages in sorted(report.items())}
