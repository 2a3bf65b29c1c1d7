"""How a question is put to a model: the same words in training and in evaluation, taken from the language's file.

Two styles: ``answer_only`` asks for the option letters at once, ``reason_first`` for a rationale whose last line gives them.
"""

from __future__ import annotations

from typing import Literal

from medglot.core.records import Question, Turn
from medglot.languages import Language, load

Style = Literal["answer_only", "reason_first"]


def option_letters(question: Question, language: Language | None = None) -> tuple[str, ...]:
    """The letters of a question's options, in order."""
    return (language or load(question.language)).option_letters[: len(question.options)]


def answer_letters(question: Question) -> str:
    """The right letters as a model should write them: ``B`` or ``A,C``."""
    letters = option_letters(question)
    return ",".join(letters[position] for position in question.answer)


def question_text(question: Question, *, style: Style) -> str:
    """The user's message: instruction, passage if there is one, stem, one option a line."""
    language = load(question.language)
    prompts, words = language.prompts, language.words
    instruction = prompts.answer_only if style == "answer_only" else prompts.reason_first
    if question.several:
        instruction += ("" if "Han" in language.scripts else " ") + prompts.several
    letters = option_letters(question, language)
    lines = [instruction, ""]
    if question.context:
        lines += [question.context, ""]
    lines += [f"{words.question}{words.colon}{question.stem}", f"{words.options}{words.colon.rstrip()}"]
    lines += [f"{letter}. {option}" for letter, option in zip(letters, question.options, strict=True)]
    return "\n".join(lines)


def question_turns(question: Question, *, style: Style) -> tuple[Turn, ...]:
    """The turns before the answer: the language's system message and the question."""
    return (Turn("system", load(question.language).prompts.system), Turn("user", question_text(question, style=style)))


def answer_text(question: Question, *, style: Style) -> str:
    """The assistant's ideal message in a style: the letters, or the rationale and a last line with the letters."""
    if style == "answer_only":
        return answer_letters(question)
    words = load(question.language).words
    return f"{question.rationale}\n{words.answer}{words.colon}{answer_letters(question)}"
