"""What stands where: the state of a run's nodes, the soundness of its files, and the names a recipe may use."""

from __future__ import annotations

from pathlib import Path

from medglot import languages
from medglot.core.artifact import read_artifact, verify
from medglot.core.errors import RecipeError
from medglot.core.find import names
from medglot.core.progress import duration
from medglot.core.shards import ROWS_FOLDER
from medglot.pipeline.recipe import Recipe
from medglot.pipeline.run import look, make_plan
from medglot.pipeline.stages import STAGES

_REGISTRIES = {
    "sources": "medglot.corpus.sources",
    "filters": "medglot.corpus.filters",
    "benchmarks": "medglot.bench.benchmarks",
    "backends": "medglot.models.backends",
    "launchers": "medglot.launch",
}


def status_text(recipe: Recipe, *, runs: Path) -> str:
    """One line a node: finished (when, how long, how large), half-built (shards done), or absent."""
    lines = []
    width = max(len(name) for name in recipe.nodes)
    for name in recipe.nodes:
        folder = runs / recipe.name / name
        found = look(folder)
        if found.manifest is not None:
            origin = found.manifest.provenance
            size = sum(entry["bytes"] for entry in found.manifest.files.values())
            text = f"finished   {origin['started']}  {duration(origin['seconds']):>8}  {size / 1e6:10,.1f} MB"
        elif found.half_built is not None:
            text = f"half-built {len(list((folder / ROWS_FOLDER).glob('*.json')))} shards done"
        else:
            text = "absent"
        lines.append(f"{name:{width}}  {text}")
    return "\n".join(lines)


def check(recipe: Recipe, *, runs: Path) -> list[str]:
    """Faults of a recipe's finished nodes: files missing or changed since, and settings that have drifted. Empty when all is well."""
    faults = []
    for step in make_plan(recipe, runs=runs).steps:
        artifact = read_artifact(runs / recipe.name / step.node.name)
        if artifact is not None:
            faults += verify(artifact)
        faults += [f"{step.node.name} is stale: {change}" for change in step.changes]
    return faults


def list_text(what: str | None) -> str:
    """The names a recipe may use, all of them or of one sort. Raises RecipeError on an unknown sort."""
    known = {"stages": list(STAGES), "languages": languages.codes()}
    sorts = [*known, *_REGISTRIES]
    if what is not None and what not in sorts:
        raise RecipeError(f"list {what}: choose one of {', '.join(sorts)}")
    entries = {sort: known.get(sort) or names(_REGISTRIES[sort]) for sort in ([what] if what else sorts)}
    if what:
        return "\n".join(entries[what])
    return "\n".join(f"{sort}: {', '.join(found)}" for sort, found in entries.items())
