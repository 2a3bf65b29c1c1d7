"""Counts that summaries are made of: documents and characters by language, source and licence, the funnel of filters, audits against labels.

Every count is a plain JSON value, so that it travels in a shard's row, and adds up to the same sum in any order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

_KEYS = ["language", "source", "license"]


@dataclass(slots=True)
class Tally:
    """Documents and characters by (language, source, license)."""

    documents: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    characters: Counter[tuple[str, str, str]] = field(default_factory=Counter)

    def add(self, table: pa.Table) -> None:
        """Counts the documents of a table."""
        measured = pa.table({key: table[key] for key in _KEYS} | {"length": pc.utf8_length(table["text"])})
        for row in measured.group_by(_KEYS).aggregate([("length", "sum"), ("length", "count")]).to_pylist():
            key = (row["language"], row["source"], row["license"])
            self.documents[key] += row["length_count"]
            self.characters[key] += row["length_sum"]

    def to_json(self) -> list[list[Any]]:
        """Rows of language, source, licence, documents, characters."""
        return [[*key, count, self.characters[key]] for key, count in sorted(self.documents.items())]

    @classmethod
    def total(cls, stored: Iterable[list[list[Any]]]) -> Tally:
        """The sum of stored tallies."""
        tally = cls()
        for rows in stored:
            for language, source, license_, documents, characters in rows:
                tally.documents[language, source, license_] += documents
                tally.characters[language, source, license_] += characters
        return tally

    def summary(self) -> dict[str, Any]:
        """Totals, and the same by language, by source within a language, and by licence."""
        sources: dict[str, dict[str, dict[str, int]]] = {}
        for name, value in self._by(lambda key: f"{key[0]}\n{key[1]}").items():
            language, source = name.split("\n", 1)
            sources.setdefault(language, {})[source] = value
        return {
            "documents": self.documents.total(),
            "characters": self.characters.total(),
            "languages": self._by(lambda key: key[0]),
            "sources": sources,
            "licenses": self._by(lambda key: key[2]),
        }

    def _by(self, name: Any) -> dict[str, dict[str, int]]:
        result: dict[str, dict[str, int]] = {}
        for key in sorted(self.documents, key=lambda key: (name(key), key)):
            entry = result.setdefault(name(key), {"documents": 0, "characters": 0})
            entry["documents"] += self.documents[key]
            entry["characters"] += self.characters[key]
        return result


@dataclass(slots=True)
class Funnel:
    """What each filter was given and why it dropped what, in the order of the filters."""

    names: tuple[str, ...]
    read: Counter[int] = field(default_factory=Counter)
    dropped: Counter[tuple[int, str]] = field(default_factory=Counter)

    def to_json(self) -> list[list[Any]]:
        """Rows of filter number, count read, reasons with counts."""
        return [[number, self.read[number], self._reasons(number)] for number in range(len(self.names))]

    @classmethod
    def total(cls, names: tuple[str, ...], stored: Iterable[list[list[Any]]]) -> Funnel:
        """The sum of stored funnels."""
        funnel = cls(names)
        for rows in stored:
            for number, read, reasons in rows:
                funnel.read[number] += read
                for reason, count in reasons.items():
                    funnel.dropped[number, reason] += count
        return funnel

    def summary(self) -> list[dict[str, Any]]:
        """One entry a filter: name, read, kept, dropped by reason."""
        entries = []
        for number, name in enumerate(self.names):
            reasons = self._reasons(number)
            entries.append({"filter": name, "read": self.read[number], "kept": self.read[number] - sum(reasons.values()), "dropped": reasons})
        return entries

    def _reasons(self, number: int) -> dict[str, int]:
        return {reason: count for (owner, reason), count in sorted(self.dropped.items()) if owner == number}


@dataclass(slots=True)
class Audit:
    """Decisions on labelled rows: (filter, language, source, label) -> rows judged and rows taken for medical."""

    rows: Counter[tuple[str, str, str, str]] = field(default_factory=Counter)
    medical: Counter[tuple[str, str, str, str]] = field(default_factory=Counter)

    def add(self, batch: pa.Table, *, filter_name: str, label: str, medical: pa.Array) -> None:
        """Counts a filter's decisions on a batch whose rows all carry `label`."""
        judged = pa.table({"language": batch["language"], "source": batch["source"], "medical": pc.cast(medical, pa.int64())})
        for row in judged.group_by(["language", "source"]).aggregate([("medical", "sum"), ("medical", "count")]).to_pylist():
            key = (filter_name, row["language"], row["source"], label)
            self.rows[key] += row["medical_count"]
            self.medical[key] += row["medical_sum"]

    def to_json(self) -> list[list[Any]]:
        """Rows of filter, language, source, label, rows judged, rows taken for medical."""
        return [[*key, count, self.medical[key]] for key, count in sorted(self.rows.items())]

    @classmethod
    def total(cls, stored: Iterable[list[list[Any]]]) -> Audit:
        """The sum of stored audits."""
        audit = cls()
        for rows in stored:
            for name, language, source, label, count, medical in rows:
                audit.rows[name, language, source, label] += count
                audit.medical[name, language, source, label] += medical
        return audit

    def summary(self) -> dict[str, Any]:
        """By filter and language: recall on rows labelled medical, false-positive rate on rows labelled general; the same for each source."""
        result: dict[str, Any] = {}
        for name, language, source, label in sorted(self.rows):
            entry = result.setdefault(name, {}).setdefault(language, {"counts": {}, "sources": {}})
            rows, medical = self.rows[name, language, source, label], self.medical[name, language, source, label]
            entry["sources"].setdefault(source, {}).update(_rate(label, rows, medical))
            counts = entry["counts"].setdefault(label, [0, 0])
            counts[0] += rows
            counts[1] += medical
        for languages in result.values():
            for entry in languages.values():
                for label, (rows, medical) in entry.pop("counts").items():
                    entry.update(_rate(label, rows, medical))
        return result


def _rate(label: str, rows: int, medical: int) -> Mapping[str, Any]:
    name = "recall" if label == "medical" else "false_positive_rate"
    return {f"{label}_rows": rows, name: round(medical / rows, 6)}
