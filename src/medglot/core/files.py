"""Files that are whole or absent, and digests of what they hold.

Everything medglot writes goes to a temporary name beside its target and is renamed, so that a killed run leaves no half file under a real name.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import xxhash

_BLOCK = 1 << 20


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Yields a temporary path beside `target`; on success it is flushed to disk and renamed to `target`, on failure it is removed."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with temporary.open("rb") as handle:
            os.fsync(handle.fileno())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_text(target: Path) -> Iterator[IO[str]]:
    """An open UTF-8 text file with line feeds that becomes `target` only when the block ends well."""
    with atomic_path(target) as path, path.open("w", encoding="utf-8", newline="\n") as handle:
        yield handle


def write_json(target: Path, value: Any) -> None:
    """Writes `value` as indented UTF-8 JSON, atomically."""
    with atomic_text(target) as handle:
        json.dump(value, handle, ensure_ascii=False, indent=2)
        handle.write("\n")


def read_json(path: Path) -> Any:
    """The value in a JSON file, or None when the file is absent or was cut off."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None


def write_lines(target: Path, rows: Iterable[Any]) -> int:
    """Writes `rows` as JSON lines, atomically; returns how many."""
    count = 0
    with atomic_text(target) as handle:
        for row in rows:
            handle.write(json.dumps(row, ensure_ascii=False) + "\n")
            count += 1
    return count


def file_digest(path: Path) -> str:
    """xxh3-128 of a file's bytes, as 32 hex digits."""
    state = xxhash.xxh3_128()
    with path.open("rb") as handle:
        while block := handle.read(_BLOCK):
            state.update(block)
    return state.hexdigest()


def text_digest(text: str) -> str:
    """xxh3-128 of a string's UTF-8 bytes, as 32 hex digits."""
    return xxhash.xxh3_128_hexdigest(text.encode("utf-8"))


def json_digest(value: Any) -> str:
    """xxh3-128 of the canonical JSON of `value` (keys sorted, no spaces)."""
    return text_digest(json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")))


def list_files(root: Path) -> list[Path]:
    """The regular files of a folder in the order of their relative names (hidden ones left out), or [root] when it is a file."""
    if root.is_file():
        return [root]
    found = [path for path in root.rglob("*") if path.is_file() and not any(part.startswith(".") for part in path.relative_to(root).parts)]
    return sorted(found, key=lambda path: path.relative_to(root).as_posix())
