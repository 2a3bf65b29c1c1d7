"""Conversations as training rows: a row is a sample, whole, and the batches of a run are a pure function of (seed, epoch).

A row needs no company: attention keeps samples apart wherever they stand, and micro-batches take as many rows as fit, so that no padding is ever
computed. A sample that is too long is left out and counted, because cutting its prompt changes the question and cutting its end loses the answer.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from transformers import PreTrainedTokenizerBase

from medglot.core.artifact import Artifact
from medglot.core.balance import Balance
from medglot.core.errors import StageError
from medglot.core.progress import Progress
from medglot.core.records import Conversation
from medglot.core.rows import read_rows
from medglot.models.chat import encode_sample, end_id
from medglot.train.order import permute
from medglot.train.rows import UNSUPERVISED, Row
from medglot.train.settings import FinetuneSettings


@dataclass(frozen=True, slots=True)
class TokenSample:
    """A conversation's token `ids`, and for each whether it is learned."""

    id: str
    ids: npt.NDArray[np.int32]
    supervised: npt.NDArray[np.bool_]

    @property
    def learned(self) -> int:
        """How many of its tokens are learned."""
        return int(self.supervised.sum())

    def row(self) -> Row:
        """The sample as a row: after each token, the next one is the target if it is learned."""
        targets = np.full(len(self.ids), UNSUPERVISED, dtype=np.int64)
        targets[:-1] = np.where(self.supervised[1:], self.ids[1:], UNSUPERVISED)
        return Row(self.ids.astype(np.int64), targets, (len(self.ids),))


@dataclass(slots=True)
class Samples:
    """The samples that are trained on, in the order of the input, and the counts of all that were read."""

    kept: list[TokenSample] = field(default_factory=list)
    balance: Balance = field(default_factory=Balance)
    languages: dict[str, Counter[str]] = field(default_factory=dict)
    licenses: Counter[str] = field(default_factory=Counter)

    def add(self, sample: TokenSample, conversation: Conversation) -> None:
        """Keeps a sample."""
        self.kept.append(sample)
        self.balance.keep()
        self.licenses[conversation.license] += 1
        counts = {"used": 1, "tokens": len(sample.ids), "learned": sample.learned}
        self.languages.setdefault(conversation.language, Counter()).update(counts)

    def summary(self) -> dict[str, Any]:
        """What was kept, by language and by licence; one epoch's tokens."""
        return {
            "samples": {code: dict(self.languages[code]) for code in sorted(self.languages)},
            "licenses": {name: self.licenses[name] for name in sorted(self.licenses)},
        }


def read_samples(artifacts: Sequence[Artifact], tokenizer: PreTrainedTokenizerBase, *, limit: int) -> Samples:
    """The conversations of `artifacts` as samples of at most `limit` tokens.

    Raises StageError when none is left, or when nothing of one would be learned.
    """
    samples = Samples()
    end = end_id(tokenizer)
    shortest: float = float("inf")
    with Progress("encode", sum(artifact.balance.kept for artifact in artifacts), unit="conversations") as progress:
        for conversation in _conversations(artifacts):
            progress.advance()
            if not conversation.turns[-1].text.strip():
                samples.balance.drop("empty answer")
                continue
            sample = _encode(conversation, tokenizer, end=end)
            shortest = min(shortest, len(sample.ids))
            if len(sample.ids) > limit:
                samples.balance.drop("too long")
            else:
                samples.add(sample, conversation)
    if not samples.kept:
        names = ", ".join(artifact.name for artifact in artifacts)
        length = f"the shortest has {shortest} tokens" if shortest < float("inf") else "none has an answer"
        raise StageError(f"no conversation of {names} fits into context_length {limit}: {length}; raise context_length or look at the input")
    return samples


def _conversations(artifacts: Sequence[Artifact]) -> Iterator[Conversation]:
    for artifact in artifacts:
        for path in artifact.files("conversations*.jsonl"):
            yield from read_rows(path, Conversation)


def _encode(conversation: Conversation, tokenizer: PreTrainedTokenizerBase, *, end: int) -> TokenSample:
    encoded = encode_sample(tokenizer, conversation, end=end)
    sample = TokenSample(conversation.id, np.array(encoded.ids, dtype=np.int32), np.array(encoded.supervised, dtype=np.bool_))
    if not sample.row().supervised:
        raise StageError(f"conversation '{conversation.id}': nothing of it would be learned; its tokenizer or chat template is at fault")
    return sample


class SampleBatches:
    """The batches of a run: the samples in the order of a keyed permutation, a new one each epoch; a batch may end one epoch and begin the next."""

    def __init__(self, samples: Sequence[TokenSample], settings: FinetuneSettings) -> None:
        self._samples = samples
        self._batches = list(_cut(samples, settings))

    @property
    def steps(self) -> int:
        """How many batches there are."""
        return len(self._batches)

    @property
    def epochs(self) -> float:
        """How many times the run goes over the samples."""
        return sum(map(len, self._batches)) / len(self._samples)

    @property
    def learned(self) -> int:
        """How many tokens the run learns, each as often as it is seen."""
        return sum(self._samples[index].learned for batch in self._batches for index in batch)

    def rows(self, step: int) -> list[Row]:
        """The batch of a step, counted from 0."""
        return [sample.row() for sample in self.samples(step)]

    def samples(self, step: int) -> list[TokenSample]:
        """The samples of a step, in the order of its rows."""
        return [self._samples[index] for index in self._batches[step]]


def _cut(samples: Sequence[TokenSample], settings: FinetuneSettings) -> Iterator[list[int]]:
    """The batches of a run as places of samples: `batch_samples` each, or as many as fit into `batch_tokens`."""
    batch: list[int] = []
    tokens, made = 0, 0
    for index in _places(len(samples), settings):
        size = len(samples[index].ids)
        full = len(batch) == settings.batch_samples if settings.batch_samples is not None else tokens + size > settings.batch_tokens
        if batch and full:
            yield batch
            batch, tokens, made = [], 0, made + 1
            if made == settings.steps:
                return
        batch.append(index)
        tokens += size
    yield batch


def _places(size: int, settings: FinetuneSettings) -> Iterator[int]:
    """The places of samples in the order in which they are learned: without end, or for the wanted number of epochs."""
    endless = (int(place) for epoch in itertools.count() for place in permute(np.arange(size), size=size, key=f"{settings.seed}/samples/{epoch}"))
    return endless if settings.epochs is None else itertools.islice(endless, max(1, round(settings.epochs * size)))
