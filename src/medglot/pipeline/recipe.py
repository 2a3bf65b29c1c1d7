"""A recipe: TOML with a table ``[stage.node]`` for every node, checked as a whole before anything runs.

    name = "demo"
    seed = 7

    [corpus.medical]
    sources = [{ kind = "jsonl", path = "sample:text" }]

    [dedup.clean]
    inputs = { documents = "medical" }

Names of nodes are unique in a recipe; `inputs` names them by role. Paths are relative to the recipe's file.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medglot.core.config import Settings, parse, read_toml
from medglot.core.errors import RecipeError
from medglot.core.find import load
from medglot.pipeline.stages import STAGES, Stage

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*\Z")
_TOP_KEYS = {"name": str, "title": str, "notes": str, "seed": int}


@dataclass(frozen=True, slots=True)
class Node:
    """One artifact to make: its name, its stage, checked settings, and the names of its inputs by role."""

    name: str
    stage: str
    settings: Settings
    inputs: Mapping[str, tuple[str, ...]]

    @property
    def kind(self) -> Stage:
        """The entry of this node's stage in the table."""
        return STAGES[self.stage]

    def parents(self) -> list[str]:
        """The names of all inputs."""
        return [name for names in self.inputs.values() for name in names]


@dataclass(frozen=True, slots=True)
class Recipe:
    """A checked recipe; `nodes` come in an order in which every node follows its inputs."""

    name: str
    title: str
    notes: str
    path: Path
    nodes: Mapping[str, Node]

    def downstream(self, names: set[str]) -> set[str]:
        """`names` and every node that is built from one of them, directly or not."""
        found = set(names)
        for node in self.nodes.values():
            if found & set(node.parents()):
                found.add(node.name)
        return found


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Reads and checks a recipe. `overrides` are ``stage.node.key=value`` with the value in TOML.

    Raises RecipeError that lists every fault found, each with the file and the key.
    """
    data = read_toml(path)
    for override in overrides:
        _apply(data, override)
    faults: list[str] = []
    top = {key: data.pop(key, kind()) for key, kind in _TOP_KEYS.items()}
    for key, kind in _TOP_KEYS.items():
        if not isinstance(top[key], kind):
            faults.append(f"{path}: {key}: must be {'a whole number' if kind is int else 'text'} (found {top[key]!r})")
    if faults:
        raise RecipeError("\n".join(faults))
    nodes: dict[str, Node] = {}
    for stage, tables in data.items():
        if stage not in STAGES or not isinstance(tables, dict):
            faults.append(f"{path}: {stage}: no such key or stage; a stage is one of {', '.join(STAGES)}")
            continue
        for name, table in tables.items():
            where = f"{path}: {stage}.{name}"
            if name in nodes:
                faults.append(f"{where}: '{name}' is also a {nodes[name].stage} node; every node needs a name of its own")
                continue
            try:
                nodes[name] = _read_node(path, stage, name, table, seed=top["seed"])
            except RecipeError as error:
                faults += [line if line.startswith(where) else f"{where}: {line}" for line in str(error).splitlines()]
    declared = {name for tables in data.values() if isinstance(tables, dict) for name in tables}
    faults += [fault for node in nodes.values() for fault in _check_inputs(path, node, nodes, declared)]
    if not nodes and not faults:
        faults.append(f"{path}: holds no node; add a table such as [corpus.medical]")
    if faults:
        raise RecipeError("\n".join(faults))
    name = top["name"] or path.stem
    if not _NAME.match(name):
        raise RecipeError(f"{path}: name: '{name}' must be lower-case letters, digits, '.', '_' and '-', since a folder is called so")
    return Recipe(name, top["title"] or name, top["notes"], path, _in_order(path, nodes))


def _read_node(path: Path, stage: str, name: str, table: Any, *, seed: int) -> Node:
    if not isinstance(table, dict):
        raise RecipeError(f"must be a table, [{stage}.{name}]")
    if not _NAME.match(name):
        raise RecipeError("a node's name must be lower-case letters, digits, '.', '_' and '-', since a folder is called so")
    values = {"seed": seed} | table
    inputs: Any = values.pop("inputs", {})
    if not isinstance(inputs, dict):
        raise RecipeError('inputs: must be a table of roles, such as { documents = "clean" }')
    settings = parse(load(STAGES[stage].settings), values, where=f"{path}: {stage}.{name}", root=path.parent.resolve())
    settings.check()
    return Node(name, stage, settings, {role: _names(value) for role, value in inputs.items()})


def _names(value: Any) -> tuple[str, ...]:
    return tuple(str(item) for item in value) if isinstance(value, list) else (str(value),)


def _check_inputs(path: Path, node: Node, nodes: Mapping[str, Node], declared: set[str]) -> list[str]:
    """Faults of a node's inputs; those that are declared but faulty themselves are told of elsewhere."""
    where = f"{path}: {node.stage}.{node.name}.inputs"
    faults = []
    for role, names in node.inputs.items():
        if role not in node.kind.takes:
            offered = ", ".join(node.kind.takes) or "no inputs"
            faults.append(f"{where}.{role}: unknown role; {node.stage} takes {offered}")
            continue
        wanted = node.kind.role(role)
        if wanted.maximum is not None and len(names) > wanted.maximum:
            faults.append(f"{where}.{role}: takes one node, not {len(names)}")
        for name in names:
            if name not in declared:
                faults.append(f"{where}.{role}: no node is called '{name}'; there are {', '.join(sorted(declared))}")
            elif name in nodes and nodes[name].kind.makes != wanted.kind:
                faults.append(f"{where}.{role}: '{name}' makes {nodes[name].kind.makes}, but {wanted.kind} is needed")
    for role in node.kind.takes:
        if len(node.inputs.get(role, ())) < node.kind.role(role).minimum:
            faults.append(f"{where}.{role}: required; name a node that makes {node.kind.role(role).kind}")
    return faults


def _in_order(path: Path, nodes: Mapping[str, Node]) -> dict[str, Node]:
    ordered: dict[str, Node] = {}
    while len(ordered) < len(nodes):
        ready = [node for node in nodes.values() if node.name not in ordered and all(parent in ordered for parent in node.parents())]
        if not ready:
            raise RecipeError(f"{path}: these nodes feed each other in a circle: {', '.join(name for name in nodes if name not in ordered)}")
        ordered[ready[0].name] = ready[0]
    return ordered


def _apply(data: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts):
        raise RecipeError(f"--set {override}: write stage.node.key=value")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text  # a bare word is meant as text
    target: Any = data
    for part in parts[:-1]:
        target = target[_position(target, part, override)] if isinstance(target, list) else _table(target, part, override).setdefault(part, {})
    if isinstance(target, list):
        target[_position(target, parts[-1], override)] = value
    else:
        _table(target, parts[-1], override)[parts[-1]] = value


def _table(target: Any, part: str, override: str) -> dict[str, Any]:
    if not isinstance(target, dict):
        raise RecipeError(f"--set {override}: '{part}' lies below a plain value, {target!r}")
    return target


def _position(target: list[Any], part: str, override: str) -> int:
    if not part.isdecimal() or int(part) >= len(target):
        raise RecipeError(f"--set {override}: '{part}' must be a position from 0 to {len(target) - 1}")
    return int(part)
