"""A finished artifact: a folder whose `manifest.json`, written last and atomically, says what it is and what made it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from medglot.core.balance import Balance
from medglot.core.errors import StageError
from medglot.core.files import file_digest, list_files, write_json

MANIFEST = "manifest.json"
BUILDING = ".building.json"
"""The mark of a node that is being built; it names the fingerprint."""

MODEL = "model"
"""The folder of a training node in which its complete model stands."""

TOO_SMALL = 1_000_000_000
"""Parameters under which a model is said to have no medical value."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an artifact is.

    `fingerprint` is the digest of `identity` (stage, version, settings, input fingerprints). `inputs` maps each role to the names and fingerprints of
    the nodes it was built from. `files` maps relative names to ``{"bytes", "xxh3"}``. `summary` holds the stage's numbers, equal for equal
    fingerprints; `balance` the counts of rows where the stage handles rows. `provenance` is everything that may differ between two equal runs:
    commit, command, machine, package versions, seconds.
    """

    stage: str
    makes: str
    version: int
    fingerprint: str
    identity: Mapping[str, Any]
    inputs: Mapping[str, Any]
    files: Mapping[str, Any]
    summary: Mapping[str, Any]
    balance: Mapping[str, Any] | None
    provenance: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Artifact:
    """A finished node: its name, its folder and its manifest."""

    name: str
    path: Path
    manifest: Manifest

    def files(self, pattern: str) -> list[Path]:
        """The artifact's files whose relative name matches the glob `pattern`, in order of name."""
        return sorted(self.path.glob(pattern))

    @property
    def balance(self) -> Balance:
        """The counts of rows; zero where the stage handles none."""
        return Balance.from_json(self.manifest.balance) if self.manifest.balance else Balance()


def read_artifact(path: Path) -> Artifact | None:
    """The artifact in a folder, or None when it is absent or unfinished. Raises StageError when the manifest is damaged."""
    file = path / MANIFEST
    try:
        return Artifact(path.name, path, Manifest(**json.loads(file.read_text(encoding="utf-8"))))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise StageError(f"{file}: not a manifest ({error}); delete this file and run again") from error


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Finishes an artifact: after this call its folder counts as done."""
    write_json(path / MANIFEST, asdict(manifest))


def describe_files(path: Path) -> dict[str, dict[str, Any]]:
    """Size and xxh3-128 of every file of an artifact, by relative name."""
    return {
        file.relative_to(path).as_posix(): {"bytes": file.stat().st_size, "xxh3": file_digest(file)}
        for file in list_files(path)
        if file.name != MANIFEST
    }


def verify(artifact: Artifact) -> list[str]:
    """What is wrong with an artifact's files, one line each: missing, changed or not in the manifest. Empty when all is well."""
    found = describe_files(artifact.path)
    faults = [f"{artifact.name}: {name} is missing" for name in artifact.manifest.files if name not in found]
    for name, entry in found.items():
        expected = artifact.manifest.files.get(name)
        if expected is None:
            faults.append(f"{artifact.name}: {name} is not in the manifest")
        elif expected != entry:
            faults.append(f"{artifact.name}: {name} was changed after the node was finished")
    return faults


def model_folder(node: Path) -> Path:
    """Where the Hugging Face layout begins in a node that makes a model: in `MODEL` after training, in the node's folder itself after an export.

    Raises StageError when neither holds a model.
    """
    for folder in (node / MODEL, node):
        if (folder / "config.json").is_file():
            return folder
    raise StageError(f"{node}: holds no model: there is no config.json in it, nor in its folder model/")
