import dataclasses

from medglot.authoring.conversations import build
from medglot.authoring.settings import ConversationsSettings
from medglot.core.artifact import Artifact, Manifest
from medglot.core.config import Machine
from medglot.core.records import Conversation, Question
from medglot.core.rows import read_rows, write_rows
from medglot.core.stage import StageContext
from medglot.launch.local import Local

QUESTION = Question("q:1", "paper", "es", "¿Qué órgano bombea la sangre?", ("El hígado", "El corazón"), (1,), "El corazón es una bomba.")


def conversations(tmp_path, questions, **settings):
    source = tmp_path / "questions"
    source.mkdir()
    write_rows(source / "questions.jsonl", questions)
    artifact = Artifact("questions", source, Manifest("questions", "questions", 1, "f", {}, {}, {}, {}, None, {}))
    machine = Machine(workers=1)
    context = StageContext(tmp_path, {"questions": (artifact,)}, machine, Local(machine).map_shards)
    result = build(ConversationsSettings(**settings), context)
    return result, list(read_rows(tmp_path / "conversations.jsonl", Conversation))


def test_a_question_is_used_with_its_rationale_and_without(tmp_path):
    result, samples = conversations(tmp_path, [QUESTION], license="MIT")
    assert [sample.turns[-1].text for sample in samples] == ["B", "El corazón es una bomba.\nRespuesta: B"]
    assert {sample.license for sample in samples} == {"MIT"}
    assert len({sample.id for sample in samples}) == 2
    assert result.summary == {"samples": {"es answer_only": 1, "es reason_first": 1}}


def test_what_cannot_teach_is_dropped_with_its_reason(tmp_path):
    bare = dataclasses.replace(QUESTION, id="q:2", rationale="")
    open_question = dataclasses.replace(QUESTION, id="q:3", answer=())
    result, samples = conversations(tmp_path, [QUESTION, bare, open_question])
    assert len(samples) == 3
    assert result.balance is not None
    assert result.balance.to_json() == {"read": 6, "kept": 3, "dropped": {"no answer": 2, "no rationale": 1}, "quarantined": {}}


def test_one_style_alone_can_be_asked_for(tmp_path):
    _, samples = conversations(tmp_path, [QUESTION], styles=["reason_first"])
    assert [sample.id for sample in samples] == ["q:1:reason_first"]
