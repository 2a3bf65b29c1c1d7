"""Conservation: what a data stage read equals what it kept, dropped by reason and quarantined by error."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from medglot.core.errors import StageError


@dataclass(slots=True)
class Balance:
    """Running counts of rows. `dropped` is keyed by reason, `quarantined` by the error's short name."""

    read: int = 0
    kept: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    quarantined: Counter[str] = field(default_factory=Counter)

    def keep(self, count: int = 1) -> None:
        """Counts rows that were read and kept."""
        self.read += count
        self.kept += count

    def drop(self, reason: str, count: int = 1) -> None:
        """Counts rows that were read and dropped for `reason`."""
        self.read += count
        self.dropped[reason] += count

    def quarantine(self, kind: str, count: int = 1) -> None:
        """Counts rows (or whole unreadable files, as one row) that were set aside as bad."""
        self.read += count
        self.quarantined[kind] += count

    def add(self, other: Balance) -> None:
        """Adds the counts of `other`, such as another shard's."""
        self.read += other.read
        self.kept += other.kept
        self.dropped.update(other.dropped)
        self.quarantined.update(other.quarantined)

    def check(self) -> None:
        """Raises StageError unless read = kept + dropped + quarantined."""
        out = self.kept + self.dropped.total() + self.quarantined.total()
        if self.read != out:
            raise StageError(
                f"rows do not balance: read {self.read}, but kept {self.kept} + dropped {self.dropped.total()} + quarantined "
                f"{self.quarantined.total()} = {out}; this is a defect of the stage, please report it"
            )

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, reasons sorted so that equal balances are equal bytes."""
        return {
            "read": self.read,
            "kept": self.kept,
            "dropped": dict(sorted(self.dropped.items())),
            "quarantined": dict(sorted(self.quarantined.items())),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Balance:
        """The inverse of `to_json`."""
        return cls(data["read"], data["kept"], Counter(data["dropped"]), Counter(data["quarantined"]))
