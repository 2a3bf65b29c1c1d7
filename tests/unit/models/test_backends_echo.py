import json
import math

import pytest

from medglot.core.config import HubSource, Machine, PathSource
from medglot.core.errors import RecipeError
from medglot.core.records import Turn
from medglot.models.backends.echo import Echo
from medglot.models.base import LetterRequest, Reply


def make_echo(tmp_path, *rows):
    path = tmp_path / "replies.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Echo(PathSource(path=path), machine=Machine())


def ask(text):
    return (Turn("system", "Be exact."), Turn("user", text))


def written(echo, text, **more):
    (one,) = echo.generate([ask(text)], **({"max_tokens": 99} | more))
    return one


def test_without_a_table_it_repeats_the_last_message():
    one = written(Echo(None, machine=Machine()), "to be or\n not")
    assert (one.text, one.finish_reason, one.usage) == ("to be or\n not", "stop", {"prompt": 6, "completion": 4})
    assert one.prompt == "Be exact.\n\nto be or\n not"


def test_a_table_answers_by_the_whole_message_and_else_by_its_last_resort(tmp_path):
    echo = make_echo(tmp_path, {"prompt": "Dose?", "reply": "5 mg"}, {"reply": "unknown"})
    assert [written(echo, text).text for text in ("Dose?", "Dose? ")] == ["5 mg", "unknown"]
    assert written(make_echo(tmp_path), "Dose?").text == ""


def test_the_letter_that_its_reply_goes_on_with_is_likeliest(tmp_path):
    echo = make_echo(tmp_path, {"reply": "C,A"})
    for prefix, candidates, best in (("", ("A", "B", "C"), 2), ("C", ("", ",A", ",B"), 1), ("C,A", ("", ",B"), 0)):
        (reply,) = echo.letters([LetterRequest(ask("x"), candidates, prefix)])
        assert reply.logprobs.index(max(reply.logprobs)) == best
        assert sum(map(math.exp, reply.logprobs)) == pytest.approx(1)


def test_a_silent_model_prefers_no_letter(tmp_path):
    (reply,) = make_echo(tmp_path).letters([LetterRequest(ask("x"), ("A", "B"))])
    assert reply.logprobs[0] == reply.logprobs[1]


def test_identity_is_that_of_the_table(tmp_path):
    one, other = make_echo(tmp_path, {"reply": "A"}).identity, make_echo(tmp_path, {"reply": "B"}).identity
    assert one != other
    assert one == make_echo(tmp_path, {"reply": "A"}).identity


def test_a_bad_table_is_named_with_its_row(tmp_path):
    with pytest.raises(RecipeError, match=r"replies\.jsonl, row 2"):
        make_echo(tmp_path, {"reply": "A"}, {"text": "A"})
    with pytest.raises(RecipeError, match="absent"):
        Echo(PathSource(path=tmp_path / "absent"), machine=Machine())
    with pytest.raises(RecipeError, match="base = "):
        Echo(HubSource(hub="a/b", revision="1"), machine=Machine())


def test_what_may_begin_a_stop_text_is_held_back_until_it_is_decided():
    reply = Reply(["</s>", "END"])
    assert [reply.add(piece) for piece in ("ab<", "/x", "y E", "N", "D more")] == ["ab", "</x", "y ", "", ""]
    assert (reply.text, reply.stopped, reply.rest()) == ("ab</xy ", True, "")


def test_text_held_back_is_shown_at_the_end():
    reply = Reply(["</s>"])
    assert reply.add("ab</s") == "ab"
    assert (reply.rest(), reply.text, reply.stopped) == ("</s", "ab</s", False)
