"""BLEU and ROUGE: medglot's counting beside nltk, sacrebleu and rouge_score, on the same words.

    python benchmarks/metrics.py [--pairs 400] [--words 200] [--json]

The texts are made up: words drawn by Zipf's law, the candidate a damaged copy of the reference. Ours and the peers run in turns, several rounds, in
CPU-seconds; the best round counts. Every value is first checked to be equal to 1e-9.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

from medglot.bench.metrics import bleu, rouge

Pairs = list[tuple[list[str], list[str]]]

WEIGHTS = [(1.0,), (0.5, 0.5), (1 / 3, 1 / 3, 1 / 3), (0.25, 0.25, 0.25, 0.25)]
ROUGES = ("rouge1", "rouge2", "rougeL")
ROUNDS = 5


def make_pairs(count: int, length: int) -> Pairs:
    chance = random.Random(7)
    vocabulary = [f"w{number}" for number in range(5000)]
    weights = [1 / (rank + 1) for rank in range(len(vocabulary))]
    pairs = []
    for _ in range(count):
        reference = chance.choices(vocabulary, weights, k=length)
        candidate = [word if chance.random() < 0.6 else chance.choice(vocabulary) for word in reference if chance.random() < 0.9]
        pairs.append((candidate, reference))
    return pairs


def our_sentence_bleu(pairs: Pairs) -> list[tuple[float, ...]]:
    return [bleu.bleu(bleu.count(*pair), smoothing="epsilon") for pair in pairs]


def nltk_sentence_bleu(pairs: Pairs) -> list[Any]:
    from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu

    smoothing = SmoothingFunction().method1
    return [sentence_bleu([reference], candidate, weights=WEIGHTS, smoothing_function=smoothing) for candidate, reference in pairs]


def our_corpus_bleu(pairs: Pairs) -> list[tuple[float, ...]]:
    return [bleu.bleu(bleu.add(bleu.count(*pair) for pair in pairs))]


def sacrebleu_corpus_bleu(pairs: Pairs) -> list[list[float]]:
    from sacrebleu.metrics import BLEU

    candidates, references = [" ".join(candidate) for candidate, _ in pairs], [" ".join(reference) for _, reference in pairs]
    statistics = BLEU(tokenize="none", smooth_method="none").corpus_score(candidates, [references])
    whole = [BLEU.compute_bleu(statistics.counts, statistics.totals, statistics.sys_len, statistics.ref_len, "none", max_ngram_order=4).score / 100]
    return [whole]


def our_rouge(pairs: Pairs) -> list[list[float]]:
    return [[getattr(values, name) for name in ROUGES] for values in (rouge.rouge(*pair) for pair in pairs)]


def rouge_score_rouge(pairs: Pairs) -> list[list[float]]:
    from rouge_score.rouge_scorer import RougeScorer

    class Split:
        def tokenize(self, text: str) -> list[str]:
            return text.split()

    scorer = RougeScorer(list(ROUGES), tokenizer=Split())
    texts = [(" ".join(candidate), " ".join(reference)) for candidate, reference in pairs]
    return [[found[name].fmeasure for name in ROUGES] for found in (scorer.score(reference, candidate) for candidate, reference in texts)]


CASES: list[tuple[str, str, Callable[[Pairs], Any], Callable[[Pairs], Any]]] = [
    ("sentence BLEU-1..4", "nltk", our_sentence_bleu, nltk_sentence_bleu),
    ("corpus BLEU-4", "sacrebleu", our_corpus_bleu, sacrebleu_corpus_bleu),
    ("ROUGE-1/2/L", "rouge_score", our_rouge, rouge_score_rouge),
]


def seconds(function: Callable[[Pairs], Any], pairs: Pairs) -> float:
    begin = time.process_time()
    function(pairs)
    return time.process_time() - begin


def check(ours: Any, theirs: Any, what: str) -> None:
    """Both give the same numbers; where a peer gives BLEU-4 alone it is compared with our last value."""
    for one, other in zip(ours, theirs, strict=True):
        if any(abs(a - b) > 1e-9 for a, b in zip(list(one)[-len(other) :], other, strict=True)):
            sys.exit(f"{what}: {one} is not {other}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=400)
    parser.add_argument("--words", type=int, default=200, help="words of a reference; MMedBench's rationales have about 200")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    pairs = make_pairs(arguments.pairs, arguments.words)
    result: dict[str, Any] = {"unit": "CPU-seconds", "ours": {}, "peers": {}, "ratios": {}}
    for case, peer, ours, theirs in CASES:
        try:
            expected = theirs(pairs)
        except ImportError:
            print(f"{peer} is not installed: pip install {peer}")
            continue
        check(ours(pairs), expected, f"{case} beside {peer}")
        rounds = [(seconds(ours, pairs), seconds(theirs, pairs)) for _ in range(ROUNDS)]
        mine, other = (min(values) for values in zip(*rounds, strict=True))
        result["ours"][case] = round(mine, 4)
        result["peers"][f"{case} {peer}"] = round(other, 4)
        result["ratios"][f"{case} vs {peer}"] = round(other / mine, 2)
        print(f"{case:20} medglot {mine:8.3f} s   {peer:12} {other:8.3f} s   {other / mine:5.1f} times")
    if arguments.json:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
