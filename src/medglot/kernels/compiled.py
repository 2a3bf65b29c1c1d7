"""How every kernel is compiled: ahead of its first call, without the interpreter lock, cached on disk where a folder can be written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import types

BYTES = types.Array(types.uint8, 1, "C", readonly=True)
"""UTF-8 data of an Arrow array: Arrow's buffers are read-only."""
OFFSETS = types.Array(types.int64, 1, "C", readonly=True)


def compiled(signature: Any) -> Callable[[Callable[..., Any]], Any]:
    """A decorator that compiles a function for one signature. Without any writable cache folder it compiles anew in every process."""

    def decorate(function: Callable[..., Any]) -> Any:
        try:
            return numba.njit(signature, nogil=True, cache=True)(function)
        except (RuntimeError, OSError):  # numba: "cannot cache function: no locator available", or the folder turned out to be read-only
            return numba.njit(signature, nogil=True)(function)

    return decorate


def utf8_buffers(texts: pa.Array) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """The UTF-8 data of a string array and the ``len(texts) + 1`` byte offsets into it, without a copy of the data. Nulls are empty."""
    array = texts if pa.types.is_large_string(texts.type) else texts.cast(pa.string())
    width = np.int64 if pa.types.is_large_string(array.type) else np.int32
    _, offsets, data = array.buffers()
    if len(array) == 0 or offsets is None:
        return np.zeros(0, np.uint8), np.zeros(len(array) + 1, np.int64)
    bounds = np.frombuffer(offsets, width)[array.offset : array.offset + len(array) + 1].astype(np.int64)
    return (np.zeros(0, np.uint8) if data is None else np.frombuffer(data, np.uint8)), bounds
