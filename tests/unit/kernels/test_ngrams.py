import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from medglot.kernels.ngrams import RunSet, runs, words


def split(text):
    found = words(text)
    return [text[start:stop] for start, stop in zip(found.start, found.stop, strict=True)]


def test_words_stand_where_they_stand_and_chinese_characters_and_kana_are_words():
    assert split("Fièvre à 38.5 °C, 头痛ですABC_1!") == ["Fièvre", "à", "38", "5", "C", "头", "痛", "で", "す", "ABC_1"]
    assert split("") == split(" ,。") == []


def test_wording_is_equal_across_case_width_accents_and_punctuation():
    assert np.array_equal(words("The patient's fièvre: 39 °C").hashes, words("ＴＨＥ PATIENT s fie\u0300vre (39) c").hashes)
    assert not np.array_equal(words("ab c").hashes, words("a bc").hashes)


def test_a_run_has_one_value_wherever_it_stands_and_another_for_another_length():
    first, second = words("one two three four").hashes, words("zero one two three").hashes
    assert runs(first, length=3)[0] == runs(second, length=3)[1]
    assert runs(first, length=3)[0] not in runs(first, length=2)
    assert len(runs(first, length=5)) == 0


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(st.sampled_from("abc"), max_size=12).map(" ".join), max_size=6), st.lists(st.sampled_from("abc"), min_size=3, max_size=9))
def test_texts_that_hold_a_run_are_found_and_no_others(texts, sought):
    wanted = set()
    for length in (3, 5):
        wanted |= {tuple(sought[place : place + length]) for place in range(len(sought) - length + 1)}
    hashes = words(" ".join(sought)).hashes
    run_set = RunSet(np.concatenate([runs(hashes, length=3), runs(hashes, length=5)]), lengths=(3, 5))
    held = [any(tuple(text.split()[place : place + size]) in wanted for size in (3, 5) for place in range(len(text.split()))) for text in texts]
    assert run_set.touches(pa.array(texts, pa.string())).tolist() == held


def test_an_empty_set_of_runs_touches_nothing():
    assert RunSet(np.zeros(0, np.uint64), lengths=(3,)).touches(pa.array(["a b c d", ""])).tolist() == [False, False]
