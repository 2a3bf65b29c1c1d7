"""The shard: the unit of work, of resume and of distribution.

A stage cuts its input into shards with deterministic names. A shard function writes its files under the folder it is given (atomically) and returns a
`ShardRow`; the row is stored last. After kill -9 only shards without a row are done again, so the result has the bytes of an uninterrupted run.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from medglot.core.balance import Balance
from medglot.core.files import write_json, write_lines

ROWS_FOLDER = ".shards"
QUARANTINE_FOLDER = "quarantine"


@dataclass(frozen=True, slots=True)
class Shard:
    """One piece of work: `name` is unique and stable (``00007``), `payload` holds plain picklable values."""

    name: str
    payload: Any


@dataclass(slots=True)
class ShardRow:
    """What one shard came to: its balance and any numbers that the stage adds up or puts together.

    `quarantined` lists the rows that were set aside, as ``{"where", "kind", "message", "sample"}``; `run_shard` moves them to a file.
    """

    balance: Balance = field(default_factory=Balance)
    numbers: dict[str, Any] = field(default_factory=dict)
    quarantined: list[dict[str, str]] = field(default_factory=list)

    def set_aside(self, where: str, kind: str, message: str, sample: str = "") -> None:
        """Quarantines one row: counts it and remembers where it stood (file and row), what is wrong and its beginning."""
        self.balance.quarantine(kind)
        self.quarantined.append({"where": where, "kind": kind, "message": message, "sample": sample[:200]})


ShardFunction = Callable[[Any, Path, str], ShardRow]
"""A module-level function of (payload, output folder, shard name)."""


class ShardMap(Protocol):
    """What a launcher offers: runs a shard function over shards and returns their rows in the order of the shards."""

    def __call__(self, function: ShardFunction, shards: Sequence[Shard], *, out: Path, title: str) -> list[ShardRow]:
        """Does the open shards, several at a time, and returns all rows; raises StageError that names the shard which failed."""
        ...


def finished_row(out: Path, name: str) -> ShardRow | None:
    """The stored row of a shard that is done, else None."""
    try:
        data: Mapping[str, Any] = json.loads((out / ROWS_FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return ShardRow(Balance.from_json(data["balance"]), data["numbers"])


def run_shard(function: ShardFunction, shard: Shard, out: Path) -> ShardRow:
    """Does one shard and stores its row, which marks it done. Runs in a worker process."""
    row = function(shard.payload, out, shard.name)
    row.balance.check()
    if row.quarantined:
        (out / QUARANTINE_FOLDER).mkdir(exist_ok=True)
        write_lines(out / QUARANTINE_FOLDER / f"{shard.name}.jsonl", row.quarantined)
    (out / ROWS_FOLDER).mkdir(exist_ok=True)
    stored = {key: value for key, value in asdict(row).items() if key == "numbers"} | {"balance": row.balance.to_json()}
    write_json(out / ROWS_FOLDER / f"{shard.name}.json", stored)
    return row


def add_balances(rows: Sequence[ShardRow]) -> Balance:
    """The sum of the shards' balances."""
    total = Balance()
    for row in rows:
        total.add(row.balance)
    return total
