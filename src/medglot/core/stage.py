"""What the spine and a stage say to each other.

A stage is one settings class and one function ``build(settings, context) -> StageResult``. The function writes its files under `context.out` and
nothing else anywhere; it may find there what an interrupted run of the same fingerprint left, and goes on from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medglot.core.artifact import Artifact
from medglot.core.balance import Balance
from medglot.core.config import Machine
from medglot.core.shards import ShardMap


@dataclass(frozen=True, slots=True)
class StageResult:
    """What a stage returns for its manifest.

    `summary` is plain JSON, deterministic: equal fingerprints give equal summaries. `measured` holds what may differ from run to run (tokens per
    second, peak memory) and goes to the manifest's provenance. `notes` are lines that whoever watches should read at once; they are kept nowhere, so
    what they tell must stand in the summary too.
    """

    summary: Mapping[str, Any]
    balance: Balance | None = None
    measured: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StageContext:
    """What a stage is given: where to write, its inputs by role, the machine, and the launcher's map over shards."""

    out: Path
    inputs: Mapping[str, tuple[Artifact, ...]]
    machine: Machine
    map_shards: ShardMap

    def all(self, role: str) -> tuple[Artifact, ...]:
        """The input artifacts of a role, in the recipe's order; empty when there are none."""
        return self.inputs.get(role, ())

    def one(self, role: str) -> Artifact:
        """The only input of a role; the recipe's check has made sure that there is one."""
        (artifact,) = self.inputs[role]
        return artifact

    def optional(self, role: str) -> Artifact | None:
        """The input of a role that may be absent."""
        found = self.inputs.get(role, ())
        return found[0] if found else None
