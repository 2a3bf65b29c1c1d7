"""Our own scores as tables: one for each set of questions and each way of asking, and beside it the paired comparison with the base models."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from medglot.board.tables import AVERAGE, Cell, Origin, Row, Table, View, columns
from medglot.core.artifact import Artifact
from medglot.core.errors import StageError

_VIEWS: Mapping[str, View] = {"letters": "letters", "generate": "written"}
_METRICS = {"bleu1": "BLEU-1", "rouge1": "ROUGE-1"}

_ACCURACY = "Exact-set accuracy in %. An answer that could not be read counts as wrong and is shown as unparsed."
_DIFFERENCE = "Accuracy minus that of the base model on the same questions, in points; p is McNemar's exact test, uncorrected."
_SIMILARITY = "Similarity of the written rationale to the reference, in %."


@dataclass(frozen=True, slots=True)
class _Scores:
    """One scores artifact as the board sees it; `base` names the scores it was compared with."""

    model: str
    size: str
    setting: str
    base: str
    summary: Mapping[str, Any]

    def row(self, cells: Mapping[str, Cell]) -> Row:
        return Row(self.model, self.size, self.setting, cells)


@dataclass(frozen=True, slots=True)
class _Set:
    """The scores of one set of questions and the order of its languages."""

    scores: Sequence[_Scores]
    languages: Sequence[str]
    title: str
    questions: str

    def table(self, rows: Sequence[Row], *, view: View, metric: str, origin: Origin, note: str, scale: tuple[float, float] = (0.0, 100.0)) -> Table:
        notes = (note, f"Set of questions {self.questions[:8]}.")
        keys = [code for code in self.languages if any(code in row.cells for row in rows)]
        return Table(view, metric, origin, self.title, notes, columns(keys), tuple(rows), scale)


def tables(artifacts: Sequence[Artifact], *, order: Sequence[str]) -> list[Table]:
    """The tables of all scores artifacts, their languages in `order` and unknown ones behind.

    Raises StageError that names the artifact whose summary is not that of the score stage.
    """
    models = {artifact.name: _name(artifact) for artifact in artifacts}
    sets: dict[tuple[str, str], list[_Scores]] = defaultdict(list)
    for artifact in artifacts:
        scores = _read(artifact, models)
        sets[scores.summary["benchmark"], scores.summary["questions"]].append(scores)
    made = []
    for (benchmark, questions), group in sorted(sets.items()):
        by_language = next(group[0].summary[way]["by_language"] for way in _VIEWS if way in group[0].summary)
        codes = sorted(by_language, key=lambda code: (order.index(code) if code in order else len(order), code))
        count = sum(values["n"] for values in by_language.values())
        made += _set_tables(_Set(group, codes, f"{benchmark}, {count:,} questions", questions))
    return made


def _name(artifact: Artifact) -> str:
    return artifact.manifest.identity["settings"].get("model") or artifact.name


def _read(artifact: Artifact, models: Mapping[str, str]) -> _Scores:
    summary = artifact.manifest.summary
    missing = [key for key in ("benchmark", "questions") if key not in summary]
    if missing or not any(way in summary for way in _VIEWS):
        what = " and ".join(missing) or f"scores by {' or '.join(_VIEWS)}"
        raise StageError(f"{artifact.name}: its summary lacks {what}; rebuild it with --rebuild {artifact.name}")
    settings = artifact.manifest.identity["settings"]
    base = next((name for name, _ in artifact.manifest.inputs.get("baseline", ())), "")
    return _Scores(models[artifact.name], settings.get("size") or "", settings.get("setting") or "", models.get(base, base), summary)


def _set_tables(questions: _Set) -> list[Table]:
    made = []
    for way, view in _VIEWS.items():
        asked = [scores for scores in questions.scores if way in scores.summary]
        if asked:
            rows = [scores.row(_accuracies(scores.summary[way])) for scores in asked]
            made.append(questions.table(rows, view=view, metric="accuracy", origin="measured", note=_ACCURACY))
        rows = [_difference(scores, way) for scores in asked if way in scores.summary.get("paired", {})]
        if rows:
            made.append(questions.table(rows, view=view, metric="accuracy", origin="paired", note=_DIFFERENCE, scale=_symmetric(rows)))
    for metric, label in _METRICS.items():
        rows = [scores.row(cells) for scores in questions.scores if (cells := _similarities(scores, metric))]
        if rows:
            made.append(questions.table(rows, view="rationale", metric=label, origin="measured", note=_SIMILARITY))
    return made


def _accuracies(found: Mapping[str, Any]) -> dict[str, Cell]:
    by_key = {**found["by_language"], AVERAGE: found["macro"]}
    return {key: Cell(n=values.get("n"), unparsed=values.get("unparsed"), **_shares(values)) for key, values in by_key.items()}


def _shares(values: Mapping[str, Any]) -> dict[str, Any]:
    names = {"accuracy": "value"} | {name: name for name in ("low", "high", "single", "several", "chance")}
    return {to: 100 * values[name] for name, to in names.items() if values.get(name) is not None}


def _difference(scores: _Scores, way: str) -> Row:
    cells = {}
    for code, values in scores.summary["paired"][way].items():
        low, high = 100 * values["low"], 100 * values["high"]
        cells[AVERAGE if code == "macro" else code] = Cell(
            100 * values["difference"], low, high, wins=values.get("wins"), losses=values.get("losses"), p=values.get("p_mcnemar")
        )
    return Row(f"{scores.model} − {scores.base}", scores.size, scores.setting, cells)


def _symmetric(rows: Sequence[Row]) -> tuple[float, float]:
    """Bounds around zero, in whole tens, that hold every interval."""
    widest = max(max(abs(cell.low or 0), abs(cell.high or 0)) for row in rows for cell in row.cells.values())
    bound = max(10.0, 10.0 * math.ceil(widest / 10))
    return -bound, bound


def _similarities(scores: _Scores, metric: str) -> dict[str, Cell]:
    rationale = scores.summary.get("generate", {}).get("rationale", {})
    cells = {code: Cell(100 * values[metric], n=values.get("n")) for code, values in rationale.items() if metric in values}
    if cells:
        cells[AVERAGE] = Cell(sum(cell.value for cell in cells.values()) / len(cells))
    return cells
