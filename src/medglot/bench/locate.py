"""Where a benchmark's file lies: people keep a benchmark as a folder, as a folder in a folder, or as the zip archive that it was published in.

A member of an archive is read where it is; nothing is unpacked.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from medglot.core.errors import RecipeError

DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError)
"""What reading a damaged archive raises."""

_LARGEST = 2**29
"""Bytes of a member at most, unpacked; a hundred kilobytes can unpack to any size. `zipfile` never reads more than the archive declares."""


def locate(root: Path, file: str) -> Path | zipfile.Path | None:
    """`file`, such as ``Test/French.jsonl``: in the folder `root`, else one level down, else in a zip archive in `root` (or in `root` that is one).

    In an archive, too, it may lie one level down. Hidden folders are passed over. Raises RecipeError where it lies in two such places.
    """
    visible = [path for path in sorted(root.iterdir()) if not path.name.startswith(".")] if root.is_dir() else [root]
    folders = [path for path in visible if path.is_dir()]
    archives = [path for path in visible if path.suffix.lower() == ".zip" and path.is_file()]
    if (root / file).is_file():
        return root / file
    found: list[Path | zipfile.Path] = [folder / file for folder in folders if (folder / file).is_file()]
    found = found or [zipfile.Path(archive, member) for archive in archives for member in _members(archive, file)]
    if len(found) > 1:
        raise RecipeError(f"{file}: there are {len(found)}, {' and '.join(map(str, found))}; keep one of them, or name its own folder as the source")
    return found[0] if found else None


def _members(archive: Path, file: str) -> Iterator[str]:
    try:
        with zipfile.ZipFile(archive) as opened:
            members = [info for info in opened.infolist() if info.filename == file or info.filename.partition("/")[2] == file]
    except DAMAGED as error:
        raise RecipeError(f"{archive}: cannot be read as a zip archive ({error}); fetch it again") from error
    for info in members:
        if info.file_size > _LARGEST:
            raise RecipeError(f"{archive}: {info.filename} would unpack to {info.file_size:,} bytes, more than {_LARGEST:,}; unpack it yourself")
        yield info.filename
