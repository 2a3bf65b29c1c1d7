"""Keywords of a language found in Arrow text at memory speed: how many different ones, and how many characters they cover.

Patterns become one trie over *classes* of code points (all characters that fold alike are one class, all that no pattern holds are class 0), so
folding, case and full-width forms cost one table look-up. A table of class triples tells at which positions no pattern can begin, which is nearly all
of them, and where in the trie the others go on. At each position the longest pattern whose word boundaries hold wins, and nothing inside it counts
again. Two roots: at the beginning of a word every pattern may start, elsewhere only those written ``*like this``.

| pattern | matches |
|---|---|
| ``fever`` | the whole word |
| ``cardi*`` | the beginning of a word; the hit is ``cardi`` |
| ``*itis`` | the end of a word; ``*itis*``: anywhere |
| ``blood pressure`` | the words with one space between them |

Without boundaries (languages written without spaces) every pattern is a plain substring.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import types

from medglot.core.errors import RecipeError
from medglot.kernels.compiled import BYTES, OFFSETS, compiled, utf8_buffers
from medglot.kernels.folding import fold_character, fold_table, word_table

_WORD = np.uint16(0x8000)  # flag in a class: the character belongs to a word
_CLASS = np.uint16(0x7FFF)
_TABLE = 1 << 20  # the table of class triples may have so many bytes: it must stay in the processor's cache
_NODES = 3  # node 0 is the dead end, 1 the root at the beginning of words, 2 the root inside words


class _Automaton(NamedTuple):
    """What the kernels read.

    `classes`: the class of every code point. `entry`: where to enter the trie, by (inside a word, the classes of three characters in a row): 0 where
    no pattern can begin, a node behind all three, or where a pattern may end among them -(the node behind the first). `transitions`: the next node by
    (node, class), 0 where there is none. `outputs`: the pattern by (node, whether the word ends there), -1 where none ends.
    """

    classes: npt.NDArray[np.uint16]
    entry: npt.NDArray[np.int32]
    transitions: npt.NDArray[np.int32]
    outputs: npt.NDArray[np.int32]


_CODES = types.uint16[::1]
_GRID32 = types.int32[:, ::1]
_GRID64 = types.int64[:, ::1]
_AUTOMATON = types.NamedTuple((_CODES, types.int32[:, :, :, ::1], _GRID32, _GRID32), _Automaton)


@dataclass(frozen=True, slots=True)
class Counts:
    """For every text: the number of different patterns found, the characters they cover, and the characters of the text."""

    unique: npt.NDArray[np.int64]
    covered: npt.NDArray[np.int64]
    length: npt.NDArray[np.int64]

    @property
    def density(self) -> npt.NDArray[np.float64]:
        """Covered characters / characters of the text; 0 for an empty text."""
        return self.covered / np.maximum(self.length, 1)


@dataclass(frozen=True, slots=True)
class Hit:
    """One hit: text[start:end] is where `pattern`, as the language's file writes it, was found."""

    start: int
    end: int
    pattern: str


class Matcher:
    """The patterns of one language, ready to scan. Immutable; safe in several threads."""

    def __init__(self, patterns: Sequence[str], *, boundaries: bool) -> None:
        """Compiles `patterns`. Raises RecipeError for a pattern without a character."""
        self.patterns = tuple(patterns)
        parsed = [_Pattern.parse(pattern, number=number, boundaries=boundaries) for number, pattern in enumerate(patterns)]
        alphabet = {character: number for number, character in enumerate(sorted({*"".join(item.text for item in parsed)}), 1)}
        trie = _Trie(alphabet)
        for item in parsed:
            for root in (1, 2) if item.left_open else (1,):
                trie.add(item, root)
        transitions, outputs = trie.arrays()
        self._automaton = _Automaton(_class_table(alphabet), _entries(transitions, outputs), transitions, outputs)

    def count(self, texts: pa.Array | pa.ChunkedArray) -> Counts:
        """Counts for an array of strings, in its order; null counts as empty. Compares at a few ns a character."""
        parts = [self._count(chunk) for chunk in (texts.chunks if isinstance(texts, pa.ChunkedArray) else [texts])]
        joined = np.concatenate(parts, axis=1) if parts else np.zeros((3, 0), np.int64)
        return Counts(joined[0], joined[1], joined[2])

    def hits(self, text: str) -> list[Hit]:
        """The hits of one text in order of place."""
        data = np.frombuffer(text.encode("utf-8"), np.uint8)
        codes = np.zeros(len(data) + 2, np.uint16)
        found = np.zeros((len(data) + 1, 3), np.int32)
        count = _find(codes, _classify(data, 0, len(data), self._automaton.classes, codes), self._automaton, found)
        return [Hit(int(start), int(end), self.patterns[number]) for start, end, number in found[:count]]

    def _count(self, texts: pa.Array) -> npt.NDArray[np.int64]:
        data, offsets = utf8_buffers(texts)
        counts = np.zeros((3, len(texts)), np.int64)
        _count(data, offsets, self._automaton, len(self.patterns), counts)
        return counts


@dataclass(frozen=True, slots=True)
class _Pattern:
    number: int
    text: str
    left_open: bool
    right_open: bool

    @classmethod
    def parse(cls, pattern: str, *, number: int, boundaries: bool) -> _Pattern:
        text = "".join(map(fold_character, pattern.strip("*")))
        if not text.strip():
            raise RecipeError(f"keyword {number + 1} ('{pattern}') holds no character; remove it")
        return cls(number, text, not boundaries or pattern.startswith("*"), not boundaries or pattern.endswith("*"))


class _Trie:
    """Nodes under construction; of equal texts with equal boundaries the pattern listed first wins."""

    def __init__(self, alphabet: dict[str, int]) -> None:
        self._alphabet = alphabet
        self._edges: dict[tuple[int, int], int] = {}
        self._ends: dict[tuple[int, int], int] = {}
        self._size = _NODES

    def add(self, pattern: _Pattern, root: int) -> None:
        node = root
        for character in pattern.text:
            edge = (node, self._alphabet[character])
            if edge not in self._edges:
                self._edges[edge] = self._size
                self._size += 1
            node = self._edges[edge]
        for at_boundary in (0, 1) if pattern.right_open else (1,):
            self._ends.setdefault((node, at_boundary), pattern.number)

    def arrays(self) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
        """`transitions` and `outputs` of the automaton."""
        transitions = np.zeros((self._size, len(self._alphabet) + 1), np.int32)
        outputs = np.full((self._size, 2), -1, np.int32)
        for edge, node in self._edges.items():
            transitions[edge] = node
        for end, number in self._ends.items():
            outputs[end] = number
        return transitions, outputs


def _entries(transitions: npt.NDArray[np.int32], outputs: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """`entry` of the automaton; with a large alphabet two classes decide, and the last axis is 1."""
    ends: npt.NDArray[np.bool_] = np.any(outputs >= 0, axis=1)
    first: npt.NDArray[np.int32] = transitions[1:3]
    second = transitions[first]
    if 2 * transitions.shape[1] ** 3 > _TABLE:
        walk = ends[first][:, :, None] | ends[second]
        return np.ascontiguousarray(np.where(walk, -first[:, :, None], second)[..., None])
    third = transitions[second]
    walk = (ends[first][:, :, None] | ends[second])[..., None] | ends[third]
    return np.ascontiguousarray(np.where(walk, -first[:, :, None, None], third))


def _class_table(alphabet: dict[str, int]) -> npt.NDArray[np.uint16]:
    if len(alphabet) > _CLASS:
        raise RecipeError(f"the keywords hold {len(alphabet)} different characters; at most {_CLASS} are possible")
    by_folded = np.zeros(len(fold_table()), np.uint16)
    for character, number in alphabet.items():
        by_folded[ord(character)] = number
    return (np.where(word_table(), _WORD, np.uint16(0)) | by_folded)[fold_table()]


@compiled(types.int64(BYTES, types.int64, types.int64, _CODES, _CODES))
def _classify(data: Any, start: Any, stop: Any, classes: Any, codes: Any) -> Any:
    """Decodes data[start:stop] into the class of each character and two of class 0 behind; returns the length. A cut-off character is left out."""
    length, place = 0, start
    code: Any
    while place < stop:
        byte = np.int64(data[place])
        width = 1 if byte < 0x80 else 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
        if place + width > stop:
            break
        if width == 1:
            code = byte
        elif width == 2:
            code = (byte & 0x1F) << 6 | (data[place + 1] & 0x3F)
        elif width == 3:
            code = (byte & 0x0F) << 12 | np.int64(data[place + 1] & 0x3F) << 6 | (data[place + 2] & 0x3F)
        else:
            code = (byte & 0x07) << 18 | np.int64(data[place + 1] & 0x3F) << 12 | np.int64(data[place + 2] & 0x3F) << 6 | (data[place + 3] & 0x3F)
            code = min(code, 0x10FFFF)
        codes[length] = classes[code]
        length += 1
        place += width
    codes[length : length + 2] = 0
    return length


@compiled(types.int64(_CODES, types.int64, _AUTOMATON, _GRID32))
def _find(codes: Any, length: Any, automaton: Any, hits: Any) -> Any:
    """Writes (start, end, pattern) of every hit in the classes of one text to `hits`; returns how many."""
    entry, transitions, outputs = automaton.entry, automaton.transitions, automaton.outputs
    depth = 3 if entry.shape[3] > 1 else 2
    third = _CLASS if depth == 3 else np.uint16(0)
    place: Any
    inside: Any
    count, place, inside = 0, 0, 0
    while place < length:
        node = entry[inside, codes[place] & _CLASS, codes[place + 1] & _CLASS, codes[place + 2] & third]
        if node == 0:
            inside = np.int64(codes[place] >> 15)
            place += 1
            continue
        ahead, best, end = place + (depth if node > 0 else 1), -1, place + 1
        node = abs(node)
        while node != 0:
            at_boundary = 1 - np.int64(codes[ahead] >> 15)
            if outputs[node, at_boundary] >= 0:
                best, end = outputs[node, at_boundary], ahead
            node = transitions[node, codes[ahead] & _CLASS]
            ahead += 1
        if best >= 0:
            hits[count, 0], hits[count, 1], hits[count, 2] = place, end, best
            count += 1
        place = end
        inside = np.int64(codes[place - 1] >> 15)
    return count


@compiled(types.void(BYTES, OFFSETS, _AUTOMATON, types.int64, _GRID64))
def _count(data: Any, offsets: Any, automaton: Any, patterns: Any, counts: Any) -> None:
    """Writes unique, covered and length of every text to the rows of `counts`."""
    longest = 0
    for text in range(counts.shape[1]):
        longest = max(longest, offsets[text + 1] - offsets[text])
    codes = np.empty(longest + 2, np.uint16)
    hits = np.empty((longest + 1, 3), np.int32)
    seen = np.full(patterns, -1, np.int64)
    for text in range(counts.shape[1]):
        length = _classify(data, offsets[text], offsets[text + 1], automaton.classes, codes)
        for hit in range(_find(codes, length, automaton, hits)):
            counts[1, text] += hits[hit, 1] - hits[hit, 0]
            if seen[hits[hit, 2]] != text:
                seen[hits[hit, 2]] = text
                counts[0, text] += 1
        counts[2, text] = length
