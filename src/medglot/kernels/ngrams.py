"""Words of Arrow texts as 64-bit hashes, runs of n words as hashes of those, and which texts hold a run out of a given set.

A word is a run of letters and digits, compared without case, accents and width; a Chinese character or kana is a word by itself. So wording is
compared in the same way in every language, and punctuation never matters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import types

from medglot.kernels.compiled import BYTES, OFFSETS, compiled, utf8_buffers
from medglot.kernels.folding import OWN_WORD, letter_table

_BASE = 0x9E3779B97F4A7C15  # odd: the multiplier of the polynomial over a run's words
_OWN = np.uint32(OWN_WORD)
_LETTERS = types.Array(types.uint32, 1, "C", readonly=True)
_HASHES = types.Array(types.uint64, 1, "C")
_RUNS = types.Array(types.uint64, 1, "C", readonly=True)
_PLACES = types.Array(types.int64, 1, "C")
_FLAGS = types.Array(types.bool_, 1, "C")

Hashes = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Words:
    """The words of one text: their hashes, and the characters text[start:stop] where each stands."""

    hashes: Hashes
    start: npt.NDArray[np.int64]
    stop: npt.NDArray[np.int64]


def words(text: str) -> Words:
    """The words of a text in order."""
    data = np.frombuffer(text.encode("utf-8"), np.uint8)
    hashes, start, stop = np.zeros(len(data) + 1, np.uint64), np.zeros(len(data) + 1, np.int64), np.zeros(len(data) + 1, np.int64)
    count = _split(data, 0, len(data), letter_table(), hashes, start, stop)
    return Words(hashes[:count], start[:count], stop[:count])


def runs(hashes: Hashes, *, length: int) -> Hashes:
    """The hash of every run of `length` words: ``max(0, len(hashes) - length + 1)`` values in order."""
    count = max(0, len(hashes) - length + 1)
    result = np.full(count, length, np.uint64)
    for place in range(length):
        result = result * np.uint64(_BASE) + hashes[place : place + count]
    return result


class RunSet:
    """Runs of a few lengths to look for. A bitmap of 64 bits a run turns nearly all places of a text away; a binary search decides on the rest."""

    def __init__(self, found: Hashes, *, lengths: tuple[int, ...]) -> None:
        """`found` are hashes from `runs`, of any of `lengths`."""
        self._runs = np.unique(found)
        self._lengths = np.array(lengths, np.int64)
        self._bits = max(10, int(len(self._runs) * 64).bit_length())
        self._bitmap = np.zeros(1 << (self._bits - 6), np.uint64)
        places = self._runs >> np.uint64(64 - self._bits)
        np.bitwise_or.at(self._bitmap, (places >> np.uint64(6)).astype(np.int64), np.uint64(1) << (places & np.uint64(63)))

    def touches(self, texts: pa.Array | pa.ChunkedArray) -> npt.NDArray[np.bool_]:
        """For every text whether it holds one of the runs."""
        parts = []
        for chunk in texts.chunks if isinstance(texts, pa.ChunkedArray) else [texts]:
            data, offsets = utf8_buffers(chunk)
            flags = np.zeros(len(chunk), np.bool_)
            _touch(data, offsets, letter_table(), self._lengths, self._runs, self._bitmap, self._bits, flags)
            parts.append(flags)
        return np.concatenate(parts) if parts else np.zeros(0, np.bool_)


@compiled(types.int64(BYTES, types.int64, types.int64, _LETTERS, _HASHES, _PLACES, _PLACES))
def _split(data: Any, begin: Any, end: Any, letters: Any, hashes: Any, start: Any, stop: Any) -> Any:  # noqa: PLR0917
    """Writes hash and place (in characters) of every word of data[begin:end]; returns how many there are."""
    count, character, place, state, since = 0, 0, begin, np.uint64(0), 0
    while place < end:
        byte = np.int64(data[place])
        width = 1 if byte < 0x80 else 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
        if place + width > end:
            break
        code = byte if width == 1 else byte & (0xFF >> (width + 1))
        for following in range(place + 1, place + width):
            code = code << 6 | np.int64(data[following] & 0x3F)
        place += width
        letter = letters[min(code, 0x10FFFF)]
        own = letter & _OWN
        if state != 0 and (letter == 0 or own):
            hashes[count], start[count], stop[count] = state, since, character
            count += 1
            state = np.uint64(0)
        if letter > 1:
            if state == 0:
                since = character
            state = (state + np.uint64(letter)) * np.uint64(0xFF51AFD7ED558CCD)
            state ^= state >> np.uint64(32)
            if own:
                hashes[count], start[count], stop[count] = state, since, character + 1
                count += 1
                state = np.uint64(0)
        character += 1
    if state != 0:
        hashes[count], start[count], stop[count] = state, since, character
        count += 1
    return count


@compiled(types.void(BYTES, OFFSETS, _LETTERS, OFFSETS, _RUNS, _RUNS, types.int64, _FLAGS))
def _touch(data: Any, offsets: Any, letters: Any, lengths: Any, runs_sought: Any, bitmap: Any, bits: Any, flags: Any) -> Any:  # noqa: PLR0917
    longest = np.int64(0)
    for text in range(len(flags)):
        longest = max(longest, offsets[text + 1] - offsets[text])
    hashes, start, stop = np.empty(longest + 1, np.uint64), np.empty(longest + 1, np.int64), np.empty(longest + 1, np.int64)
    shift = np.uint64(64 - bits)
    for text in range(len(flags)):
        count = _split(data, offsets[text], offsets[text + 1], letters, hashes, start, stop)
        for length in lengths:
            top = np.uint64(1)  # the multiplier of a word that leaves the run
            for _ in range(length):
                top *= np.uint64(_BASE)
            seed = np.uint64(length) * top
            state = np.uint64(0)
            for place in range(count):
                state = state * np.uint64(_BASE) + hashes[place]
                if place >= length:
                    state -= hashes[place - length] * top
                if place < length - 1:
                    continue
                run = state + seed
                bit = run >> shift
                if bitmap[np.int64(bit >> np.uint64(6))] >> (bit & np.uint64(63)) & np.uint64(1):
                    low = np.searchsorted(runs_sought, run)
                    if low < len(runs_sought) and runs_sought[low] == run:
                        flags[text] = True
                        break
            if flags[text]:
                break
