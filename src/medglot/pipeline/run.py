"""Runs a plan: reuse what is finished, resume what is half-built, build the rest, refuse what is stale.

A node is built in its own folder. `.building.json` is written first and names the fingerprint; `manifest.json` is written last. So at any moment the
folder is finished, resumable or nothing.
"""

from __future__ import annotations

import ctypes
import fcntl
import gc
import importlib.metadata
import os
import platform
import shutil
import subprocess
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import medglot
from medglot.core.artifact import BUILDING, MANIFEST, Artifact, Manifest, describe_files, read_artifact, write_manifest
from medglot.core.config import Machine
from medglot.core.errors import MedglotError, RecipeError, StageError, StaleError
from medglot.core.files import json_digest, read_json, write_json
from medglot.core.find import find, load
from medglot.core.markdown import reasons
from medglot.core.progress import duration
from medglot.core.shards import QUARANTINE_FOLDER
from medglot.core.stage import StageContext, StageResult
from medglot.launch.base import Launcher
from medglot.pipeline.identity import DigestStore
from medglot.pipeline.plan import Found, Plan, Step, plan
from medglot.pipeline.recipe import Recipe

_ERROR = ".error.txt"

Say = Callable[[str], None]


def make_plan(recipe: Recipe, *, runs: Path, rebuild: frozenset[str] = frozenset()) -> Plan:
    """Looks at the disk and plans. `runs` is the folder of all runs. Raises RecipeError on an unknown node in `rebuild` or a missing input."""
    unknown = rebuild - recipe.nodes.keys()
    if unknown:
        raise RecipeError(f"--rebuild {', '.join(sorted(unknown))}: no such node in {recipe.path}; it has {', '.join(recipe.nodes)}")
    store = DigestStore(runs / ".digests.json")
    digests = store.digests(recipe)
    store.save()
    return plan(recipe, digests=digests, found={name: look(runs / recipe.name / name) for name in recipe.nodes}, rebuild=rebuild)


def look(folder: Path) -> Found:
    """What a node's folder holds."""
    artifact = read_artifact(folder)
    if artifact is not None:
        return Found(manifest=artifact.manifest)
    mark = read_json(folder / BUILDING)
    return Found(half_built=mark["fingerprint"] if mark else None)


def run(recipe: Recipe, *, machine: Machine, runs: Path, rebuild: frozenset[str] = frozenset(), command: str = "", say: Say = print) -> Plan:
    """Builds every node of a recipe that is not finished. Raises StaleError before anything is built when a finished node has drifted."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch is loaded: spinning threads make a busy machine many times slower
    root = runs / recipe.name
    root.mkdir(parents=True, exist_ok=True)
    with _locked(root):
        planned = make_plan(recipe, runs=runs, rebuild=rebuild)
        stale = planned.with_action("stale")
        if stale:
            raise StaleError(_stale_message(stale))
        launcher = _launcher(machine)
        for position, step in enumerate(planned.steps, 1):
            title = f"[{position}/{len(planned.steps)}] {step.node.name}"
            if step.action == "reuse":
                _clear_scratch(root / step.node.name)
                say(f"{title}: reused")
                continue
            say(f"{title}: {step.node.stage}{' (going on)' if step.action == 'resume' else ''}")
            inputs = {role: tuple(_input(root, name) for name in names) for role, names in step.node.inputs.items()}
            folder = root / step.node.name
            context = StageContext(folder, inputs, machine, launcher.map_shards)
            built = build_node(step, context, command=command)
            say(f"{title}: done in {duration(built.seconds)}")
            for remark in _remarks(built.result, folder):
                say(f"  {remark}")
    return planned


@dataclass(frozen=True, slots=True)
class Built:
    """What a stage returned, and the seconds it took."""

    result: StageResult
    seconds: float


def build_node(step: Step, context: StageContext, *, command: str) -> Built:
    """Builds one node in `context.out` and writes its manifest.

    Raises StageError for any fault of the stage, with the traceback of an unexpected one kept in the node's folder.
    """
    folder = context.out
    if step.action != "resume":
        for name in (MANIFEST, BUILDING):  # first, so that a half-removed folder counts neither as finished nor as half-built
            (folder / name).unlink(missing_ok=True)
        if folder.exists():
            shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / BUILDING, {"fingerprint": step.fingerprint})
    started, clock = datetime.now(UTC), time.monotonic()
    try:
        result: StageResult = load(step.node.kind.function)(step.node.settings, context)
        if result.balance is not None:
            result.balance.check()
    except MedglotError as error:
        error.args = (f"{step.node.name}: {error}",)
        raise
    except Exception as error:
        (folder / _ERROR).write_text(traceback.format_exc(), encoding="utf-8")
        raise StageError(f"{step.node.name}: {type(error).__name__}: {error}\n  (the traceback is in {folder / _ERROR})") from error
    seconds = time.monotonic() - clock
    manifest = Manifest(
        stage=step.node.stage,
        makes=step.node.kind.makes,
        version=step.node.kind.version,
        fingerprint=step.fingerprint,
        identity=step.identity,
        inputs=step.identity["inputs"],
        files=describe_files(folder),
        summary=result.summary,
        balance=result.balance.to_json() if result.balance else None,
        provenance=_provenance(context.machine, command)
        | {"started": started.isoformat(timespec="seconds"), "seconds": round(seconds, 2), "measured": dict(result.measured)},
    )
    write_manifest(folder, manifest)
    _clear_scratch(folder)
    _release_memory()
    return Built(result, seconds)


def _remarks(result: StageResult, folder: Path) -> list[str]:
    """What whoever watches a run should not have to look for: rows that were set aside, a node that kept nothing, the stage's own notes."""
    lines = []
    balance = result.balance
    if balance is not None:
        bad, dropped = balance.quarantined.total(), balance.dropped.total()
        if bad:
            lines.append(f"quarantined {bad:,} of {balance.read:,} rows ({reasons(balance.quarantined)}): see {folder / QUARANTINE_FOLDER}")
        if balance.read and not balance.kept:
            lines.append("nothing was kept" + (f": dropped {dropped:,} rows ({reasons(balance.dropped)})" if dropped else ""))
    return [*lines, *result.notes]


def _launcher(machine: Machine) -> Launcher:
    try:
        kind = find("medglot.launch", machine.launcher)
    except RecipeError as error:
        raise RecipeError(f"launcher: {error}; correct it in the machine file") from error
    launcher: Launcher = kind(machine)
    return launcher


def _input(root: Path, name: str) -> Artifact:
    artifact = read_artifact(root / name)
    if artifact is None:
        raise StageError(f"{root / name / MANIFEST} has disappeared during the run; run again")
    return artifact


def _clear_scratch(folder: Path) -> None:
    """Removes what only a half-built node needs: names that begin with a dot."""
    for path in sorted(folder.rglob(".*"), reverse=True):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _release_memory() -> None:
    """Gives freed memory back to the system: glibc keeps what training's threads freed, and one node's peak would stand on another's."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _stale_message(stale: list[Step]) -> str:
    roots = [step for step in stale if not all(change.startswith("inputs.") for change in step.changes)] or stale[:1]
    lines = []
    for step in roots:
        lines += [f"{step.node.name} was built from other settings than the recipe now has:"] + [f"  {change}" for change in step.changes]
    others = [step.node.name for step in stale if step not in roots]
    if others:
        lines.append(f"built from it and stale too: {', '.join(others)}")
    flags = " ".join(f"--rebuild {step.node.name}" for step in roots)
    lines.append(f"Restore the settings, or replace what was built: {flags}")
    return "\n".join(lines)


@contextmanager
def _locked(root: Path) -> Iterator[None]:
    """Keeps a second run out of the same folder; the lock dies with the process."""
    with (root / ".lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StageError(f"{root}: another medglot run is at work here; wait for it, or name another folder with --runs") from error
        yield


def _provenance(machine: Machine, command: str) -> dict[str, Any]:
    packages = {item.name: item.version for item in importlib.metadata.distributions()}
    return {
        "medglot": medglot.__version__,
        **_commit(),
        "python": platform.python_version(),
        "packages": json_digest(packages),
        "versions": {name: packages[name] for name in ("torch", "transformers", "tokenizers", "peft", "numpy", "pyarrow") if name in packages},
        "command": command,
        "machine": machine.model_dump() | {"system": platform.platform(), "processor": platform.machine(), "cores": machine.cores},
    }


def _commit() -> dict[str, Any]:
    """The commit of medglot's own source tree, when it runs from one."""
    folder = Path(medglot.__file__).parent
    git = ["git", "-C", str(folder)]
    try:
        commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10, check=True).stdout.strip()
        changed = subprocess.run([*git, "status", "--porcelain", "."], capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return {"commit": None, "dirty": None}
    return {"commit": commit, "dirty": bool(changed)}
