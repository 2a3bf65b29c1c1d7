"""Held-out loss: how well a model foretells documents it never trained on, by input and language.

Nats a token compare two models with the same tokenizer; bits a byte compare any two.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from medglot.train.compute import Compute
from medglot.train.order import permute
from medglot.train.rows import PackedTexts, Texts


@dataclass(frozen=True, slots=True)
class Heldout:
    """The held-out documents of one tokens input and language: `rows` packed from whole documents, with `bytes` of text in all."""

    node: str
    language: str
    rows: PackedTexts
    bytes: int


def choose(texts: Texts, *, node: str, language: str, tokens: int, context_length: int) -> Heldout:
    """A fixed sample of whole documents of `texts` that has at most `tokens` (unless there is no document so short: then the shortest).

    Documents of more than a quarter of `tokens` are left out, so that no single book speaks for a language.
    """
    name = f"{node}/{language}"
    order = permute(np.arange(len(texts.length)), size=len(texts.length), key="heldout")
    order = order[texts.length[order] <= tokens // 4]
    order = order[np.cumsum(texts.length[order]) <= tokens]
    taken = texts.take(order if len(order) else np.array([int(texts.length.argmin())]))
    return Heldout(node, language, PackedTexts(name, taken, context_length=context_length), int(taken.bytes.sum()))


def measure(compute: Compute, heldout: list[Heldout]) -> dict[str, dict[str, Mapping[str, Any]]]:
    """By node and language: `loss` in nats a predicted token, `bits_per_byte` of UTF-8 text, `tokens` predicted."""
    found: dict[str, dict[str, Mapping[str, Any]]] = {}
    for part in heldout:
        rows = [part.rows.row(index) for index in range(len(part.rows))]
        tokens = sum(row.supervised for row in rows)
        nats = compute.loss(rows)
        found.setdefault(part.node, {})[part.language] = {
            "loss": nats / max(1, tokens),
            "bits_per_byte": nats / math.log(2) / max(1, part.bytes),
            "tokens": tokens,
        }
    return found
