"""Stage `export`: a trained model as a folder that people load, serve and upload, with a card that tells what it was made from.

The node's folder is itself the Hugging Face folder. Data, settings and losses for the card are read from the manifests of the nodes that led to the
model; their fingerprints are part of the model's, so the card is as much a function of the recipe as the weights are.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from medglot.core.artifact import MANIFEST, Artifact, model_folder, read_artifact
from medglot.core.errors import StageError
from medglot.core.files import atomic_path, atomic_text, list_files
from medglot.core.stage import StageContext, StageResult
from medglot.models.weights import load_causal_lm, load_tokenizer, save_causal_lm
from medglot.train.card import Origin, model_card
from medglot.train.settings import ExportSettings

CARD = "README.md"


def build(settings: ExportSettings, context: StageContext) -> StageResult:
    """Runs the stage. Raises StageError when scores are of another model, or documents did not go into this one."""
    model = context.one("model")
    folder = model_folder(model.path)
    origin = _origin(model, folder, documents=context.all("documents"), scores=context.all("scores"))
    if settings.dtype == "keep":
        _copy(folder, context.out)
    else:
        save_causal_lm(load_causal_lm(folder, dtype=settings.dtype), load_tokenizer(folder), context.out)
    name = " ".join(settings.name.split()) or model.name
    with atomic_text(context.out / CARD) as card:
        card.write(model_card(settings, origin, name=name))
    parameters = origin.trained[-1].manifest.summary.get("parameters") if origin.trained else None
    return StageResult({"name": name, "license": settings.license, "languages": origin.languages(), "parameters": parameters})


def ancestry(artifact: Artifact) -> list[Artifact]:
    """All nodes that an artifact was made from, each after its own inputs, and the artifact last.

    Raises StageError for one whose folder is gone or holds something else by now.
    """
    found: dict[str, Artifact] = {}

    def visit(node: Artifact) -> None:
        for name, fingerprint in (pair for pairs in node.manifest.inputs.values() for pair in pairs):
            if name in found:
                continue
            parent = read_artifact(artifact.path.parent / name)
            if parent is None or parent.manifest.fingerprint != fingerprint:
                state = "is gone" if parent is None else "has been replaced"
                raise StageError(f"{artifact.path.parent / name}: {node.name} was made from it, but it {state}; run the recipe again")
            visit(parent)
        found[node.name] = node

    visit(artifact)
    return list(found.values())


def _origin(model: Artifact, folder: Path, *, documents: Sequence[Artifact], scores: Sequence[Artifact]) -> Origin:
    nodes = ancestry(model)
    names = {node.name for node in nodes}
    for node in documents:
        if node.name not in names:
            raise StageError(f"documents '{node.name}' did not go into the model '{model.name}'; take them out of the export's inputs")
    for node in scores:
        if model.name not in {maker.name for maker in ancestry(node)}:
            raise StageError(f"scores '{node.name}' are not of the model '{model.name}'; take them out of the export's inputs")
    used = {name for node in nodes if node.manifest.stage == "tokens" for name, _ in node.manifest.inputs.get("documents", ())}
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return Origin(config, nodes, list(documents) or [node for node in nodes if node.name in used], scores)


def _copy(source: Path, target: Path) -> None:
    """Copies a model's files one by one, each whole or absent; one that an interrupted run has copied already stays.

    Copies and not hard links: who edits an export must not change the node that it came from.
    """
    for file in list_files(source):
        name = file.relative_to(source)
        if name.as_posix() in (MANIFEST, CARD) or (target / name).exists():
            continue
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(target / name) as path:
            shutil.copyfile(file, path)
