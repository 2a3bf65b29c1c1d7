"""Our own scores as tables: one for each set of questions and each way of asking, and beside it the paired comparison with the base models."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from medglot.board.tables import AVERAGE, Cell, Origin, Row, Table, View, columns
from medglot.core.artifact import Artifact
from medglot.core.errors import StageError

_VIEWS: Mapping[str, View] = {"letters": "letters", "generate": "written"}
_METRICS = {f"bleu{order}": f"BLEU-{order}" for order in (1, 2, 3, 4)} | {f"rouge{kind}": f"ROUGE-{kind}" for kind in ("1", "2", "L")}
_NEEDED = ("model", "benchmark", "questions", "confidence")

_ACCURACY = "Exact-set accuracy in %, with Wilson intervals ({level}); an answer that could not be read counts as wrong and is shown as unparsed."
_DIFFERENCE = "Accuracy minus that of the base model on the same questions, in points, with bootstrap intervals ({level}); p is McNemar's, exact."
_SIMILARITY = "Similarity of the written rationale to the reference, in %."


@dataclass(frozen=True, slots=True)
class _Scores:
    """One scores artifact as the board sees it; `base` names the model it was compared with."""

    summary: Mapping[str, Any]
    base: str

    def row(self, cells: Mapping[str, Cell], *, against: str = "") -> Row:
        model = f"{self.summary['model']} − {against}" if against else self.summary["model"]
        return Row(model, self.summary.get("size", ""), self.summary.get("setting", ""), cells)


@dataclass(frozen=True, slots=True)
class _Set:
    """The scores of one set of questions, with intervals of one confidence; `languages` in the order of the columns."""

    scores: Sequence[_Scores]
    languages: Sequence[str]

    @property
    def first(self) -> Mapping[str, Any]:
        """A summary for what is the same in all."""
        return self.scores[0].summary

    def asked(self, way: str) -> list[_Scores]:
        """The scores that hold a way of asking."""
        return [scores for scores in self.scores if way in scores.summary]

    def table(self, rows: Sequence[Row], *, view: View, metric: str, origin: Origin, note: str, scale: tuple[float, float] = (0.0, 100.0)) -> Table:
        way = next(way for way in _VIEWS if way in self.first)
        count = sum(values["n"] for values in self.first[way]["by_language"].values())
        notes = (note.replace("{level}", f"{100 * self.first['confidence']:g} %"), f"Set of questions {self.first['questions'][:8]}.")
        keys = [code for code in self.languages if any(code in row.cells for row in rows)]
        return Table(view, metric, origin, f"{self.first['benchmark']}, {count:,} questions", notes, columns(keys), tuple(rows), scale)


def tables(artifacts: Sequence[Artifact], *, order: Sequence[str]) -> list[Table]:
    """The tables of all scores artifacts, their languages in `order` and unknown ones behind.

    Raises StageError that names the artifact whose summary is not that of the score stage.
    """
    sets: dict[tuple[Any, ...], list[_Scores]] = defaultdict(list)
    models = {artifact.name: artifact.manifest.summary.get("model", "") for artifact in artifacts}
    for artifact in artifacts:
        scores = _read(artifact, models)
        sets[tuple(scores.summary[key] for key in ("benchmark", "questions", "confidence"))].append(scores)
    made: list[Table] = []
    for _, group in sorted(sets.items()):
        codes = {code for scores in group for way in _VIEWS if way in scores.summary for code in scores.summary[way]["by_language"]}
        ranks = {code: (order.index(code) if code in order else len(order), code) for code in codes}
        questions = _Set(group, sorted(codes, key=ranks.__getitem__))
        made += [*_accuracies(questions), *_similarities(questions)]
    return made


def _read(artifact: Artifact, models: Mapping[str, str]) -> _Scores:
    summary = artifact.manifest.summary
    missing = [key for key in _NEEDED if key not in summary] + ([] if any(way in summary for way in _VIEWS) else [" or ".join(_VIEWS)])
    if missing:
        raise StageError(f"{artifact.name}: its summary lacks {', '.join(missing)}; rebuild it with --rebuild {artifact.name}")
    base = next((name for name, _ in artifact.manifest.inputs.get("baseline", ())), "")
    return _Scores(summary, models.get(base, base))


def _accuracies(questions: _Set) -> Iterator[Table]:
    """For each way of asking the accuracies, then the differences from the base models."""
    for way, view in _VIEWS.items():
        asked = questions.asked(way)
        if asked:
            rows = [scores.row(_accuracy_cells(scores.summary[way])) for scores in asked]
            yield questions.table(rows, view=view, metric="accuracy", origin="measured", note=_ACCURACY)
        pairs = [(scores, scores.summary["paired"][way]) for scores in asked if way in scores.summary.get("paired", {})]
        if pairs:
            rows = [scores.row(_difference_cells(pair), against=scores.base) for scores, pair in pairs]
            yield questions.table(rows, view=view, metric="accuracy", origin="paired", note=_DIFFERENCE, scale=_symmetric(rows))


def _similarities(questions: _Set) -> Iterator[Table]:
    """For each metric the similarities of rationales; those of other items or of another tokeniser in another table."""
    for metric, label in _METRICS.items():
        groups: dict[str, list[Row]] = defaultdict(list)
        for scores in questions.asked("generate"):
            cells = _similarity_cells(scores.summary["generate"].get("rationale", {}), metric)
            if cells:
                groups[_how(scores.summary, metric)].append(scores.row(cells))
        for how, rows in sorted(groups.items()):
            yield questions.table(rows, view="rationale", metric=label, origin="measured", note=f"{_SIMILARITY} {how}".rstrip())


def _how(summary: Mapping[str, Any], metric: str) -> str:
    """Which items were compared and how the metric counts, as the score stage says it."""
    items = {code: f"Items: {values['items']}" for code, values in summary["generate"]["rationale"].items() if "items" in values}
    signatures = summary.get("signatures", {}).get(metric.rstrip("1234L"), {})
    return " ".join(f"{text} ({codes})." for text, codes in (*_by_text(items), *_by_text(signatures)))


def _by_text(texts: Mapping[str, str]) -> list[tuple[str, str]]:
    """Equal texts once, each with its languages."""
    codes: dict[str, list[str]] = defaultdict(list)
    for code, text in texts.items():
        codes[text].append(code)
    return [(text, ", ".join(group)) for text, group in sorted(codes.items())]


def _accuracy_cells(found: Mapping[str, Any]) -> dict[str, Cell]:
    by_key = {**found["by_language"], AVERAGE: found["macro"]}
    return {key: Cell(n=values.get("n"), unparsed=values.get("unparsed"), **_percent(values)) for key, values in by_key.items()}


def _percent(values: Mapping[str, Any]) -> dict[str, Any]:
    names = {"accuracy": "value"} | {name: name for name in ("low", "high", "single", "several", "chance")}
    return {to: 100 * values[name] for name, to in names.items() if values.get(name) is not None}


def _difference_cells(pair: Mapping[str, Any]) -> dict[str, Cell]:
    cells = {}
    for code, values in pair.items():
        difference, low, high = (100 * values[name] for name in ("difference", "low", "high"))
        counts = {name: values.get(name) for name in ("n", "wins", "losses")}
        cells[AVERAGE if code == "macro" else code] = Cell(difference, low, high, p=values.get("p_mcnemar"), **counts)
    return cells


def _similarity_cells(rationale: Mapping[str, Any], metric: str) -> dict[str, Cell]:
    cells = {code: Cell(100 * values[metric], n=values.get("n")) for code, values in rationale.items() if metric in values}
    if cells:
        cells[AVERAGE] = Cell(sum(cell.value for cell in cells.values()) / len(cells))
    return cells


def _symmetric(rows: Sequence[Row]) -> tuple[float, float]:
    """Bounds around zero, in whole tens, that hold every interval."""
    widest = max(max(abs(cell.low or 0), abs(cell.high or 0)) for row in rows for cell in row.cells.values())
    bound = max(10.0, 10.0 * math.ceil(widest / 10))
    return -bound, bound
