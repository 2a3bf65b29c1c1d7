"""The languages: one TOML file each, and nothing about any single language anywhere else in the code.

A language is its file: adding ``pt.toml`` to this folder adds Portuguese. The digest of the file's text enters the fingerprint of every node that
uses the language, so an edited keyword list can never pass for the old one.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Literal

from pydantic import Field

from medglot.core.config import Strict, parse, read_toml
from medglot.core.errors import RecipeError
from medglot.core.files import file_digest

_FOLDER = Path(__file__).parent


class Words(Strict):
    """The words an exam paper prints, and how the language punctuates them."""

    question: str
    options: str
    answer: str
    rationale: str
    colon: str
    list_joiner: str


class Prompts(Strict):
    """Instructions that a model reads, and the notices that a person reads."""

    system: str
    answer_only: str
    reason_first: str
    several: str
    disclaimer: str
    emergency: str


class KeepRule(Strict):
    """A text is medical when it has at least `min_unique` different keywords and they cover at least `min_density` of its characters."""

    min_unique: int = Field(ge=1)
    min_density: float = Field(ge=0, le=1)


class Keywords(Strict):
    """The medical keywords: patterns as `medglot.kernels.keywords` reads them, and the rules of which any one suffices."""

    boundaries: bool
    keep: tuple[KeepRule, ...] = Field(min_length=1)
    patterns: tuple[str, ...] = Field(min_length=1)


class Language(Strict):
    """Everything medglot knows about one language. `published` holds the thresholds of MMedC's filter."""

    code: str
    name: str
    native_name: str
    scripts: tuple[str, ...]
    segmenter: Literal["words", "jieba", "fugashi"]
    option_letters: tuple[str, ...]
    words: Words
    prompts: Prompts
    published: KeepRule
    keywords: Keywords


def codes() -> list[str]:
    """The codes of all languages, sorted."""
    return sorted(path.stem for path in _FOLDER.glob("*.toml"))


@functools.cache
def load(code: str) -> Language:
    """The language of a code such as ``fr``. Raises RecipeError that lists the known codes."""
    if code not in codes():
        raise RecipeError(f"no language '{code}': choose one of {', '.join(codes())}, or add {code}.toml to {_FOLDER}")
    path = _FOLDER / f"{code}.toml"
    language = parse(Language, read_toml(path), where=str(path), root=_FOLDER)
    if language.code != code:
        raise RecipeError(f"{path}: code is '{language.code}'; it must be the file's name, '{code}'")
    return language


def by_name(name: str) -> Language:
    """The language of an English name such as ``French``, as benchmark files are called. Raises RecipeError."""
    for code in codes():
        if load(code).name.lower() == name.lower():
            return load(code)
    raise RecipeError(f"no language is called '{name}': known are {', '.join(load(code).name for code in codes())}")


def digest(code: str) -> str:
    """The digest of a language's file, for fingerprints."""
    load(code)
    return file_digest(_FOLDER / f"{code}.toml")


def digests(wanted: tuple[str, ...] = ()) -> dict[str, str]:
    """Digests by ``language.<code>``, of the wanted languages or of all, for `Settings.depends`."""
    return {f"language.{code}": digest(code) for code in (wanted or codes())}
