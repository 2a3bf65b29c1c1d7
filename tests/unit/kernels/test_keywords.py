import itertools
import subprocess
import sys
import textwrap

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medglot.core.errors import RecipeError
from medglot.kernels.folding import fold_character, is_word
from medglot.kernels.keywords import Hit, Matcher
from medglot.languages import codes, load


def reference(text, patterns, *, boundaries):
    """The rule as it is written, character by character: slow and obvious."""
    folded = "".join(map(fold_character, text))
    hits, place = [], 0
    while place < len(folded):
        best = None
        for pattern in patterns:
            word = "".join(map(fold_character, pattern.strip("*")))
            end = place + len(word)
            if folded[place:end] != word:
                continue
            left = not boundaries or pattern.startswith("*") or place == 0 or not is_word(folded[place - 1])
            right = not boundaries or pattern.endswith("*") or end == len(folded) or not is_word(folded[end])
            if left and right and (best is None or end > best.end):
                best = Hit(place, end, pattern)
        if best:
            hits.append(best)
        place = best.end if best else place + 1
    return hits


def expected_counts(texts, patterns, *, boundaries):
    hits = [reference(text or "", patterns, boundaries=boundaries) for text in texts]
    return (
        [len({hit.pattern for hit in found}) for found in hits],
        [sum(hit.end - hit.start for hit in found) for found in hits],
        [len(text or "") for text in texts],
    )


def assert_equal_to_reference(texts, patterns, *, boundaries):
    counts = Matcher(patterns, boundaries=boundaries).count(pa.array(texts, pa.string()))
    assert (counts.unique.tolist(), counts.covered.tolist(), counts.length.tolist()) == expected_counts(texts, patterns, boundaries=boundaries)


PIECES = ["a", "b", "ab", "A", "é", "É", " ", ",", "_", "1", "Ё", "е", "ж", "痛", "头", "ﬁ", "ａ", "\u0301", "𝐚", "😀", "\n", ""]
TEXTS = st.lists(st.lists(st.sampled_from(PIECES), max_size=25).map("".join), max_size=4)
STEMS = st.lists(st.sampled_from(["a", "b", "é", "е", "ж", "痛", "头", "_", " ", "1"]), min_size=1, max_size=4).map("".join).filter(str.strip)
PATTERNS = st.lists(st.tuples(st.sampled_from(["", "*"]), STEMS, st.sampled_from(["", "*"])).map("".join), min_size=1, max_size=8)


@settings(max_examples=200, deadline=None)
@given(TEXTS, PATTERNS, st.booleans())
def test_counts_equal_the_slow_reference(texts, patterns, boundaries):
    assert_equal_to_reference(texts, patterns, boundaries=boundaries)


@settings(max_examples=60, deadline=None)
@given(TEXTS, PATTERNS, st.booleans())
def test_hits_equal_the_slow_reference(texts, patterns, boundaries):
    matcher = Matcher(patterns, boundaries=boundaries)
    for text in texts:
        assert matcher.hits(text) == reference(text, patterns, boundaries=boundaries)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(max_size=30), max_size=5))
def test_any_unicode_text_is_counted_as_the_reference_counts_it(texts):
    assert_equal_to_reference(texts, ["a", "*b*", "ñ*", "症", "0"], boundaries=True)


def test_a_large_alphabet_uses_pairs_and_finds_the_same():
    patterns = [chr(0x4E00 + number) * 2 for number in range(200)] + ["一", "a"]
    assert_equal_to_reference(["一一丁丁丂a", "丁", "一"], patterns, boundaries=False)


def test_the_longest_pattern_wins_and_nothing_inside_it_counts():
    matcher = Matcher(["blood", "blood pressure", "pressure*"], boundaries=True)
    assert matcher.hits("Blood pressure, pressures; blood  pressure") == [
        Hit(0, 14, "blood pressure"),
        Hit(16, 24, "pressure*"),
        Hit(27, 32, "blood"),
        Hit(34, 42, "pressure*"),
    ]


def test_a_longer_pattern_without_its_boundary_gives_way_to_a_shorter_one():
    assert Matcher(["card*", "cardiac"], boundaries=True).hits("cardiacs") == [Hit(0, 4, "card*")]


def test_words_inside_words_match_only_where_a_star_allows_it():
    matcher = Matcher(["fever", "*itis"], boundaries=True)
    assert [hit.pattern for hit in matcher.hits("feverish hepatitis hepatitises (fever)")] == ["*itis", "fever"]


def test_slices_chunks_nulls_and_large_strings_are_counted_alike():
    texts = pa.array(["no", "fever", None, "fever fever", ""])
    matcher = Matcher(["fever"], boundaries=True)
    for array in (texts.slice(1), pa.chunked_array([texts.slice(1, 2), texts.slice(3)]), texts.slice(1).cast(pa.large_string())):
        counts = matcher.count(array)
        assert counts.covered.tolist() == [5, 0, 10, 0]
        assert counts.unique.tolist() == [1, 0, 1, 0]
    assert len(matcher.count(pa.array([], pa.string())).unique) == 0
    assert matcher.count(pa.array(["ab fever"])).density.tolist() == [5 / 8]


def test_a_pattern_without_a_character_is_refused():
    with pytest.raises(RecipeError, match=r"keyword 2 \('\*\*'\)"):
        Matcher(["a", "**"], boundaries=True)


def test_kernels_work_where_no_cache_folder_can_be_written(tmp_path):
    """numba looks for a folder beside the file, then in the home folder; here neither can be made."""
    code = textwrap.dedent("""
        import numba.core.caching as caching
        caching.CacheImpl._locator_classes = []
        from medglot.kernels.keywords import Matcher
        print(Matcher(["a"], boundaries=True).hits("a"))
    """)
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert "Hit(start=0, end=1, pattern='a')" in result.stdout, result.stderr


@pytest.mark.shared_data
@pytest.mark.parametrize("code", codes())
def test_real_texts_are_counted_as_the_reference_counts_them(code, shared_data):
    keywords = load(code).keywords
    files = sorted(shared_data.glob(f"text/*/{code}/*.parquet"))
    texts = list(itertools.chain(*(pq.read_table(file, columns=["text"])["text"].slice(7, 1).to_pylist() for file in files)))
    texts = [text[:120] for text in texts]
    counts = Matcher(keywords.patterns, boundaries=keywords.boundaries).count(pa.array(texts))
    assert np.stack([counts.unique, counts.covered, counts.length]).tolist() == [
        *expected_counts(texts, keywords.patterns, boundaries=keywords.boundaries)
    ]
