import json

import pytest

from medglot.bench.settings import QuestionsSettings
from medglot.core.config import PathSource
from medglot.core.errors import RecipeError, StageError
from tests.unit.bench.paper import rows


def make_row(**changes):
    row = {
        "question": "Which drink helps?",
        "options": {"A": "water", "B": "ink", "C": "brine", "D": "oil"},
        "answer_idx": "A",
        "rationale": "Water replaces what was lost.",
        "human_checked": 1,
        "human_check_passed": 1,
    }
    return {key: value for key, value in (row | changes).items() if value is not None}


def test_a_row_becomes_a_question_with_a_stable_id(bench):
    made = bench.questions({"French": [make_row(answer_idx="B"), make_row(answer_idx="A,C", human_check_passed=0)]}, languages=("fr",))
    first, second = rows(made, "questions-*.jsonl")
    assert (first.id, first.benchmark, first.language) == ("mmedbench:test:fr:1", "mmedbench", "fr")
    assert first.options == ("water", "ink", "brine", "oil")
    assert (first.answer, second.answer) == ((1,), (0, 2))
    assert (first.verified, second.verified) == (True, False)
    assert made.manifest.summary["questions"]["mmedbench"]["fr"] == {
        "questions": 2,
        "several": 1,
        "rationales": 2,
        "verified": 1,
        "options": {"4": 2},
    }


@pytest.mark.parametrize("value", ["A,C", "C, A", "AC", ["A", "C"], ["C", "A", "A"]])
def test_every_form_of_several_answers_is_read(bench, value):
    made = bench.questions({"Japanese": [make_row(answer_idx=value)]}, languages=("ja",))
    assert rows(made, "questions-*.jsonl")[0].answer == (0, 2)


def test_options_are_put_in_the_order_of_their_letters_and_may_be_equal(bench):
    made = bench.questions({"English": [make_row(options={"B": "salt", "A": "salt", "C": "ice"})]}, languages=("en",))
    assert rows(made, "questions-*.jsonl")[0].options == ("salt", "salt", "ice")


BAD_ROWS = {
    "bad-json": b'{"question": "cut o',
    "bad-utf8": b'{"question": "\xff\xfe"}',
    "missing-field": make_row(question="  "),
    "option-letters": make_row(options={"A": "x", "C": "y", "D": "z"}),
    "answer-range": make_row(answer_idx="E"),
    "bad-options": make_row(options=["x", "y"]),
    "bad-field": make_row(question=7),
}


@pytest.mark.parametrize("kind", BAD_ROWS)
def test_a_bad_row_is_set_aside_with_file_row_and_remedy(bench, kind):
    made = bench.questions({"English": [make_row(), BAD_ROWS[kind], make_row()]}, languages=("en",))
    assert [question.id[-1] for question in rows(made, "questions-*.jsonl")] == ["1", "3"]
    assert made.manifest.balance == {"read": 3, "kept": 2, "dropped": {}, "quarantined": {kind: 1}}
    (entry,) = [json.loads(line) for path in made.files("quarantine/*.jsonl") for line in path.read_text().splitlines()]
    assert entry["where"] == "Test/English.jsonl, row 2"
    assert any(word in entry["message"] for word in ("correct", "save", "add", "are A, B, C"))


@pytest.mark.parametrize(
    "row",
    [
        b"[1]",
        b"[" * 100_000,
        b'{"question": "\\ud800", "options": {"A": "x", "B": "y"}, "answer_idx": "A"}',
        make_row(answer_idx=None),
        make_row(answer_idx=2),
        make_row(options={"A": "x", "B": None}),
        make_row(options=dict.fromkeys("ABCDEFGHIJKLMNOP", "x")),
    ],
)
def test_no_row_can_stop_the_stage(bench, row):
    made = bench.questions({"English": [make_row(), row]}, languages=("en",))
    assert made.manifest.balance["kept"] == 1
    assert sum(made.manifest.balance["quarantined"].values()) == 1


def test_a_byte_order_mark_and_blank_lines_are_no_rows(bench):
    made = bench.questions({"English": [b"\xef\xbb\xbf" + json.dumps(make_row()).encode(), b"", make_row()]}, languages=("en",))
    assert [question.id for question in rows(made, "questions-*.jsonl")] == ["mmedbench:test:en:1", "mmedbench:test:en:3"]


def test_a_passage_stays_in_the_stem(bench):
    stem = "Препарат снижает давление.\nОн снижает давление?"
    made = bench.questions({"Russian": [make_row(question=stem, options={"A": "да", "B": "нет"})]}, languages=("ru",))
    assert rows(made, "questions-*.jsonl")[0].stem == stem


def test_a_limit_draws_by_seed_and_a_larger_one_adds(bench):
    lines = {"English": [make_row(question=f"Case {number}?") for number in range(50)]}
    ids = {}
    for limit, seed in ((5, 1), (20, 1), (20, 2)):
        made = bench.questions(lines, name=f"q{limit}-{seed}", languages=("en",), limit=limit, seed=seed)
        ids[limit, seed] = [question.id for question in rows(made, "questions-*.jsonl")]
        assert made.manifest.balance["dropped"] == {"limit": 50 - limit}
    assert set(ids[5, 1]) < set(ids[20, 1]) != set(ids[20, 2])
    assert ids[20, 1] == sorted(ids[20, 1], key=lambda id: int(id.rpartition(":")[2]))


def test_a_name_stands_in_ids_and_benchmark(bench):
    made = bench.questions({"English": [make_row()]}, languages=("en",), name="q", split="train")
    assert rows(made, "questions-*.jsonl")[0].id == "mmedbench:train:en:1"


def test_a_missing_file_and_a_file_without_questions_are_told(bench):
    with pytest.raises(RecipeError, match=r"Test/Spanish\.jsonl: no such file.*without es"):
        bench.questions({"English": [make_row()]}, languages=("en", "es"))
    with pytest.raises(StageError, match="not one question is usable"):
        bench.questions({"English": []}, languages=("en",))


def test_an_empty_file_of_one_language_stops_no_other(bench):
    made = bench.questions({"English": [make_row()], "French": []}, languages=("en", "fr"))
    assert made.manifest.balance == {"read": 2, "kept": 1, "dropped": {}, "quarantined": {"empty-file": 1}}
    assert list(made.manifest.summary["questions"]["mmedbench"]) == ["en"]


def test_whether_several_may_be_right_is_told_of_the_whole_paper_even_when_few_are_drawn(bench):
    one, two = make_row(), make_row(answer_idx="A,B")
    for limit in (1, None):
        made = bench.questions({"English": [one, one, two], "French": [one]}, f"drawn-{limit}", languages=("en", "fr"), limit=limit)
        assert {(row.language, row.several) for row in rows(made, "questions-*.jsonl")} == {("en", True), ("fr", False)}


def test_a_null_rationale_is_none(bench):
    made = bench.questions({"English": [make_row() | {"rationale": None}]}, languages=("en",))
    assert [row.rationale for row in rows(made, "questions-*.jsonl")] == [""]


def test_a_wrong_benchmark_split_or_language_is_found_when_planning(tmp_path):
    source = PathSource(path=tmp_path)
    with pytest.raises(RecipeError, match="choose one of mmedbench"):
        QuestionsSettings(benchmark="nobench", source=source).check()
    with pytest.raises(RecipeError, match="choose one of test, train"):
        QuestionsSettings(source=source, split="dev").check()
    with pytest.raises(RecipeError, match="has no de"):
        QuestionsSettings(source=source, languages=("de", "en")).check()
    depends = QuestionsSettings(source=source, languages=("fr",)).depends()
    assert depends == {"benchmark.mmedbench": "1", "language.fr": "French ABCDEFGHIJ"}


@pytest.mark.shared_data
def test_the_whole_of_mmedbench_is_read(bench, shared_data):
    from medglot.bench import questions

    kept = {}
    for split in ("test", "train"):
        made = bench.build(questions, QuestionsSettings(source=PathSource(path=shared_data / "mmedbench"), split=split), split)
        kept[split] = made.manifest.balance
    assert kept["test"] == {"read": 8617, "kept": 8617, "dropped": {}, "quarantined": {}}
    assert kept["train"] == {"read": 15514, "kept": 15514, "dropped": {}, "quarantined": {}}
