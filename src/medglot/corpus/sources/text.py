"""Plain text files, one document each, as the published MMedC is shared: the file's relative name is the document's id."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import pyarrow as pa

from medglot.core.errors import RowError
from medglot.corpus.sources.base import FIELDS, Batch, Piece, Source


class Text(Source):
    """A ``.txt`` file or a folder of them, in UTF-8 with or without a byte-order mark."""

    endings: ClassVar[tuple[str, ...]] = (".txt",)

    def pieces(self, file: str, *, limit: int) -> list[Piece]:  # noqa: ARG002 - a file is one document
        """One piece: the file."""
        return [Piece(file, rows=1)]

    def read(self, piece: Piece) -> Iterator[Batch]:
        """One batch of one row."""
        try:
            text = self.locate(piece.file).read_bytes().decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise RowError("bad-utf8", f"not UTF-8 at byte {error.start}; convert the file to UTF-8") from error
        except OSError as error:
            raise RowError("unreadable-file", f"cannot be read ({error.strerror}); restore it from its origin") from error
        if not text:
            raise RowError("empty-file", "the file is empty; remove it or restore it from its origin")
        schema = pa.schema([("row", pa.int64()), *((field, pa.string()) for field in FIELDS)])
        yield Batch(pa.Table.from_pylist([{"row": 1, "id": piece.file, "text": text}], schema=schema))
