"""What a run would do, decided from values alone: no disk, no network, no torch.

`plan` compares the fingerprint that each node should have with what was found in its folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from medglot.core.artifact import Manifest
from medglot.pipeline.identity import changes, fingerprint, node_identity
from medglot.pipeline.recipe import Node, Recipe

Action = Literal["reuse", "build", "resume", "stale", "rebuild"]


@dataclass(frozen=True, slots=True)
class Found:
    """What stands in a node's folder: a finished manifest, or the fingerprint of a half-built one, or nothing."""

    manifest: Manifest | None = None
    half_built: str | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One node of a plan. `changes` says field by field why it is stale."""

    node: Node
    identity: Mapping[str, Any]
    fingerprint: str
    action: Action
    changes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps of a run, in order."""

    recipe: Recipe
    steps: tuple[Step, ...]

    def with_action(self, *actions: Action) -> list[Step]:
        """The steps whose action is one of these."""
        return [step for step in self.steps if step.action in actions]


def plan(recipe: Recipe, *, digests: Mapping[Path, str], found: Mapping[str, Found], rebuild: frozenset[str] = frozenset()) -> Plan:
    """The plan of a recipe.

    `digests` holds the digests of all content paths, `found` what each node's folder holds. Nodes in `rebuild` are replaced, and so is what becomes
    stale downstream of them.
    """
    replaced = recipe.downstream(set(rebuild))
    fingerprints: dict[str, str] = {}
    steps = []
    for node in recipe.nodes.values():
        identity = node_identity(node, digests=digests, fingerprints=fingerprints)
        mark = fingerprints[node.name] = fingerprint(identity)
        state = found.get(node.name, Found())
        action: Action
        differences: tuple[str, ...] = ()
        if state.manifest is None:
            action = "resume" if state.half_built == mark else "build"
        elif node.name in rebuild:
            action = "rebuild"
        elif state.manifest.fingerprint == mark:
            action = "reuse"
        else:
            action = "rebuild" if node.name in replaced else "stale"
            differences = tuple(changes(state.manifest.identity, identity))
        steps.append(Step(node, identity, mark, action, differences))
    return Plan(recipe, tuple(steps))


def plan_text(planned: Plan, *, costs: Mapping[str, str] | None = None) -> str:
    """A plan as lines for a person: the action, the node, its stage and inputs, what has changed, and what building it costs (`costs`, by node)."""
    lines = [f"{planned.recipe.title}  ({planned.recipe.path})", ""]
    width = max(len(step.node.name) for step in planned.steps)
    stage_width = max(len(step.node.stage) for step in planned.steps)
    for step in planned.steps:
        sources = ", ".join(step.node.parents())
        lines.append(f"  {step.action:8}{step.node.name:{width}}  {step.node.stage:{stage_width}}  {'<- ' + sources if sources else ''}".rstrip())
        lines += [f"          {change}" for change in step.changes]
        if costs and step.node.name in costs and step.action != "reuse":
            lines.append(f"          {costs[step.node.name]}")
    counts = {action: len(planned.with_action(action)) for action in ("reuse", "build", "resume", "rebuild", "stale")}
    lines += ["", "  " + ", ".join(f"{count} to {action}" if action != "stale" else f"{count} stale" for action, count in counts.items() if count)]
    return "\n".join(lines)
