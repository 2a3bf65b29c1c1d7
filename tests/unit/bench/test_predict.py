import dataclasses
import math

import pytest

from medglot.bench import predict
from medglot.bench.predict import choose_letters
from medglot.bench.settings import PredictSettings
from medglot.core.config import HubSource, Machine
from medglot.core.errors import RecipeError, StageError
from medglot.core.stage import StageContext
from medglot.models.backends.echo import Echo
from medglot.models.base import LetterReply
from tests.unit.bench.paper import make_question, map_shards, right_replies, rows


class Scripted:
    """Gives replies the probabilities of a table; ``B.`` stands for the reply that is B and ends there."""

    def __init__(self, table):
        self.table, self.asked = table, []

    def letters(self, requests):
        self.asked.append([(request.written, request.candidates) for request in requests])
        return [
            LetterReply(tuple(math.log(self.table.get(request.written + (text or "."), 1e-9)) for text in request.candidates), "prompt", 1)
            for request in requests
        ]


class Counting(Echo):
    """An echo that counts its questions and can be told to die."""

    asked = 0
    dies_after = None

    def letters(self, requests):
        if Counting.dies_after is not None and Counting.asked >= Counting.dies_after:
            raise KeyboardInterrupt
        Counting.asked += len(requests)
        return super().letters(requests)


def one_of(question, script, *, several):
    (prediction,) = choose_letters(Scripted(script), [dataclasses.replace(question, several=several)])
    return prediction


def test_the_likeliest_letter_is_the_answer_where_one_is_right():
    backend = Scripted({"A": 0.2, "B": 0.5, "C": 0.1})
    (prediction,) = choose_letters(backend, [make_question()])
    assert prediction.text == "B"
    assert prediction.option_logprobs == pytest.approx([math.log(value) for value in (0.2, 0.5, 0.1, 1e-9)], abs=1e-6)
    assert backend.asked == [[("", ("A", "B", "C", "D"))]]


def test_a_set_is_written_while_going_on_is_likelier_than_the_end():
    script = {"C": 0.6, "C.": 0.2, "C,A": 0.3, "C,D": 0.1, "C,A.": 0.1, "C,A,B": 0.06, "C,A,D": 0.05, "C,A,B.": 0.05, "C,A,B,D": 0.01}
    assert one_of(make_question(), script, several=True).text == "C,A,B"
    assert one_of(make_question(), script, several=False).text == "C"


def test_a_set_may_hold_every_letter_and_then_ends():
    script = {"A": 0.9, "A,B": 0.8, "A,B,C": 0.7, "A,B,C,D": 0.6}
    assert one_of(make_question(), script, several=True).text == "A,B,C,D"


def test_a_tie_is_no_answer():
    assert one_of(make_question(), {"A": 0.4, "B": 0.4}, several=True).text == ""


def test_both_ways_of_asking_are_kept_apart_and_counted(bench):
    asked = [make_question(number, rationale="Because it does.") for number in range(5)]
    made = bench.predict(bench.given(asked), base=bench.table(right_replies(asked)))
    letters, written = (rows(made, f"predictions-{ask}-*.jsonl") for ask in ("letters", "generate"))
    assert [row.text for row in letters] == ["B"] * 5
    assert [row.text for row in written] == ["Because it does.\nAnswer: B"] * 5
    assert all(len(row.option_logprobs) == 4 for row in letters)
    assert all(row.option_logprobs == () for row in written)
    assert "Answer the following multiple-choice question" in letters[0].prompt
    assert made.manifest.summary["generate"] == {
        "questions": 5,
        "tokens": {"completion": 25, "prompt": sum(row.usage["prompt"] for row in written)},
        "finish": {"stop": 5},
    }
    assert made.manifest.balance["read"] == made.manifest.balance["kept"] == 10


def test_a_reply_longer_than_allowed_says_so(bench):
    asked = [make_question()]
    made = bench.predict(bench.given(asked), base=bench.table([{"reply": "one two three four"}]), ask=("generate",), max_tokens=2)
    (row,) = rows(made, "predictions-generate-*.jsonl")
    assert (row.text, row.finish_reason, row.usage["completion"]) == ("one two", "length", 2)


def test_only_a_paper_with_several_answers_is_told_so(bench):
    asked = [make_question(number, language="fr", several=True) for number in (1, 2)] + [make_question(3)]
    prompts = [row.prompt for row in rows(bench.predict(bench.given(asked)), "predictions-letters-*.jsonl")]
    assert ["Plusieurs propositions peuvent" in prompt for prompt in prompts] == [True, True, False]
    assert "More than one option" not in prompts[2]


def test_finished_shards_are_not_asked_again_and_the_bytes_are_the_same(bench, monkeypatch):
    monkeypatch.setattr("medglot.bench.predict._SHARD", {"letters": 4, "generate": 4})
    asked = bench.given([make_question(number) for number in range(10)])
    settings = {"backend": "tests.unit.bench.test_predict:Counting", "base": bench.table([{"reply": "B"}]), "ask": ("letters",)}
    monkeypatch.setattr(Counting, "asked", 0)
    monkeypatch.setattr(Counting, "dies_after", 8)
    with pytest.raises(KeyboardInterrupt):
        bench.predict(asked, name="killed", **settings)
    monkeypatch.setattr(Counting, "dies_after", None)
    killed = bench.predict(asked, name="killed", **settings)
    assert Counting.asked == 10
    whole = bench.predict(asked, name="whole", **settings)
    assert [path.read_bytes() for path in killed.files("*.jsonl")] == [path.read_bytes() for path in whole.files("*.jsonl")]
    assert killed.manifest.summary == whole.manifest.summary


def test_the_model_is_not_loaded_when_nothing_is_open(bench):
    asked = bench.given([make_question()])
    bench.predict(asked, base=bench.table([]))
    bench.predict(asked, base=HubSource(hub="nobody/nothing", revision="0"))  # echo would refuse this source


def test_equal_ids_are_refused(bench):
    with pytest.raises(StageError, match=r"made:test:en:1; give each questions node its own `name`"):
        bench.predict(bench.given([make_question(), make_question()]))


def test_an_unknown_backend_is_found_when_planning():
    with pytest.raises(RecipeError, match="choose one of echo, hf"):
        PredictSettings(backend="gpt").check()
    with pytest.raises(RecipeError, match="twice"):
        PredictSettings(ask=("letters", "letters")).check()


def test_a_backend_of_another_package_stands_for_what_its_file_holds(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "mylab.py").write_text("raise RuntimeError('planning must not run this')\n")
    settings = PredictSettings(backend="mylab:Own")
    settings.check()
    before = settings.depends()
    assert PredictSettings().depends().items() < before.items()
    (tmp_path / "mylab.py").write_text("Own = None\n")
    assert settings.depends() != before
    with pytest.raises(RecipeError, match="there is no module 'otherlab' for 'otherlab:Own'"):
        PredictSettings(backend="otherlab:Own").check()


class Narrow:
    """A backend whose context holds no question."""

    def __init__(self, source, *, machine, dtype, options): ...

    def letters(self, requests):
        return [LetterReply((), "", 900, "context") for _ in requests]


def test_questions_longer_than_the_context_are_noted_at_once(bench):
    asked = bench.given([make_question(1), make_question(2)])
    (bench.root / "made").mkdir()
    settings = PredictSettings(backend=f"{__name__}:Narrow", ask=("letters",))
    result = predict.build(settings, StageContext(bench.root / "made", {"questions": (asked,)}, Machine(threads=1), map_shards))
    assert result.notes == ("letters: 2 of 2 questions are longer than the model's context and got no answer; they count as wrong",)
