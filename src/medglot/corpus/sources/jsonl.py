"""JSON lines, plain, ``.gz`` or ``.zst``: one object a line, every bad line named.

A plain file is cut at line ends into pieces of equal numbers of lines; a compressed file is one piece, read as a stream.
"""

from __future__ import annotations

import gzip
import io
import json
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import IO, Any, ClassVar

import pyarrow as pa

from medglot.core.errors import RowError
from medglot.core.records import BadRow
from medglot.corpus.sources.base import BATCH_BYTES, BATCH_ROWS, FIELDS, Batch, Piece, Source

_BLOCK = 1 << 22
_BOM = b"\xef\xbb\xbf"


class Jsonl(Source):
    """A JSON-lines file or a folder of them. Empty lines are no rows; row numbers are line numbers."""

    endings: ClassVar[tuple[str, ...]] = (".jsonl", ".jsonl.gz", ".jsonl.zst", ".ndjson")

    def pieces(self, file: str, *, limit: int) -> list[Piece]:
        """Pieces of `limit` lines (`start` and `stop` are bytes); a compressed or unreadable file is one piece."""
        path = self.locate(file)
        try:
            size = path.stat().st_size
            if path.suffix in {".gz", ".zst"} or size == 0:
                return [Piece(file, rows=limit if size else 1)]
            return _cut(file, path, size, limit)
        except OSError:
            return [Piece(file, rows=1)]

    def read(self, piece: Piece) -> Iterator[Batch]:
        """The rows of a piece in batches."""
        rows: list[dict[str, Any]] = []
        bad: list[BadRow] = []
        held = 0
        try:
            for number, line in self._lines(piece):
                held += len(line)
                try:
                    rows.append({"row": number} | self._fields(line))
                except RowError as error:
                    bad.append(BadRow(number, error.kind, str(error), line[:200].decode("utf-8", "replace")))
                if len(rows) + len(bad) >= BATCH_ROWS or held >= BATCH_BYTES:
                    yield self._batch(rows, bad)
                    rows, bad, held = [], [], 0
        except RowError:
            yield self._batch(rows, bad)  # the lines before the place where a file breaks off are whole
            raise
        yield self._batch(rows, bad)

    def _lines(self, piece: Piece) -> Iterator[tuple[int, bytes]]:
        path = self.locate(piece.file)
        number = piece.first
        try:
            if path.stat().st_size == 0:
                raise RowError("empty-file", "the file is empty; remove it or restore it from its origin")
            with closing(_open(path)) as handle:
                if piece.start:
                    handle.seek(piece.start)
                place = piece.start
                for line in handle:
                    bare = line.removeprefix(_BOM).strip() if number == 1 else line.strip()
                    if bare:
                        yield number, bare
                    number += 1
                    place += len(line)
                    if piece.stop and place >= piece.stop:
                        return
        except (OSError, EOFError, zlib.error) as error:
            message = f"cannot be read after line {number - 1} ({error}); restore it from its origin"
            raise RowError("unreadable-file", message) from error

    def _fields(self, line: bytes) -> dict[str, str | None]:
        try:
            data = json.loads(line.decode("utf-8"))
        except UnicodeDecodeError as error:
            raise RowError("bad-utf8", f"not UTF-8 at byte {error.start} of the line; convert the data to UTF-8") from error
        except (ValueError, RecursionError) as error:
            raise RowError("bad-json", f"not JSON ({error}); write one JSON object a line") from error
        if not isinstance(data, dict):
            raise RowError("bad-json", f"a JSON {type(data).__name__}, not an object; write one JSON object a line")
        if self.columns.text not in data:
            raise RowError(
                "missing-column", f"no key '{self.columns.text}' (found {', '.join(data)[:120]}); set columns.text to the one that holds the text"
            )
        fields = {}
        for field, candidates in self.columns.candidates().items():
            name = next((name for name in candidates if data.get(name) is not None), candidates[0])
            fields[field] = _text(data.get(name), name, field)
        if b"\\ud" in line.lower():
            _refuse_surrogates(fields)
        return fields

    def _batch(self, rows: list[dict[str, Any]], bad: list[BadRow]) -> Batch:
        names = [field for field in self.columns.candidates() if field not in FIELDS]
        schema = pa.schema([("row", pa.int64()), *((field, pa.string()) for field in (*FIELDS, *names))])
        return Batch(pa.Table.from_pylist(rows, schema=schema), tuple(bad))


def _text(value: Any, name: str, field: str) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if field != "text" and isinstance(value, int | float):
        return str(value)
    raise RowError("bad-type", f"'{name}' is {type(value).__name__}, not text; name another key or mend the row")


def _refuse_surrogates(fields: dict[str, str | None]) -> None:
    for field, value in fields.items():
        try:
            (value or "").encode("utf-8")
        except UnicodeEncodeError as error:
            message = f"'{field}' holds half of a surrogate pair at character {error.start}; write the character itself or both halves"
            raise RowError("lone-surrogate", message) from error


def _open(path: Path) -> IO[bytes]:
    if path.suffix == ".gz":
        return gzip.open(path)  # type: ignore[return-value]
    if path.suffix == ".zst":
        return io.BufferedReader(pa.CompressedInputStream(pa.OSFile(str(path)), "zstd"))
    return path.open("rb")


def _cut(file: str, path: Path, size: int, limit: int) -> list[Piece]:
    """Counts line ends block by block and cuts behind every `limit`-th."""
    pieces: list[Piece] = []
    start, first, lines, place = 0, 1, 0, 0
    with path.open("rb") as handle:
        while block := handle.read(_BLOCK):
            found = block.find(b"\n")
            while found >= 0:
                lines += 1
                if lines == limit:
                    pieces.append(Piece(file, lines, first, start, place + found + 1))
                    start, first, lines = place + found + 1, first + lines, 0
                found = block.find(b"\n", found + 1)
            place += len(block)
    if start < size:
        pieces.append(Piece(file, max(lines, 1), first, start, size))
    return pieces
