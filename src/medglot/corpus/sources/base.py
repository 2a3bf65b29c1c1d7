"""What a source is: a path whose files are cut into pieces, and pieces read into batches of raw rows.

A source only reads. It raises RowError for a file that cannot be read at all and lists single bad rows beside the good ones; what a document must
have is checked in one place for every kind (`medglot.corpus.admit`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import ClassVar, Literal

import pyarrow as pa
from pydantic import Field

from medglot.core.config import ContentPath, Strict
from medglot.core.errors import RecipeError, StageError
from medglot.core.files import list_files
from medglot.core.records import BadRow

FIELDS = ("id", "text", "language", "source", "license")
BATCH_ROWS = 2_000
"""Rows that a source hands over at once."""
BATCH_BYTES = 1 << 26
"""Bytes of lines after which a source hands over fewer."""


class Columns(Strict):
    """Which column (or key) of the data holds which field. `language` unset looks for ``language``, then ``lang``. `meta` are columns to keep."""

    id: str = "id"
    text: str = "text"
    language: str | None = None
    source: str = "source"
    license: str = "license"
    meta: tuple[str, ...] = ()

    def candidates(self) -> dict[str, tuple[str, ...]]:
        """The columns that may hold each field, best first; meta columns under ``meta.<name>``."""
        language = (self.language,) if self.language else ("language", "lang")
        fields: dict[str, tuple[str, ...]] = {
            "id": (self.id,),
            "text": (self.text,),
            "language": language,
            "source": (self.source,),
            "license": (self.license,),
        }
        return fields | {f"meta.{name}": (name,) for name in self.meta}


@dataclass(frozen=True, slots=True)
class Piece:
    """Part of a file: about `rows` rows, the first of which is the file's row `first` (from 1). `start` and `stop` are the source's own units."""

    file: str
    rows: int
    first: int = 1
    start: int = 0
    stop: int = 0


@dataclass(frozen=True, slots=True)
class Batch:
    """Raw rows: a table with `row` (number in the file), the FIELDS and the meta columns, all strings that may be null; and the rows set aside."""

    table: pa.Table
    bad: tuple[BadRow, ...] = ()


class Source(Strict, ABC):
    """Base of every kind of source: its fields are what a recipe says about it.

    `source`, `license` and `language` stand in for rows that name none. `label` says what the texts are known to be; filters are audited against it
    and never see it.
    """

    version: ClassVar[int] = 1
    endings: ClassVar[tuple[str, ...]] = ()

    kind: str
    path: ContentPath
    include: tuple[str, ...] = ()
    columns: Columns = Columns()
    source: str | None = Field(None, min_length=1)
    license: str | None = Field(None, min_length=1)
    language: str | None = Field(None, min_length=2)
    label: Literal["medical", "general"] | None = None

    @abstractmethod
    def pieces(self, file: str, *, limit: int) -> list[Piece]:
        """The pieces of a file in order, none of more than about `limit` rows where the format allows. A bad file is one piece."""

    @abstractmethod
    def read(self, piece: Piece) -> Iterator[Batch]:
        """The rows of a piece. Raises RowError when the file is unreadable."""

    def files(self) -> list[str]:
        """Names of the files relative to `path`, in order. Raises StageError when there are none."""
        if self.path.is_file():
            return [self.path.name]
        patterns = self.include or tuple(f"*{ending}" for ending in self.endings)
        names = [path.relative_to(self.path).as_posix() for path in list_files(self.path)]
        chosen = [name for name in names if any(fnmatch(name, pattern) for pattern in patterns)]
        if not chosen:
            raise StageError(f"{self.path}: no file matches {', '.join(patterns)}; correct `path` or set `include`")
        return chosen

    def locate(self, file: str) -> Path:
        """The path of one of `files`."""
        return self.path if self.path.is_file() else self.path / file

    def check(self) -> None:
        """Raises RecipeError when `path` is missing."""
        if not self.path.exists():
            raise RecipeError(f"{self.path}: no such file or folder; correct `path` of the {self.kind} source")
