"""Keyword scan: ours against Python `re` and ahocorasick-rs, in CPU-seconds on one core, over the texts of ../shared/data/text by language.

All measure the same thing, different keywords and covered characters a text under medglot's rules (longest pattern whose word boundaries hold, no
nested hits), on the same folded patterns. `re` is the alternation that one writes, longest first; `re (trie)` the same patterns as one nested
expression, the best that `re` can do; ahocorasick-rs gets overlapping matches and a boundary check in Python. Folding of the text is timed for all,
since nobody can do without it. All answers are compared, and some with a slow reference.

    python benchmarks/keyword_scan.py [--data ../shared/data/text] [--megabytes 2] [--rounds 2] [--json]
"""

from __future__ import annotations

import argparse
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from medglot.kernels.folding import fold_character, is_word
from medglot.kernels.keywords import Matcher
from medglot.languages import codes, load

Counts = list[tuple[int, int]]
Scan = Callable[[pa.Array], Counts]


MARKS = "\u0300-\u036f"  # accents of their own belong to words, which re leaves out of its words
BEFORE, AFTER = rf"(?<![\w{MARKS}])", rf"(?![\w{MARKS}])"


class Folding(dict[int, int]):
    """`str.translate` table that learns characters as it meets them."""

    def __missing__(self, code: int) -> int:
        self[code] = ord(fold_character(chr(code)))
        return self[code]


def parse(patterns: tuple[str, ...], *, boundaries: bool) -> list[tuple[str, bool, bool]]:
    """Folded text, open to the left, open to the right."""
    fold = Folding()
    return [(item.strip("*").translate(fold), not boundaries or item[0] == "*", not boundaries or item[-1] == "*") for item in patterns]


def trie_expression(words: list[tuple[str, bool]]) -> str:
    """One expression for (text, open to the right) that tries the longest alternative first."""
    root: dict[str, Any] = {}
    for text, right_open in words:
        node = root
        for character in text:
            node = node.setdefault(character, {})
        node[""] = node.get("") or right_open

    def expression(node: dict[str, Any]) -> str:
        branches = [re.escape(character) + expression(node[character]) for character in sorted(key for key in node if key)]
        if "" in node:
            branches.append("" if node[""] else AFTER)
        return branches[0] if len(branches) == 1 else f"(?:{'|'.join(branches)})"

    return expression(root)


def alternation(words: list[tuple[str, bool]]) -> str:
    """All (text, open to the right), longest first."""
    longest_first = sorted(dict.fromkeys(words), key=lambda word: -len(word[0]))
    return f"(?:{'|'.join(re.escape(text) + ('' if right_open else AFTER) for text, right_open in longest_first)})"


def with_re(parsed: list[tuple[str, bool, bool]], expression: Callable[[list[tuple[str, bool]]], str]) -> Scan:
    fold = Folding()
    anywhere = [(text, right) for text, left, right in parsed if left]
    starts = [(text, right) for text, _, right in parsed]
    parts = [BEFORE + expression(starts)] * (len(anywhere) < len(parsed)) + [expression(anywhere)] * bool(anywhere)
    pattern = re.compile("|".join(parts))

    def scan(texts: pa.Array) -> Counts:
        result = []
        for text in texts.to_pylist():
            found, covered = set(), 0
            for match in pattern.finditer(text.translate(fold)):
                found.add(match.group())
                covered += match.end() - match.start()
            result.append((len(found), covered))
        return result

    return scan


def with_ahocorasick(parsed: list[tuple[str, bool, bool]]) -> Scan | None:
    try:
        import ahocorasick_rs
    except ImportError:
        return None
    fold = Folding()
    automaton = ahocorasick_rs.AhoCorasick([text for text, _, _ in parsed])

    def scan(texts: pa.Array) -> Counts:
        result = []
        for text in texts.to_pylist():
            folded = text.translate(fold)
            best: dict[int, tuple[int, int]] = {}
            for number, start, end in automaton.find_matches_as_indexes(folded, overlapping=True):
                _, left, right = parsed[number]
                if (left or start == 0 or not is_word(folded[start - 1])) and (right or end == len(folded) or not is_word(folded[end])):
                    best[start] = max(best.get(start, (0, 0)), (end, number))
            found, covered, place = set(), 0, 0
            for start in sorted(best):
                if start >= place:
                    place = best[start][0]
                    found.add(folded[start:place])
                    covered += place - start
            result.append((len(found), covered))
        return result

    return scan


def slow_reference(parsed: list[tuple[str, bool, bool]]) -> Scan:
    fold = Folding()

    def scan(texts: pa.Array) -> Counts:
        result = []
        for text in texts.to_pylist():
            folded, place, found, covered = text.translate(fold), 0, set(), 0
            while place < len(folded):
                free = place == 0 or not is_word(folded[place - 1])
                ends = [
                    place + len(word)
                    for word, left, right in parsed
                    if folded.startswith(word, place)
                    and (left or free)
                    and (right or place + len(word) == len(folded) or not is_word(folded[place + len(word)]))
                ]
                if ends:
                    found.add(folded[place : max(ends)])
                    covered += max(ends) - place
                place = max(ends, default=place + 1)
            result.append((len(found), covered))
        return result

    return scan


def ours(patterns: tuple[str, ...], *, boundaries: bool) -> Scan:
    matcher = Matcher(patterns, boundaries=boundaries)

    def scan(texts: pa.Array) -> Counts:
        counts = matcher.count(texts)
        return list(zip(counts.unique.tolist(), counts.covered.tolist(), strict=True))

    return scan


def sample(folder: Path, code: str, size: int) -> pa.Array:
    """Texts of a language, medical and general by turns, of about `size` bytes."""
    files = sorted(folder.glob(f"*/{code}/*.parquet"))
    share = size // max(1, len(files))
    texts: list[str] = []
    for file in files:
        used = 0
        for text in pq.read_table(file, columns=["text"])["text"].to_pylist():
            if used >= share:
                break
            texts.append(text)
            used += len(text.encode())
    return pa.array(texts, pa.string())


def measure(code: str, texts: pa.Array, *, rounds: int) -> dict[str, float | None]:
    """Best CPU-seconds of each scanner, by turns; raises SystemExit when their answers differ."""
    keywords = load(code).keywords
    parsed = parse(keywords.patterns, boundaries=keywords.boundaries)
    scanners = {
        "ours": ours(keywords.patterns, boundaries=keywords.boundaries),
        "re": with_re(parsed, alternation),
        "re (trie)": with_re(parsed, trie_expression),
        "ahocorasick-rs": with_ahocorasick(parsed),
    }
    best: dict[str, float | None] = dict.fromkeys(scanners)
    answers: dict[str, Counts] = {}
    for _ in range(rounds):
        for name, scan in scanners.items():
            if scan is not None:
                start = time.process_time()
                answers[name] = scan(texts)
                spent = time.process_time() - start
                best[name] = min(spent, best[name] or spent)
    check(code, texts, answers, slow_reference(parsed))
    return best


def check(code: str, texts: pa.Array, answers: dict[str, Counts], reference: Scan) -> None:
    for name, answer in answers.items():
        for row, (mine, other) in enumerate(zip(answers["ours"], answer, strict=True)):
            if mine != other:
                raise SystemExit(f"{code}: text {row}: ours {mine}, {name} {other}: {texts[row].as_py()[:80]!r}")
    rows = [row for row in range(0, len(texts), max(1, len(texts) // 40)) if len(texts[row].as_py()) < 2000]
    if reference(texts.take(pa.array(rows))) != [answers["ours"][row] for row in rows]:
        raise SystemExit(f"{code}: ours differs from the slow reference")


def main() -> None:
    parser = argparse.ArgumentParser(description="keyword scan, ours against peers")
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared/data/text")
    parser.add_argument("--megabytes", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    speed: dict[str, dict[str, float]] = {"ours": {}, "re": {}, "re (trie)": {}, "ahocorasick-rs": {}}
    for code in codes():
        texts = sample(options.data, code, int(options.megabytes * 1e6))
        if not len(texts):
            raise SystemExit(f"{options.data}: no texts of '{code}'; give the folder that holds med/{code}/*.parquet with --data")
        size = sum(len(text.encode()) for text in texts.to_pylist()) / 1e6
        for name, seconds in measure(code, texts, rounds=options.rounds).items():
            if seconds:
                speed[name][code] = round(size / seconds, 2)
        print(f"{code}: {size:.1f} MB  " + "  ".join(f"{name} {values[code]:.1f} MB/s" for name, values in speed.items() if code in values))
    if not speed["ahocorasick-rs"]:
        print("ahocorasick-rs is not installed; pip install ahocorasick-rs")
    peers = {name: values for name, values in speed.items() if name != "ours" and values}
    ratios = {f"{code} vs {name}": round(speed["ours"][code] / value, 2) for name, values in peers.items() for code, value in values.items()}
    for case, ratio in ratios.items():
        print(f"{case}: {ratio} times faster")
    if options.json:
        print(json.dumps({"unit": "MB of UTF-8 per CPU-second", "ours": speed["ours"], "peers": peers, "ratios": ratios}))


if __name__ == "__main__":
    main()
