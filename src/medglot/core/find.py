"""The folder is the registry: a name finds its file, with no decorator and no effect at import.

``length`` looked up in ``medglot.corpus.filters`` is the module ``medglot/corpus/filters/length.py``; ``mylab.filters:Wide`` is the class
``Wide`` of any installed package. A module of a registry folder holds one class whose name is the module's in CamelCase (``lang_id`` -> ``LangId``).
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

from medglot.core.errors import RecipeError


def names(folder: str) -> list[str]:
    """The names that a registry folder (a dotted package) offers, sorted; imports none of them."""
    package = importlib.import_module(folder)
    return sorted(module.name for module in pkgutil.iter_modules(package.__path__) if not module.name.startswith("_") and module.name != "base")


def load(reference: str) -> Any:
    """The object that ``package.module:Name`` stands for."""
    module, _, name = reference.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise RecipeError(f"cannot load '{reference}': {error}; is the package that holds it installed?") from error


def find(folder: str, name: str) -> Any:
    """The class called `name` in a registry folder, or anywhere else when `name` is ``package.module:Name``."""
    if ":" in name:
        return load(name)
    offered = names(folder)
    if name not in offered:
        raise RecipeError(f"'{name}' is not in {folder}: choose one of {', '.join(offered)}, or write package.module:Name")
    return load(f"{folder}.{name}:{''.join(part.capitalize() for part in name.split('_'))}")
