"""What a launcher is: something that maps a shard function over shards and can be interrupted at any moment."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from medglot.core.config import Machine
from medglot.core.shards import Shard, ShardFunction, ShardRow


class Launcher(Protocol):
    """Built once a run from the machine file."""

    def __init__(self, machine: Machine) -> None: ...

    def map_shards(self, function: ShardFunction, shards: Sequence[Shard], *, out: Path, title: str) -> list[ShardRow]:
        """See `medglot.core.shards.ShardMap`."""
        ...
