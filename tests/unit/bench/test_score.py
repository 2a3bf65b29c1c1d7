import pytest

from medglot.core.errors import StageError
from medglot.core.records import Prediction
from medglot.core.rows import write_rows
from tests.unit.bench.paper import make_question, right_replies, rows


def answer(bench, artifact, texts, ask="generate"):
    """Puts predictions in place of an artifact's own."""
    for path in artifact.files(f"predictions-{ask}-*.jsonl"):
        path.unlink()
    write_rows(artifact.path / f"predictions-{ask}-00000.jsonl", [Prediction(id, "", text, (), "stop", {}) for id, text in texts.items()])
    return artifact


ASKED = [
    make_question(1, answer=(1,), rationale="Water helps the most here.", verified=True, several=True),
    make_question(2, answer=(0, 2), rationale="Rest and salt help.", several=True),
    make_question(3, answer=(3,), several=True),
    make_question(4, language="fr", answer=(0,), options=("repos", "eau"), rationale="Le repos aide."),
]


def test_only_the_exact_set_is_right_and_the_unparsed_are_counted_apart(bench):
    asked = bench.given(ASKED)
    made = answer(bench, bench.predict(asked, ask=("generate",)), {
        "made:test:en:1": "Answer: B", "made:test:en:2": "Answer: A", "made:test:en:3": "Who knows.", "made:test:fr:4": "Réponse : A"
    })  # fmt: skip
    scored = bench.score(made, asked)
    by_id = {row.question_id: row for row in rows(scored, "scores-generate.jsonl")}
    assert [(row.value, row.answered, row.rule) for row in by_id.values()] == [
        (1.0, (1,), "answer-line"),
        (0.0, (0,), "answer-line"),
        (0.0, None, "none"),
        (1.0, (0,), "answer-line"),
    ]
    table = scored.manifest.summary["generate"]
    english = table["by_language"]["en"]
    assert {key: english[key] for key in ("n", "accuracy", "unparsed", "single", "several", "several_n", "chance")} == {
        "n": 3, "accuracy": 0.333333, "unparsed": 1, "single": 0.5, "several": 0.0, "several_n": 1, "chance": round(1 / 15, 6)
    }  # fmt: skip
    assert (english["low"], english["high"]) == pytest.approx((0.0615, 0.7923), abs=5e-5)
    assert english["rules"] == {"answer-line": 2, "none": 1}
    assert table["by_language"]["fr"]["chance"] == 0.5
    assert table["macro"]["accuracy"] == pytest.approx(2 / 3, abs=1e-6)
    assert table["micro"]["accuracy"] == 0.5


def test_a_perfect_model_is_right_and_its_rationales_are_equal(bench):
    asked = bench.given(ASKED)
    scored = bench.score(bench.predict(asked, base=bench.table(right_replies(ASKED))), asked)
    for ask in ("letters", "generate"):
        assert scored.manifest.summary[ask]["macro"]["accuracy"] == 1.0
        assert scored.manifest.summary[ask]["micro"]["unparsed"] == 0
    for values in scored.manifest.summary["generate"]["rationale"].values():
        assert values["bleu1"] == values["rougeL"] == 1.0


def test_rationales_are_compared_over_verified_items_where_there_are_any(bench):
    asked = bench.given(ASKED)
    scored = bench.score(bench.predict(asked, base=bench.table(right_replies(ASKED))), asked)
    table = scored.manifest.summary["generate"]["rationale"]
    assert {language: (values["n"], values["items"]) for language, values in table.items()} == {
        "en": (1, "verified"),
        "fr": (1, "all with a reference"),
    }
    with_metrics = [row.question_id for row in rows(scored, "scores-generate.jsonl") if row.metrics]
    assert with_metrics == ["made:test:en:1", "made:test:fr:4"]


def test_values_travel_with_their_signatures(bench):
    asked = bench.given(ASKED)
    signatures = bench.score(bench.predict(asked), asked).manifest.summary["signatures"]
    assert signatures["accuracy"].startswith("exact-set|version:1")
    assert "tokeniser:words:1" in signatures["bleu"]["fr"]
    assert signatures["rouge"].keys() == {"en", "fr"}


def test_the_summary_says_what_was_scored(bench):
    asked = bench.given(ASKED)
    scored = bench.score(bench.predict(asked, ask=("letters",)), asked, model="M", size="7B", setting="lora")
    summary = scored.manifest.summary
    assert (summary["model"], summary["size"], summary["setting"], summary["benchmark"]) == ("M", "7B", "lora", "made")
    assert summary["questions"] == asked.manifest.fingerprint
    assert "generate" not in summary
    assert bench.score(bench.predict(asked), asked, name="unnamed").manifest.summary["model"] == "predictions"


def test_letters_that_tie_or_do_not_fit_are_unparsed(bench):
    asked = bench.given(ASKED[:2])
    made = bench.predict(asked, base=bench.table([]))
    predictions = [Prediction("made:test:en:1", "", "", (), "context", {}), *rows(made, "predictions-letters-*.jsonl")[1:]]
    write_rows(made.path / "predictions-letters-00000.jsonl", predictions)
    assert [(row.answered, row.rule) for row in rows(bench.score(made, asked), "scores-letters.jsonl")] == [(None, "context"), (None, "tie")]


def test_a_model_is_compared_with_its_base_question_by_question(bench):
    asked = bench.given([make_question(number) for number in range(20)])
    ids = [f"made:test:en:{number}" for number in range(20)]
    base = answer(bench, bench.predict(asked, name="p0"), {id: "Answer: B" if number < 8 else "Answer: A" for number, id in enumerate(ids)})
    model = answer(bench, bench.predict(asked, name="p1"), {id: "Answer: A" if number < 2 else "Answer: B" for number, id in enumerate(ids)})
    before = bench.score(base, asked, name="s0")
    after = bench.score(model, asked, name="s1", baseline=before)
    paired = after.manifest.summary["paired"]["generate"]
    english = paired["en"]
    assert (english["difference"], english["wins"], english["losses"], english["n"]) == (0.5, 12, 2, 20)
    assert english["p_mcnemar"] == pytest.approx(2 * (1 + 14 + 91) / 2**14)
    assert english["low"] < 0.5 < english["high"]
    assert paired["macro"]["difference"] == 0.5
    assert after.manifest.summary == bench.score(model, asked, name="s2", baseline=before).manifest.summary


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ({"made:test:en:1": "B"}, "has nothing for 3 questions, such as made:test:en:2, made:test:en:3, made:test:fr:4"),
        ({question.id: "B" for question in ASKED} | {"made:test:en:9": "B"}, "holds unknown 1 questions, such as made:test:en:9"),
    ],
)
def test_predictions_of_other_questions_are_refused_by_id(bench, texts, message):
    asked = bench.given(ASKED)
    with pytest.raises(StageError, match=message):
        bench.score(answer(bench, bench.predict(asked), texts), asked)


def test_a_question_answered_twice_is_refused(bench):
    asked = bench.given(ASKED)
    made = bench.predict(asked, ask=("letters",))
    rows_ = rows(made, "predictions-letters-*.jsonl")
    write_rows(made.path / "predictions-letters-00001.jsonl", rows_[:1])
    with pytest.raises(StageError, match="answered twice by letters, such as made:test:en:1"):
        bench.score(made, asked)


def test_a_baseline_of_other_questions_is_refused(bench):
    asked, others = bench.given(ASKED), bench.given(ASKED[:2], name="others")
    base = bench.score(bench.predict(others, name="p0"), others, name="s0")
    with pytest.raises(StageError, match="the baseline 's0' was scored on other questions"):
        bench.score(bench.predict(asked), asked, baseline=base)


def test_two_benchmarks_are_not_mixed(bench):
    from dataclasses import replace

    asked = bench.given([ASKED[0], replace(ASKED[2], benchmark="other")])
    with pytest.raises(StageError, match="made, other; make a predict and a score node for each benchmark"):
        bench.score(bench.predict(asked), asked)
