"""How near a model's rationales are to the reference ones: BLEU and ROUGE over the words of the language's segmenter.

The comparison is over the items whose reference people have checked and found right; in a language that has none, over all items with a reference,
and the table says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from medglot.bench.metrics import bleu, rouge
from medglot.core.records import Question
from medglot.languages import segment

SENTENCE_SMOOTHING: bleu.Smoothing = "epsilon"
CORPUS_SMOOTHING: bleu.Smoothing = "none"


@dataclass(frozen=True, slots=True)
class Similarity:
    """One rationale against its reference."""

    bleu: bleu.BleuCounts
    rouge: rouge.Rouge

    def metrics(self) -> dict[str, float]:
        """Sentence BLEU-1 to 4 and ROUGE F values, from 0 to 1, for the item's Score."""
        values = {f"bleu{order}": value for order, value in enumerate(bleu.bleu(self.bleu, smoothing=SENTENCE_SMOOTHING), 1)}
        return {key: round(value, 6) for key, value in (values | asdict(self.rouge)).items()}


def compared(questions: Iterable[Question]) -> dict[str, str]:
    """The ids of the questions whose rationales are compared, each with the reason: ``verified`` or ``all with a reference``."""
    with_reference = [question for question in questions if question.rationale]
    checked = {question.language for question in with_reference if question.verified}
    return {
        question.id: "verified" if question.language in checked else "all with a reference"
        for question in with_reference
        if question.verified or question.language not in checked
    }


def similarity(question: Question, rationale: str) -> Similarity:
    """A rationale compared with the question's own."""
    candidate, reference = (segment.words(text, language=question.language) for text in (rationale, question.rationale))
    return Similarity(bleu.count(candidate, reference), rouge.rouge(candidate, reference))


def table(similarities: Mapping[str, Similarity], questions: Mapping[str, Question], *, items: Mapping[str, str]) -> dict[str, Any]:
    """By language: BLEU-1 to 4 of the corpus, means of the ROUGE F values, the number of items and which they are."""
    rows: dict[str, dict[str, Any]] = {}
    for language in sorted({questions[id].language for id in similarities}):
        ids = [id for id in similarities if questions[id].language == language]
        corpus = bleu.bleu(bleu.add(similarities[id].bleu for id in ids), smoothing=CORPUS_SMOOTHING)
        row = {f"bleu{order}": value for order, value in enumerate(corpus, 1)}
        row |= {key: sum(getattr(similarities[id].rouge, key) for id in ids) / len(ids) for key in ("rouge1", "rouge2", "rougeL")}
        rows[language] = {key: round(value, 6) for key, value in row.items()} | {"n": len(ids), "items": items[ids[0]]}
    return rows


def signatures(languages: Iterable[str]) -> dict[str, Any]:
    """How the values of each language were made."""
    tokenisers = {language: segment.signature(language) for language in languages}
    return {
        "bleu": {language: bleu.signature(tokeniser=name, level="corpus", smoothing=CORPUS_SMOOTHING) for language, name in tokenisers.items()},
        "sentence-bleu": {
            language: bleu.signature(tokeniser=name, level="sentence", smoothing=SENTENCE_SMOOTHING) for language, name in tokenisers.items()
        },
        "rouge": {language: rouge.signature(tokeniser=name) for language, name in tokenisers.items()},
    }
