"""Settings of the corpus stages. Filters and sources stand in a recipe as tables and are checked by the class they name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, SerializeAsAny, ValidationInfo

from medglot.core.config import Settings, parse
from medglot.core.errors import RecipeError
from medglot.core.find import find, names
from medglot.corpus.filters.base import Filter
from medglot.corpus.identify import signature
from medglot.corpus.sources.base import Source
from medglot.languages import digests, load


def _kind(folder: str, base: type[Any], name: Any) -> type[Any]:
    if not isinstance(name, str):
        raise RecipeError(f"does not say which {base.__name__.lower()} is meant; name one of {', '.join(names(folder))}")
    kind = find(folder, name)
    if not (isinstance(kind, type) and issubclass(kind, base)):
        raise RecipeError(f"'{name}' is not a {base.__name__}; derive it from {base.__module__}:{base.__name__}")
    return kind


def _named(folder: str, base: type[Any], key: str) -> Callable[[Any, ValidationInfo], Any]:
    """A validator that turns a table into the registered class which its `key` names."""

    def make(value: Any, info: ValidationInfo) -> Any:
        if not isinstance(value, Mapping):
            return value
        try:
            kind = _kind(folder, base, value.get(key))
            return parse(kind, value, where=str(value[key]), root=(info.context or {}).get("root", Path()))
        except RecipeError as error:
            raise ValueError(str(error)) from error

    return make


AnySource = Annotated[SerializeAsAny[Source], BeforeValidator(_named("medglot.corpus.sources", Source, "kind"))]
AnyFilter = Annotated[SerializeAsAny[Filter], BeforeValidator(_named("medglot.corpus.filters", Filter, "name"))]


class CorpusSettings(Settings):
    """Documents from files of any kind.

    `filters` run in order, each on what the one before kept. `identify` finds the language of rows that name none, which are otherwise quarantined.
    `keep_dropped` writes what filters drop, with the reason, to dropped-*.parquet. `documents_per_shard` is how many rows are put together as one
    unit of work; a Parquet row group and a compressed file are never cut.
    """

    sources: tuple[AnySource, ...] = Field(min_length=1)
    languages: tuple[str, ...] = ("en", "es", "fr", "ja", "ru", "zh")
    identify: bool = False
    filters: tuple[AnyFilter, ...] = ()
    keep_dropped: bool = False
    documents_per_shard: int = Field(50_000, ge=1)

    def depends(self) -> Mapping[str, str]:
        """The languages' files (identification compares all of them, by a tool of some version), versions of sources and filters, and names of single
        files: ids hold them.
        """
        compared = self.identify or any(item.name == "language" for item in self.filters)
        sources = {f"source.{item.kind}": str(item.version) for item in self.sources}
        filters = {f"filter.{item.name}": str(item.version) for item in self.filters}
        files = {f"sources.{number}.file": item.path.name for number, item in enumerate(self.sources) if item.path.is_file()}
        tool = {"identification": signature()} if compared else {}
        return digests(() if compared else self.languages) | sources | filters | files | tool

    def check(self) -> None:
        """Raises RecipeError for a missing path or an unknown language."""
        for code in self.languages:
            load(code)
        for source in self.sources:
            source.check()
        for judge in self.filters:
            judge.check()


class DedupSettings(Settings):
    """Exact de-duplication has nothing to choose."""


class DecontaminateSettings(Settings):
    """Removal of documents that hold benchmark questions.

    A document is a candidate when it shares `words` words in a row with a question of its language (`characters` characters where the language is
    written without spaces). It is contaminated when, in a window around such a place, at least `threshold` of the question's words stand in runs that
    the question has too. A run that more than `common` questions share is exam wording and makes no candidate.
    """

    words: int = Field(8, ge=4)
    characters: int = Field(13, ge=6)
    threshold: float = Field(0.6, gt=0, le=1)
    common: int = Field(10, ge=1)

    def depends(self) -> Mapping[str, str]:
        """The languages' files: they say which languages are written without spaces."""
        return digests()
