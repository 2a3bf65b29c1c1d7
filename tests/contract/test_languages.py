"""Every language file in the folder keeps the same promises; a new one is tested by being there."""

import json
from importlib.resources import files

import pytest

from medglot import languages
from medglot.languages import segment

CODES = languages.codes()
SAMPLES = files("medglot.samples")


def rows(path: str) -> list[dict]:
    return [json.loads(line) for line in (SAMPLES / path).read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("code", CODES)
def test_it_has_at_least_250_different_keywords(code):
    patterns = languages.load(code).keywords.patterns
    assert len(patterns) >= 250
    assert len(set(patterns)) == len(patterns)
    assert all(pattern == pattern.strip() and pattern.strip("*") for pattern in patterns)


@pytest.mark.parametrize("code", CODES)
def test_its_segmenter_finds_words_and_has_a_signature_with_a_version(code):
    text = rows(f"text/medical/{code}.jsonl")[0]["text"]
    words = segment.words(text, language=code)
    assert len(words) > 60
    assert max(map(len, words)) < 40
    assert ":" in segment.signature(code)


@pytest.mark.parametrize("code", CODES)
def test_its_sample_passages_are_there_with_ids_and_licence(code):
    for kind, mark in (("medical", "med"), ("general", "gen")):
        passages = rows(f"text/{kind}/{code}.jsonl")
        assert len(passages) >= 12
        assert len({row["id"] for row in passages}) == len(passages)
        assert all(row["id"].startswith(f"{code}-{mark}-") and row["language"] == code for row in passages)
        assert all(row["license"] == "Apache-2.0" for row in passages)


@pytest.mark.parametrize("code", CODES)
def test_its_sample_questions_are_well_formed_and_some_have_several_answers(code):
    stems = []
    for split in ("Train", "Test"):
        items = rows(f"mmedbench/{split}/{languages.load(code).name}.jsonl")
        assert len(items) >= 16
        for item in items:
            right = item["answer_idx"].split(",")
            assert set(right) <= set(item["options"])
            assert right == sorted(right)
            assert list(item["options"]) == list("ABCDEFGH"[: len(item["options"])])
            assert item["rationale"].strip()
        assert sum("," in item["answer_idx"] for item in items) >= 4
        stems += [item["question"] for item in items]
    assert len(set(stems)) == len(stems)


def test_no_right_letter_is_a_better_guess_than_the_others_by_much():
    items = [item for code in CODES for item in rows(f"mmedbench/Test/{languages.load(code).name}.jsonl")]
    single = [item["answer_idx"] for item in items if len(item["answer_idx"]) == 1 and len(item["options"]) >= 4]
    assert max(single.count(letter) for letter in "ABCD") < 0.4 * len(single)
