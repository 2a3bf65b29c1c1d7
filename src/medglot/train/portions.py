"""How much is computed at a time: what the training obeys and what its cost is reckoned from. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping

CPU_TOKENS = 1024
"""Tokens of a micro-batch on CPU: small enough for its caches, and no machine's choice, since the sum's grouping decides its last bits."""

HEAD_LOGITS: Mapping[str, int] = {"cpu": 2**20, "cuda": 2**28}
"""Logits of a chunk of the output head, by device: on CPU about what its caches hold."""

RECOMPUTED = 1_000_000_000
"""Models with more parameters recompute their activations on a GPU."""


def head_tokens(vocabulary: int, *, device: str) -> int:
    """The tokens of a chunk of the output head."""
    return max(1, HEAD_LOGITS[device] // vocabulary)
