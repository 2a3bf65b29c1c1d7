"""Writes docs/reference.md: every stage with its inputs and settings, every filter and source, from the code itself. A test holds the page to it."""

import inspect
import sys
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from medglot.core.config import Machine
from medglot.core.find import find, load, names
from medglot.core.markdown import section
from medglot.pipeline.stages import STAGES

PAGE = Path(__file__).parents[1] / "docs" / "reference.md"
HEAD = """# Reference

Written by `.ci/reference.py` from the code; do not edit. A recipe holds `name`, `title`, `notes`, `seed`, and a table `[stage.node]` for every node,
with `inputs` by role and the settings below; every stage also takes a `seed` of its own, by default the recipe's. Marks of inputs: `+` one or more,
`*` any number, `?` at most one. Paths are relative to the recipe's file; `sample:` is the data that comes with medglot."""


WORDS = {"int": "whole number", "float": "number", "str": "text", "bool": "true or false", "Path": "path"}
SOURCES = {"HubSource": "`{ hub, revision }`", "PathSource": "`{ path }`"}


def table(title: str, model: type[BaseModel], *, skip: tuple[str, ...] = ()) -> str:
    """A heading, what the class says of itself, and a row for each of its fields."""
    rows: list[tuple[str, str, str, str]] = [("key", "type", "default", "meaning")]
    for name, field in model.model_fields.items():
        if name not in ("seed", *skip):
            rows.append((f"`{name}`", kind(field.annotation), default(field.get_default(call_default_factory=True)), field.description or ""))
    text = inspect.cleandoc(model.__doc__ or "")
    return "\n\n".join(part for part in (f"### {title}", text, section("", rows, level=0).strip()) if part)


def kind(annotation: Any) -> str:
    """A type in the words of someone who writes TOML."""
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return kind(inner[0])
    if origin in (typing.Literal, typing.Union, types.UnionType):
        words = [f'`"{part}"`' if isinstance(part, str) else kind(part) for part in inner if part is not type(None)]
        return " or ".join(dict.fromkeys(words))
    if origin is tuple:
        return f"list of {kind(inner[0])}" if inner[-1] is Ellipsis else ", ".join(kind(part) for part in inner)
    if origin is not None and issubclass(origin, Mapping):
        return f"table of {kind(inner[1])}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return SOURCES.get(annotation.__name__, annotation.__name__.removesuffix("Settings").lower())
    return WORDS[annotation.__name__]


def default(value: Any) -> str:
    """A default as it would be written, or that there is none."""
    if value is PydanticUndefined:
        return "required"
    if isinstance(value, BaseModel):
        return "see below"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple | dict):
        return f"`{[*value]}`" if value else "none"
    return "" if value is None else f"`{value}`" if value != "" else '`""`'


def page() -> str:
    """The whole page."""
    parts = [HEAD, "## Stages"]
    for name, stage in STAGES.items():
        model = load(stage.settings)
        takes = ", ".join(f"`{role}`: {kind}" for role, kind in stage.takes.items()) or "nothing"
        parts.append(table(f"`{name}`", model) + f"\n\nTakes {takes}. Makes {stage.makes}.")
    for title, folder, skip in (("Sources", "medglot.corpus.sources", ("kind",)), ("Filters", "medglot.corpus.filters", ("name",))):
        parts.append(f"## {title}")
        parts += [table(f"`{name}`", find(folder, name), skip=skip) for name in names(folder)]
    training = "medglot.train.settings"
    parts += [
        "## Tables inside settings",
        table("`architecture`", load(f"{training}:Architecture")),
        table("`lora`", load(f"{training}:LoraSettings")),
    ]
    parts += ["## Machine files", table("`machines/*.toml`", Machine)]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"{PAGE} is up to date\n")
