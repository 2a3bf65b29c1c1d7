"""Folding as tables over code points: what a character is compared as, and whether it belongs to a word.

Folding maps one code point to one code point, so that positions in the folded text are positions in the text.
"""

from __future__ import annotations

import functools
import unicodedata
from itertools import chain

import numpy as np
import numpy.typing as npt

CODE_POINTS = 0x110000
OWN_WORD = 1 << 31
_ASSIGNED = (range(0x34000), range(0xE0000, 0xE0200))  # every other code point is unassigned or for private use
_WHOLE_WORDS = ("CJK", "HIRAGANA", "KATAKANA", "HALFWIDTH KATAKANA")  # beginnings of character names


def fold_character(character: str) -> str:
    """One character as it is compared: NFKC where that is one character, lower case where that is one, and Russian ё as е."""
    normal = unicodedata.normalize("NFKC", character)
    normal = normal if len(normal) == 1 else character
    lower = normal.lower()
    lower = lower if len(lower) == 1 else normal
    return "е" if lower == "ё" else lower


def is_word(character: str) -> bool:
    r"""Whether a character belongs to a word: letters, digits, ``_`` (as ``\w`` of `re`) and combining marks."""
    return character.isalnum() or character == "_" or unicodedata.category(character).startswith("M")


@functools.cache
def fold_table() -> npt.NDArray[np.uint32]:
    """`fold_character` for every code point."""
    table = np.arange(CODE_POINTS, dtype=np.uint32)
    for code in chain(*_ASSIGNED):
        table[code] = ord(fold_character(chr(code)))
    return table


@functools.cache
def word_table() -> npt.NDArray[np.bool_]:
    """`is_word` for every code point."""
    table = np.zeros(CODE_POINTS, dtype=np.bool_)
    for code in chain(*_ASSIGNED):
        table[code] = is_word(chr(code))
    return table


@functools.cache
def letter_table() -> npt.NDArray[np.uint32]:
    """What a character counts as where wording is compared: 0 between words, 1 a mark to pass over, else the lower-case base letter.

    Base letters make composed, decomposed and unaccented spellings equal. A letter that is a word by itself (Chinese characters and kana) carries
    `OWN_WORD`.
    """
    table = np.zeros(CODE_POINTS, np.uint32)
    for code in chain(*_ASSIGNED):
        character = chr(code)
        if unicodedata.category(character).startswith("M"):
            table[code] = 1
        elif is_word(character):
            base = fold_character(unicodedata.normalize("NFD", fold_character(character))[0])
            own = unicodedata.name(character, "").startswith(_WHOLE_WORDS)
            table[code] = ord(base) | (OWN_WORD if own else 0)
    return table
