"""The three evaluation stages in folders below a temporary one, without the spine."""

import json
from dataclasses import dataclass
from pathlib import Path

from medglot.bench import predict, questions, score
from medglot.bench.settings import PredictSettings, QuestionsSettings, ScoreSettings
from medglot.core.artifact import Artifact, Manifest
from medglot.core.config import Machine, PathSource
from medglot.core.files import text_digest
from medglot.core.records import Prediction, Question, Score
from medglot.core.rows import read_rows, write_rows
from medglot.core.shards import finished_row, run_shard
from medglot.core.stage import StageContext
from medglot.languages.prompts import answer_text, question_text

KINDS = {"questions": Question, "predictions": Prediction, "scores": Score}


def make_question(number=1, *, language="en", answer=(1,), options=("rest", "water", "salt", "sleep"), **more):
    """Question `number` of a paper that nobody ever sat."""
    return Question(f"made:test:{language}:{number}", "made", language, f"What helps in case {number}?", tuple(options), tuple(answer), **more)


@dataclass
class Bench:
    """Builds stages; what a stage returned stands in the manifest of its artifact."""

    root: Path

    def build(self, stage, settings, name, **inputs):
        out = self.root / name
        out.mkdir(exist_ok=True)
        result = stage.build(settings, StageContext(out, inputs, Machine(threads=1), map_shards))
        if result.balance is not None:
            result.balance.check()
        balance = result.balance.to_json() if result.balance else None
        manifest = Manifest(name, "", 1, text_digest(name), {}, {}, {}, json.loads(json.dumps(result.summary)), balance, {})
        return Artifact(name, out, manifest)

    def questions(self, files, name="questions", *, split="test", **settings):
        for language, lines in files.items():
            path = self.root / "raw" / split.capitalize() / f"{language}.jsonl"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"".join((line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n" for line in lines))
        source = PathSource(path=self.root / "raw")
        return self.build(questions, QuestionsSettings(source=source, split=split, **settings), name)

    def given(self, rows, name="questions"):
        folder = self.root / name
        folder.mkdir(exist_ok=True)
        write_rows(folder / "questions-00000.jsonl", rows)
        return Artifact(name, folder, Manifest("questions", "questions", 1, text_digest(name), {}, {}, {}, {}, None, {}))

    def table(self, replies, name="replies.jsonl"):
        path = self.root / name
        path.write_text("".join(json.dumps(reply) + "\n" for reply in replies), encoding="utf-8")
        return PathSource(path=path)

    def predict(self, asked, name="predictions", **settings):
        return self.build(predict, PredictSettings(**({"backend": "echo"} | settings)), name, questions=(asked,))

    def score(self, predictions, asked, name="scores", *, baseline=None, **settings):
        inputs = {"predictions": (predictions,), "questions": (asked,)} | ({"baseline": (baseline,)} if baseline else {})
        return self.build(score, ScoreSettings(**settings), name, **inputs)


def map_shards(function, shards, *, out, title):
    return [finished_row(out, shard.name) or run_shard(function, shard, out) for shard in shards]


def right_replies(asked):
    """The table of a model that knows every answer, asked in either way."""
    return [
        {
            "prompt": question_text(question, style=style),
            "reply": answer_text(question, style=style),
        }
        for question in asked
        for style in ("answer_only", "reason_first")
    ]


def rows(artifact, pattern):
    kind = KINDS[pattern.partition("-")[0]]
    return [row for path in artifact.files(pattern) for row in read_rows(path, kind)]
