"""What the training nodes of a recipe will cost, as far as the recipe alone says: no data are read and no torch is loaded.

Where the recipe does not know (a base from outside, a vocabulary that comes with it, epochs over data still to be made), nothing is said.
"""

from __future__ import annotations

import dataclasses

from medglot.core.config import Machine
from medglot.pipeline.recipe import Node, Recipe
from medglot.train.cost import LAYER_MATRICES, Cost, Shape, training_cost
from medglot.train.settings import Architecture, FinetuneSettings, PretrainSettings, TokensSettings, TrainingSettings


def cost_lines(recipe: Recipe, *, machine: Machine) -> dict[str, str]:
    """A line for every node of `pretrain` and `finetune` whose size is known."""
    vocabularies: dict[str, int] = {}
    shapes: dict[str, Shape] = {}
    lines = {}
    for node in recipe.nodes.values():  # every node follows its inputs
        settings = node.settings
        if isinstance(settings, TokensSettings):
            vocabulary = _vocabulary(node, settings, vocabularies, shapes)
            if vocabulary is not None:
                vocabularies[node.name] = vocabulary
            continue
        shape = _shape(node, vocabularies, shapes)
        if shape is None:
            continue
        shapes[node.name] = shape
        if isinstance(settings, TrainingSettings) and not _unknown_modules(settings):
            lines[node.name] = _line(training_cost(settings, shape, machine=machine), machine=machine)
    return lines


def _vocabulary(node: Node, settings: TokensSettings, vocabularies: dict[str, int], shapes: dict[str, Shape]) -> int | None:
    """The entries of a tokens node's vocabulary: at most, where it is still to be trained."""
    if tokenizer := node.inputs.get("tokenizer"):
        return vocabularies.get(tokenizer[0])
    if model := node.inputs.get("model"):
        return shapes[model[0]].vocabulary if model[0] in shapes else None
    return settings.vocabulary_size


def _shape(node: Node, vocabularies: dict[str, int], shapes: dict[str, Shape]) -> Shape | None:
    """The shape of the model that a node makes: its input's, or that of its architecture."""
    if node.kind.makes != "model":
        return None
    if model := node.inputs.get("model"):
        return shapes.get(model[0])
    if not isinstance(node.settings, PretrainSettings) or node.settings.base is not None:
        return None
    vocabulary = vocabularies.get(node.inputs["tokens"][0])
    return None if vocabulary is None else Shape.from_architecture(node.settings.architecture or Architecture(), vocabulary=vocabulary)


def _unknown_modules(settings: TrainingSettings) -> bool:
    return isinstance(settings, FinetuneSettings) and not set(settings.lora.target_modules) <= set(LAYER_MATRICES)


def _line(cost: Cost, *, machine: Machine) -> str:
    parts = [f"at most {_short(cost.parameters)} parameters"]
    if cost.trained_parameters < cost.parameters:
        parts.append(f"{_short(cost.trained_parameters)} of them trained")
    if cost.tokens is not None and cost.flops is not None:
        parts += [f"{_short(cost.tokens)} tokens", f"{cost.flops:.2g} FLOPs"]
    place = "GPU" if machine.device == "cuda" else f"CPU, {machine.thread_count} threads"
    memory = ", ".join(f"{field.name} {_short(getattr(cost.memory, field.name), 'B')}" for field in dataclasses.fields(cost.memory))
    return f"{', '.join(parts)}; memory ({place}) {_short(cost.memory.total, 'B')}: {memory}"


def _short(number: int, unit: str = "") -> str:
    """A number of three digits with a prefix to its unit: ``"6.42 M"``, ``"35.8 MB"``."""
    thousands = int(f"{number:.2e}".partition("e")[2]) // 3
    return f"{number / 1000**thousands:.3g} {' kMGTPE'[thousands].strip()}{unit}".rstrip()
