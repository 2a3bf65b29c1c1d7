"""What a node is: stage, version, settings with content in place of paths, and the fingerprints of its inputs.

Never in it: paths, workers, devices, time. Everything a name stands for is: the digest of a local folder, of a language's file, a plugin's version.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medglot.core.errors import RecipeError
from medglot.core.files import file_digest, json_digest, list_files, read_json, write_json
from medglot.pipeline.recipe import Node, Recipe


def content_paths(node: Node) -> dict[str, Path]:
    """The files and folders that a node's settings point to, by dotted key."""
    return {key: value for key, value in flatten(node.settings.model_dump()).items() if isinstance(value, Path)}


def node_identity(node: Node, *, digests: Mapping[Path, str], fingerprints: Mapping[str, str]) -> dict[str, Any]:
    """The identity of a node as plain JSON. `digests` holds its content paths', `fingerprints` its inputs'."""
    return {
        "stage": node.stage,
        "version": node.kind.version,
        "settings": _plain(node.settings.model_dump(), digests),
        "depends": dict(node.settings.depends()),
        "inputs": {role: [[name, fingerprints[name]] for name in names] for role, names in node.inputs.items()},
    }


def fingerprint(identity: Mapping[str, Any]) -> str:
    """The digest of an identity, 32 hex digits."""
    return json_digest(identity)


def flatten(value: Any, prefix: str = "") -> dict[str, Any]:
    """Nested tables and lists as one table with dotted keys."""
    if isinstance(value, Mapping):
        items = [(str(key), item) for key, item in value.items()]
    elif isinstance(value, list | tuple):
        items = [(str(position), item) for position, item in enumerate(value)]
    else:
        return {prefix: value}
    return {name: leaf for key, item in items for name, leaf in flatten(item, f"{prefix}.{key}" if prefix else key).items()}


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What differs between two identities, field by field: ``filters.0.min_words: 3 -> 4``."""
    lines = []
    before, after = _fields(old), _fields(new)
    for key in sorted(before.keys() | after.keys()):
        one, two = before.get(key, "absent"), after.get(key, "absent")
        if one == two:
            continue
        name = key.removeprefix("settings.")
        if key.startswith("inputs."):
            lines.append(f"{name} has changed")
        elif key.startswith("depends.") or _is_digest(one) or _is_digest(two):
            lines.append(f"{name.removeprefix('depends.')}: content has changed")
        else:
            lines.append(f"{name}: {one} -> {two}")
    return list(dict.fromkeys(lines))


def _fields(identity: Mapping[str, Any]) -> dict[str, Any]:
    """An identity flattened, each input under its role and node name rather than its position."""
    named = {role: dict(pairs) for role, pairs in identity["inputs"].items()}
    return flatten(dict(identity) | {"inputs": named})


def _is_digest(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("content:")


def _plain(value: Any, digests: Mapping[Path, str]) -> Any:
    if isinstance(value, Path):
        return f"content:{digests[value]}"
    if isinstance(value, Mapping):
        return {str(key): _plain(item, digests) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, digests) for item in value]
    return value


class DigestStore:
    """Digests of files and folders, remembered by size and time of change so that a large input is read once."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._known: dict[str, Any] = read_json(file) or {}
        self._dirty = False

    def digests(self, recipe: Recipe) -> dict[Path, str]:
        """The digests of all content paths of a recipe. Raises RecipeError that names key and path of what is missing."""
        found: dict[Path, str] = {}
        for node in recipe.nodes.values():
            for key, path in content_paths(node).items():
                if not path.exists():
                    raise RecipeError(
                        f"{recipe.path}: {node.stage}.{node.name}.{key}: {path} does not exist; paths are relative to the recipe's file"
                    )
                found[path] = self._tree(path)
        return found

    def save(self) -> None:
        """Remembers what was read."""
        if self._dirty:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            write_json(self._file, self._known)

    def _tree(self, path: Path) -> str:
        """A folder's digest covers relative names and contents: moving or copying it changes nothing, editing it does."""
        if path.is_file():
            return self._digest(path)
        return json_digest([[file.relative_to(path).as_posix(), self._digest(file)] for file in list_files(path)])

    def _digest(self, file: Path) -> str:
        status = file.stat()
        stamp = [status.st_size, status.st_mtime_ns, status.st_ino]
        known = self._known.get(str(file))
        if known is None or known[:3] != stamp:
            known = [*stamp, file_digest(file)]
            self._known[str(file)] = known
            self._dirty = True
        return str(known[3])
