"""What a person writes: TOML checked by pydantic, every complaint naming the file, the key and the remedy.

Two kinds of settings that never mix: a stage's `Settings` say *what* is made and enter its fingerprint; the `Machine` says *how* and never does.
A `ContentPath` in settings stands for the content it points to: identity holds its digest, never the path.
"""

from __future__ import annotations

import importlib.resources
import os
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, ValidationInfo

from medglot.core.errors import RecipeError

Model = TypeVar("Model", bound=BaseModel)


def _resolve(value: Any, info: ValidationInfo) -> Any:
    """Makes a path absolute: ``sample:x`` lies in the package, anything else is relative to the file that names it."""
    if not isinstance(value, str):
        return value
    if value.startswith("sample:"):
        return Path(str(importlib.resources.files("medglot.samples"))) / value.removeprefix("sample:")
    root = (info.context or {}).get("root", Path())
    return Path(os.path.normpath(Path(root) / Path(value).expanduser()))


ContentPath = Annotated[Path, BeforeValidator(_resolve)]
"""A file or folder whose *content* is part of what is made."""


class Strict(BaseModel):
    """Base of everything a person writes: unknown keys are errors, values do not change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class HubSource(Strict):
    """Something on the Hugging Face Hub, pinned: `revision` is a commit hash or tag and has no default."""

    hub: str
    revision: str


class PathSource(Strict):
    """Something in a local folder."""

    path: ContentPath


_CHOICES = (HubSource.__name__, PathSource.__name__)
"""Names that pydantic puts into an error's key where it tried one source after the other."""

_TABLE, _LIST = "must be a table, such as { key = value }", "must be a list, such as [...]"
_WANTED = {"model_type": _TABLE, "dict_type": _TABLE, "tuple_type": _LIST, "list_type": _LIST, "path_type": "must be a path in quotes"}
"""What TOML calls the thing that is missing, by pydantic's type of error."""


class Settings(Strict):
    """Base of every stage's settings. `seed` is the recipe's unless the node says otherwise."""

    seed: int = 0

    def depends(self) -> Mapping[str, str]:
        """Digests of things a name in the settings stands for (a language's TOML, a plugin's version), by a readable name."""
        return {}

    def check(self) -> None:
        """Raises RecipeError for what only the values together show (a missing path, an unknown plugin). Reads no data."""


class Machine(Strict):
    """Where a recipe runs. Nothing here changes what is made.

    `workers` counts processes of the data stages; `threads` those of one training or inference process (0 = the cores this process may use). On a CPU
    training gives equal bytes with any of them; the last bits of a model's log-probabilities may depend on `threads` and the device.
    """

    name: str = "laptop"
    launcher: str = "local"
    workers: int = Field(0, ge=0)
    threads: int = Field(0, ge=0)
    device: Literal["auto", "cpu", "cuda"] = "auto"
    micro_batch_tokens: int = Field(8192, ge=1)
    batch_tokens: int = Field(16384, ge=1)

    @property
    def cores(self) -> int:
        """Cores this process may run on."""
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

    @property
    def worker_count(self) -> int:
        """`workers`, or the cores when it is 0."""
        return self.workers or self.cores

    @property
    def thread_count(self) -> int:
        """`threads`, or the cores when it is 0."""
        return self.threads or self.cores


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file. Raises RecipeError that names file and place."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RecipeError(f"{path}: no such file") from error
    except IsADirectoryError as error:
        raise RecipeError(f"{path}: is a folder; name the TOML file in it") from error
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read ({error.strerror}); check the path and its permissions") from error
    except UnicodeDecodeError as error:
        raise RecipeError(f"{path}: not UTF-8 at byte {error.start}; save the file as UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{path}: not valid TOML: {error}") from error


def parse(model: type[Model], data: Mapping[str, Any], *, where: str, root: Path) -> Model:
    """`data` as `model`; paths in it are relative to `root`. Raises RecipeError that lists every wrong key under `where`."""
    try:
        return model.model_validate(data, context={"root": root})
    except ValidationError as error:
        lines = [f"{where}: {line}" for item in _telling(error.errors()) for line in _complaint(item, model).splitlines()]
        raise RecipeError("\n".join(dict.fromkeys(lines))) from error


def _telling(items: Sequence[Any]) -> list[Any]:
    """The errors that a person can act on: of a choice between sources those of the one meant, and no count of a list with faulty entries."""
    faults = Counter(_choice(item["loc"]) for item in items)
    meant: dict[tuple[Any, ...], str] = {}
    for place, kind in faults:
        if kind and (place not in meant or faults[place, kind] < faults[place, meant[place]]):
            meant[place] = kind
    told = []
    for item in items:
        loc = item["loc"]
        place, kind = _choice(loc)
        uncounted = item["type"] == "too_short" and any(len(other["loc"]) > len(loc) and other["loc"][: len(loc)] == loc for other in items)
        if not uncounted and (not kind or meant[place] == kind):
            told.append(item)
    return told


def _choice(loc: tuple[Any, ...]) -> tuple[tuple[Any, ...], str]:
    """Where an error's key passes through a choice between sources, and the source; an empty name where it passes through none."""
    position = next((position for position, part in enumerate(loc) if part in _CHOICES), None)
    return ((), "") if position is None else (loc[:position], loc[position])


def _complaint(item: Any, model: type[BaseModel]) -> str:
    key = ".".join(str(part) for part in item["loc"] if part not in _CHOICES)
    if item["type"] == "extra_forbidden":
        known = ", ".join(sorted(model.model_fields)) if len(item["loc"]) == 1 else ""
        return f"{key}: unknown key; remove it or correct its spelling" + (f" (known here: {known})" if known else "")
    if item["type"] == "missing":
        return f"{key}: this key is required; add it"
    if item["type"] == "value_error":
        return "\n".join(f"{key}: {line}".removeprefix(": ") for line in str(item["ctx"]["error"]).splitlines())
    return f"{key}: {_WANTED.get(item['type'], item['msg'])} (found {item['input']!r})"
