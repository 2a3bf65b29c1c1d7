"""What every benchmark in the folder must hold, tried on its samples in `medglot/samples/<benchmark>`.

Ids are stable, a perfect model scores 1.0, and a silent one 0.0 with every answer unparsed.
"""

import importlib.resources
import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from medglot import languages
from medglot.bench.settings import BENCHMARKS
from medglot.core.artifact import read_artifact
from medglot.core.config import Machine
from medglot.core.find import find, names
from medglot.core.records import Question, Score
from medglot.core.rows import read_rows
from medglot.languages.prompts import answer_text, question_text
from medglot.pipeline.recipe import load_recipe
from medglot.pipeline.run import run

RECIPE = """
name = "contract"
[questions.asked]
benchmark = "{benchmark}"
source = {{ path = "sample:{benchmark}" }}
languages = {codes}
"""

MODEL = """
[predict.{name}]
inputs = {{ questions = "asked" }}
backend = "echo"
base = {{ path = "{name}.jsonl" }}
[score.{name}-scores]
inputs = {{ predictions = "{name}", questions = "asked" }}
"""


@dataclass
class Trial:
    """A benchmark's samples, run through the stages."""

    root: Path
    benchmark: str
    codes: tuple[str, ...]

    def run(self, *models, runs="runs"):
        text = RECIPE.format(benchmark=self.benchmark, codes=json.dumps(self.codes)) + "".join(MODEL.format(name=name) for name in models)
        path = self.root / "contract.toml"
        path.write_text(text)
        run(load_recipe(path), machine=Machine(workers=1), runs=self.root / runs, say=lambda _: None)
        return self.root / runs / "contract"

    def questions(self, runs="runs"):
        return [row for path in sorted(self.run(runs=runs).glob("asked/questions*.jsonl")) for row in read_rows(path, Question)]


@pytest.fixture(scope="module", params=names(BENCHMARKS))
def trial(request, tmp_path_factory) -> Trial:
    samples = Path(str(importlib.resources.files("medglot.samples"))) / request.param
    benchmark = find(BENCHMARKS, request.param)()
    codes = tuple(code for code in benchmark.languages if (samples / benchmark.file(split=benchmark.splits[0], language=code)).is_file())
    assert codes, f"put samples written by us into {samples}"
    return Trial(tmp_path_factory.mktemp(request.param), request.param, codes)


def test_its_languages_are_known_and_its_version_is_a_number(trial):
    benchmark = find(BENCHMARKS, trial.benchmark)()
    assert set(benchmark.languages) <= set(languages.codes())
    assert benchmark.version >= 1
    assert len(set(benchmark.splits)) == len(benchmark.splits) >= 1


def test_every_row_of_the_samples_is_a_question(trial):
    balance = read_artifact(trial.run() / "asked").balance
    assert balance.kept == balance.read > 0


def test_ids_are_stable_and_name_benchmark_split_and_language(trial):
    questions, again = trial.questions(), trial.questions(runs="again")
    assert [question.id for question in questions] == [question.id for question in again]
    assert len({question.id for question in questions}) == len(questions)
    assert all(question.id.startswith(f"{trial.benchmark}:test:{question.language}:") for question in questions)


def test_answers_are_among_the_options(trial):
    for question in trial.questions():
        assert question.stem
        assert all(0 <= position < len(question.options) for position in question.answer)
        assert list(question.answer) == sorted(set(question.answer))


def test_a_perfect_model_scores_one_and_a_silent_one_zero_with_every_answer_unparsed(trial):
    questions = trial.questions()
    replies = [
        {
            "prompt": question_text(question, style=style),
            "reply": answer_text(question, style=style),
        }
        for question in questions
        for style in ("answer_only", "reason_first")
    ]
    (trial.root / "perfect.jsonl").write_text("".join(json.dumps(reply) + "\n" for reply in replies), encoding="utf-8")
    (trial.root / "silent.jsonl").write_text("")
    folder = trial.run("perfect", "silent")
    for name, accuracy, unparsed in (("perfect", 1.0, 0), ("silent", 0.0, len(questions))):
        summary = read_artifact(folder / f"{name}-scores").manifest.summary
        for ask in ("letters", "generate"):
            assert summary[ask]["macro"]["accuracy"] == accuracy
            assert summary[ask]["micro"]["unparsed"] == unparsed
            assert summary[ask]["micro"]["n"] == len(questions)
            scores = list(read_rows(folder / f"{name}-scores" / f"scores-{ask}.jsonl", Score))
            assert [score.question_id for score in scores] == [question.id for question in questions]
