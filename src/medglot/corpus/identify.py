"""The language of a text: its scripts first, py3langid only where many languages share a script.

Kana is written by one language alone, and so is Han without kana among the languages medglot knows; counting characters answers there, and is thirty
times faster. Which scripts a language uses stands in its file.
"""

from __future__ import annotations

import functools
import importlib.metadata
import unicodedata
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from medglot.languages import codes, load

UNKNOWN = "und"
_SHARED = ("Latin", "Cyrillic", "Arabic", "Devanagari")  # alphabets of many languages: the letters alone decide nothing
_NAMES = {"CJK": "Han"}
_LOOK = 2000  # characters that are looked at
_PART = 0.1  # a second script counts from this share of the letters: foreign words in a text are no second script


def identify(texts: pa.Array | pa.ChunkedArray) -> pa.Array:
    """ISO 639-1 codes of texts; ``und`` for a text without letters or in a script that no known language uses."""
    return pa.array([_identify(text) for text in texts.to_pylist()], pa.string())


def signature() -> str:
    """What identifies besides the languages' files, with its version: another version of the model may decide otherwise."""
    return f"py3langid:{importlib.metadata.version('py3langid')}"


def _identify(text: str) -> str:
    sample = text[:_LOOK]
    points = np.frombuffer(sample.encode("utf-32-le", "replace"), np.uint32)
    numbers, names = _scripts()
    counts = np.bincount(numbers[np.minimum(points, len(numbers) - 1)], minlength=len(names))[1:]
    if not counts.sum():
        return UNKNOWN
    found = {name for name, share in zip(names[1:], counts / counts.sum(), strict=True) if share >= _PART}
    main = names[1 + int(counts.argmax())]
    if main in _SHARED:
        return str(_langid().classify(sample)[0])
    return next((code for code, scripts in _known() if found - {*_SHARED} <= scripts), UNKNOWN)


@functools.cache
def _known() -> list[tuple[str, set[str]]]:
    """The languages with their scripts, those with the fewest first: text in Han alone is Chinese, with kana Japanese."""
    return sorted(((code, {*load(code).scripts}) for code in codes()), key=lambda entry: (len(entry[1]), entry[0]))


@functools.cache
def _scripts() -> tuple[npt.NDArray[np.int64], list[str]]:
    """The number of each code point's script, and the scripts' names; 0 is no letter. The last entry stands for all rarer planes."""
    names, numbers = [""], np.zeros(0x10000, np.int64)
    places: dict[str, int] = {}
    for code in range(len(numbers) - 1):
        if chr(code).isalpha():
            name = unicodedata.name(chr(code), "").removeprefix("HALFWIDTH ").removeprefix("FULLWIDTH ").split(" ")[0].split("-")[0]
            name = _NAMES.get(name, name.capitalize())
            if name not in places:
                places[name] = len(names)
                names.append(name)
            numbers[code] = places[name]
    return numbers, names


@functools.cache
def _langid() -> Any:
    import py3langid

    return py3langid
