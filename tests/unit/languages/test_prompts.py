import dataclasses

import pytest

from medglot import languages
from medglot.core.errors import RecipeError
from medglot.core.records import Question
from medglot.languages.prompts import answer_text, option_letters, question_text, question_turns

QUESTION = Question(
    "q:1", "paper", "en", "Which organ pumps blood?", ("The liver", "The heart", "The lung"), (1,), "The heart is a muscular pump.", "A passage."
)


def test_the_prompt_holds_instruction_passage_stem_and_lettered_options_in_order():
    text = question_text(QUESTION, style="answer_only")
    parts = [languages.load("en").prompts.answer_only, "A passage.", "Which organ pumps blood?", "A. The liver", "B. The heart", "C. The lung"]
    positions = [text.index(part) for part in parts]
    assert positions == sorted(positions)
    assert text.endswith("C. The lung")


def test_neither_the_answer_nor_the_rationale_is_in_the_prompt():
    turns = question_turns(QUESTION, style="reason_first")
    assert "muscular" not in "".join(turn.text for turn in turns)
    assert [turn.role for turn in turns] == ["system", "user"]


def test_a_paper_with_several_right_answers_says_so():
    note = languages.load("en").prompts.several
    assert note in question_text(dataclasses.replace(QUESTION, several=True), style="answer_only")
    assert note not in question_text(QUESTION, style="answer_only")


def test_the_ideal_answers_are_the_letters_or_the_reason_and_a_last_line_with_them():
    question = dataclasses.replace(QUESTION, answer=(0, 2))
    assert answer_text(question, style="answer_only") == "A,C"
    assert answer_text(question, style="reason_first") == "The heart is a muscular pump.\nAnswer: A,C"


@pytest.mark.parametrize("code", languages.codes())
def test_every_language_asks_in_its_own_words(code):
    question = dataclasses.replace(QUESTION, language=code)
    text = question_text(question, style="reason_first")
    words = languages.load(code).words
    assert f"{words.question}{words.colon}{question.stem}" in text
    assert option_letters(question) == ("A", "B", "C")
    assert answer_text(question, style="reason_first").splitlines()[-1] == f"{words.answer}{words.colon}B"


def test_an_unknown_language_lists_the_known_ones():
    with pytest.raises(RecipeError, match="no language 'xx': choose one of en, es, fr"):
        languages.load("xx")
    with pytest.raises(RecipeError, match="known are English"):
        languages.by_name("Klingon")
    assert languages.by_name("french").code == "fr"
