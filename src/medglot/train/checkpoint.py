"""Checkpoints that are whole or do not count.

A checkpoint is a folder with the state and, written last, `done.json` with the digest of the state. The newest whose digest agrees is taken up again;
a torn one is passed over and named. The log so far lies in it too, so that a resumed run writes the log of an uninterrupted one.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from medglot.core.files import atomic_path, file_digest, write_json

FOLDER = ".checkpoints"
_STATE, _DONE, _KEEP = "state.safetensors", "done.json", 2


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """All that the rest of a run depends on: steps done, tensors (master weights and optimiser) by name, and the log's rows."""

    step: int
    tensors: Mapping[str, Tensor]
    log: list[dict[str, Any]]


@dataclass(slots=True)
class Found:
    """The newest whole checkpoint, if there is any, and the names of torn ones that are newer."""

    checkpoint: Checkpoint | None = None
    torn: list[str] = field(default_factory=list)


def save(out: Path, checkpoint: Checkpoint) -> None:
    """Writes a checkpoint under `out`, then removes all but the last two."""
    folder = out / FOLDER / f"step-{checkpoint.step:06d}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with atomic_path(folder / _STATE) as path:
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in checkpoint.tensors.items()}, path)
    write_json(folder / _DONE, {"step": checkpoint.step, "digest": file_digest(folder / _STATE), "log": checkpoint.log})
    for old in _folders(out)[:-_KEEP]:
        shutil.rmtree(old)


def newest(out: Path) -> Found:
    """The newest whole checkpoint under `out`."""
    found = Found()
    for folder in reversed(_folders(out)):
        try:
            done = json.loads((folder / _DONE).read_text(encoding="utf-8"))
            if file_digest(folder / _STATE) == done["digest"]:
                found.checkpoint = Checkpoint(done["step"], load_file(folder / _STATE), done["log"])
                return found
        except (FileNotFoundError, ValueError, KeyError, SafetensorError):
            pass  # torn: counted below
        found.torn.append(folder.name)
    return found


def remove(out: Path) -> None:
    """Removes all checkpoints under `out`: the run is over."""
    shutil.rmtree(out / FOLDER, ignore_errors=True)


def _folders(out: Path) -> list[Path]:
    """Oldest first, by number: beyond a million steps the names no longer sort as text."""
    return sorted((out / FOLDER).glob("step-*"), key=lambda folder: int(folder.name.removeprefix("step-")))
