"""Words of a text for metrics and statistics, by the segmenter that the language's file names.

BLEU and ROUGE depend on the tokeniser, so `signature` names segmenter and version and travels with every value.
"""

from __future__ import annotations

import functools
import importlib.metadata
import logging
import re
import unicodedata
from collections.abc import Callable
from typing import Any

from medglot.languages import load

_WORDS = re.compile(r"\w+(?:['’]\w+)?|[^\w\s]")


def words(text: str, *, language: str) -> list[str]:
    """The words and punctuation marks of `text` in lower case after NFKC, so that full-width and half-width forms are equal."""
    return _segmenter(load(language).segmenter)(unicodedata.normalize("NFKC", text).lower())


def signature(language: str) -> str:
    """Which tokeniser `words` uses for a language, with its version: ``words:1``, ``jieba:0.42.1``, ``fugashi:1.5.2+unidic-lite:1.0.8``."""
    name = load(language).segmenter
    if name == "words":
        return "words:1"
    parts = ["jieba"] if name == "jieba" else ["fugashi", "unidic-lite"]
    return "+".join(f"{part}:{importlib.metadata.version(part)}" for part in parts)


@functools.cache
def _segmenter(name: str) -> Callable[[str], list[str]]:
    if name == "jieba":
        import jieba

        jieba.setLogLevel(logging.WARNING)
        return lambda text: [word for word in jieba.cut(text) if word.strip()]
    if name == "fugashi":
        import fugashi
        import unidic_lite  # type: ignore[import-untyped]

        # The dictionary is named: left to itself, fugashi takes the larger unidic where that is installed, and the signature would not tell.
        folder = unidic_lite.DICDIR
        tagger: Any = fugashi.Tagger(f'-Owakati -r "{folder}/mecabrc" -d "{folder}"')
        return lambda text: list(tagger.parse(text).split())
    return lambda text: [match.group() for match in _WORDS.finditer(text)]
