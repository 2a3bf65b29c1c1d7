"""Stage `corpus`: files of any kind become documents that every filter keeps; every other row is counted by the reason it was dropped or set aside.

A shard is some consecutive pieces of one source. Ids that occur more than once are made unique afterwards, in the order of the input (`unique_ids`).
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from medglot.core.errors import RowError
from medglot.core.rows import DOCUMENT_SCHEMA
from medglot.core.shards import Shard, ShardRow, add_balances
from medglot.core.stage import StageContext, StageResult
from medglot.corpus.admit import admit
from medglot.corpus.filters.base import BATCH_COLUMNS
from medglot.corpus.settings import CorpusSettings
from medglot.corpus.shard_writer import ShardWriter, shard_writer, with_meta
from medglot.corpus.sources.base import Piece, Source
from medglot.corpus.statistics import Audit, Funnel, Tally
from medglot.corpus.unique_ids import IdWriter, make_ids_unique

_DROPPED_SCHEMA = DOCUMENT_SCHEMA.append(pa.field("reason", pa.string()))


@dataclass(frozen=True, slots=True)
class Work:
    """A shard's payload: which source to read, and which pieces of it."""

    settings: CorpusSettings
    source: int
    pieces: tuple[Piece, ...]


def build(settings: CorpusSettings, context: StageContext) -> StageResult:
    """Runs the stage. Raises StageError when a source has no file."""
    shards = plan_shards(settings)
    rows = context.map_shards(build_shard, shards, out=context.out, title="documents")
    repeated = make_ids_unique(context, [shard.name for shard in shards])
    summary = Tally.total(row.numbers["tally"] for row in rows).summary()
    names = tuple(item.name for item in settings.filters)
    summary["funnel"] = Funnel.total(names, (row.numbers["funnel"] for row in rows)).summary()
    summary["repeated_ids"] = repeated
    if audit := Audit.total(row.numbers["audit"] for row in rows).summary():
        summary["audit"] = audit
    return StageResult(summary=summary, balance=add_balances(rows))


def plan_shards(settings: CorpusSettings) -> list[Shard]:
    """The shards in order of sources, files and places: pieces of one source are put together up to `documents_per_shard` rows."""
    groups: list[tuple[int, list[Piece]]] = []
    for number, source in enumerate(settings.sources):
        rows = settings.documents_per_shard  # a new source begins a new shard
        for file in source.files():
            for piece in source.pieces(file, limit=settings.documents_per_shard):
                if rows + piece.rows > settings.documents_per_shard:
                    groups.append((number, []))
                    rows = 0
                groups[-1][1].append(piece)
                rows += piece.rows
    return [Shard(f"{place:05d}", Work(settings, number, tuple(pieces))) for place, (number, pieces) in enumerate(groups)]


def build_shard(work: Work, out: Path, name: str) -> ShardRow:
    """Reads, admits and filters the pieces of one shard."""
    with ExitStack() as stack:
        kept = stack.enter_context(shard_writer(out / f"documents-{name}.parquet"))
        dropped = stack.enter_context(shard_writer(out / f"dropped-{name}.parquet", _DROPPED_SCHEMA)) if work.settings.keep_dropped else None
        ids = stack.enter_context(IdWriter.open(out, name))
        run = _Run(work.settings, work.settings.sources[work.source], kept, dropped, ids)
        for piece in work.pieces:
            run.read(piece)
    run.row.numbers = {"tally": run.tally.to_json(), "funnel": run.funnel.to_json(), "audit": run.audit.to_json()}
    return run.row


class _Run:
    """One shard on its way: where rows go, and the counts so far."""

    def __init__(self, settings: CorpusSettings, source: Source, kept: ShardWriter, dropped: ShardWriter | None, ids: IdWriter) -> None:
        self._settings, self._source, self._kept, self._dropped, self._ids = settings, source, kept, dropped, ids
        self.row = ShardRow()
        self.tally = Tally()
        self.funnel = Funnel(tuple(item.name for item in settings.filters))
        self.audit = Audit()

    def read(self, piece: Piece) -> None:
        """All rows of a piece; a file that cannot be read counts as one bad row, and so does its unreadable rest."""
        try:
            for batch in self._source.read(piece):
                for bad in batch.bad:
                    self.row.set_aside(f"{piece.file}, row {bad.row}", bad.kind, bad.message, bad.sample)
                table = admit(batch.table, self.row, source=self._source, file=piece.file, identify_missing=self._settings.identify)
                self._keep(self._filter(self._wanted(table)))
        except RowError as error:
            self.row.set_aside(piece.file, error.kind, str(error))

    def _wanted(self, table: pa.Table) -> pa.Table:
        wanted = pc.is_in(table["language"], value_set=pa.array(self._settings.languages))
        return self._split(table, pc.if_else(wanted, pa.scalar(None, pa.string()), "language"))

    def _filter(self, table: pa.Table) -> pa.Table:
        for number, judge in enumerate(self._settings.filters):
            if not len(table):
                break
            batch = table.select(BATCH_COLUMNS).combine_chunks()
            verdict = judge.judge(batch)
            if self._source.label and verdict.medical is not None:
                self.audit.add(batch, filter_name=judge.name, label=self._source.label, medical=verdict.medical)
            self.funnel.read[number] += len(table)
            for name, column in {f"meta.{key}": value for key, value in verdict.meta.items()}.items():
                table = table.drop_columns([name]) if name in table.column_names else table
                table = table.append_column(name, column)
            if verdict.text is not None:
                table = table.set_column(table.column_names.index("text"), "text", verdict.text)
            for entry in pc.value_counts(pc.drop_null(verdict.reason)).to_pylist():
                self.funnel.dropped[number, entry["values"]] += entry["counts"]
            table = self._split(table, verdict.reason)
        return table

    def _split(self, table: pa.Table, reason: pa.Array | pa.ChunkedArray) -> pa.Table:
        """Drops the rows that have a reason; returns the others."""
        for entry in pc.value_counts(pc.drop_null(reason)).to_pylist():
            self.row.balance.drop(entry["values"], entry["counts"])
        if self._dropped is not None:
            self._dropped.add(with_meta(table.append_column("reason", reason).filter(pc.is_valid(reason))))
        return table.filter(pc.is_null(reason))

    def _keep(self, table: pa.Table) -> None:
        self.row.balance.keep(len(table))
        self.tally.add(table)
        self._ids.add(table["id"])
        self._kept.add(with_meta(table))
