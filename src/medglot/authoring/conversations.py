"""Questions as conversations: the very prompts that evaluation uses, so that what is trained is what is asked."""

from __future__ import annotations

from collections import Counter

from medglot.authoring.settings import ConversationsSettings
from medglot.core.balance import Balance
from medglot.core.records import Conversation, Question, Turn
from medglot.core.rows import read_all, write_rows
from medglot.core.stage import StageContext, StageResult
from medglot.languages.prompts import Style, answer_text, question_turns


def build(settings: ConversationsSettings, context: StageContext) -> StageResult:
    """Writes `conversations.jsonl`. The balance counts samples: one is read for every question and style."""
    questions = list(read_all(context.all("questions"), "questions*.jsonl", Question))
    balance, counts = Balance(), Counter[str]()
    samples = []
    for question in questions:
        for style in settings.styles:
            reason = _unusable(question, style)
            if reason:
                balance.drop(reason)
                continue
            balance.keep()
            counts[f"{question.language} {style}"] += 1
            samples.append(_sample(question, style, license=settings.license))
    write_rows(context.out / "conversations.jsonl", samples)
    return StageResult({"samples": dict(sorted(counts.items()))}, balance)


def _unusable(question: Question, style: Style) -> str:
    if not question.answer:
        return "no answer"
    return "no rationale" if style == "reason_first" and not question.rationale else ""


def _sample(question: Question, style: Style, *, license: str) -> Conversation:
    turns = (*question_turns(question, style=style), Turn("assistant", answer_text(question, style=style)))
    return Conversation(f"{question.id}:{style}", turns, question.language, question.benchmark, license)
