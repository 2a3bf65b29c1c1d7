"""The report: a reader of manifests that puts the numbers of a run side by side, as Markdown.

It computes nothing that is not in a manifest but differences and percentages of what it shows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from medglot.core.artifact import TOO_SMALL, Artifact, read_artifact
from medglot.core.errors import StageError
from medglot.core.markdown import count, reasons, section
from medglot.core.progress import duration
from medglot.pipeline.recipe import Recipe

Rows = list[Sequence[str]]


def report_text(recipe: Recipe, *, runs: Path) -> str:
    """The report of a recipe's finished nodes. Raises StageError when none is finished."""
    artifacts = [artifact for name in recipe.nodes if (artifact := read_artifact(runs / recipe.name / name)) is not None]
    if not artifacts:
        raise StageError(f"{runs / recipe.name} holds no finished node; run: medglot run {recipe.path}")
    parts = [f"# {recipe.title}", recipe.notes.strip(), _unfinished(recipe, artifacts), _mixed(artifacts)]
    parts += [_documents(artifacts), _audit(artifacts), _tokens(artifacts), _training(artifacts), _losses(artifacts)]
    scores = [artifact for artifact in artifacts if artifact.manifest.makes == "scores"]
    for way, title in (("letters", "option letters by log-probability"), ("generate", "rationale and answer, generated")):
        parts += [_accuracy(scores, way, title), _rationales(scores, way), _paired(scores, way)]
    parts += [_caution(artifacts), _time(artifacts)]
    return "\n\n".join(part for part in parts if part)


def _unfinished(recipe: Recipe, artifacts: Sequence[Artifact]) -> str:
    missing = [name for name in recipe.nodes if name not in {artifact.name for artifact in artifacts}]
    return f"Not finished yet: {', '.join(missing)}." if missing else ""


def _mixed(artifacts: Sequence[Artifact]) -> str:
    """Nodes whose inputs were replaced since: their numbers belong to another state than those beside them."""
    now = {artifact.name: artifact.manifest.fingerprint for artifact in artifacts}
    pairs = [(artifact.name, pair) for artifact in artifacts for inputs in artifact.manifest.inputs.values() for pair in inputs]
    old = list(dict.fromkeys(name for name, (source, mark) in pairs if now.get(source) != mark))
    return f"**Not of one state:** the inputs of {', '.join(old)} have been replaced since; run the recipe again before comparing." if old else ""


def _of(artifacts: Iterable[Artifact], *stages: str) -> list[Artifact]:
    return [artifact for artifact in artifacts if artifact.manifest.stage in stages]


def _documents(artifacts: Sequence[Artifact]) -> str:
    rows: Rows = [("node", "stage", "read", "kept", "dropped", "quarantined", "characters")]
    for artifact in artifacts:
        balance = artifact.manifest.balance
        if balance is None or artifact.manifest.makes not in ("documents", "questions", "conversations"):
            continue
        rows.append(
            (
                artifact.name,
                artifact.manifest.stage,
                f"{balance['read']:,}",
                f"{balance['kept']:,}",
                _reasons(balance["dropped"]),
                _reasons(balance["quarantined"]),
                count(artifact.manifest.summary.get("characters")),
            )
        )
    return section("Data", rows, note="read = kept + dropped + quarantined in every row.")


def _reasons(counts: Mapping[str, int]) -> str:
    if not counts:
        return "0"
    return f"{sum(counts.values()):,} ({reasons(counts)})"


def _audit(artifacts: Sequence[Artifact]) -> str:
    rows: Rows = [("node", "filter", "language", "medical texts", "recall", "general texts", "false positives")]
    for artifact in _of(artifacts, "corpus"):
        for name, languages in artifact.manifest.summary.get("audit", {}).items():
            for code, entry in languages.items():
                rows.append(
                    (
                        artifact.name,
                        name,
                        code,
                        count(entry.get("medical_rows")),
                        _number(entry.get("recall"), ".4f"),
                        count(entry.get("general_rows")),
                        _number(entry.get("false_positive_rate"), ".4f"),
                    )
                )
    return section("Filter against the folders' labels", rows, note="The labels only check the filter; it never sees them.")


def _tokens(artifacts: Sequence[Artifact]) -> str:
    nodes = _of(artifacts, "tokens")
    codes = _languages(artifact.manifest.summary["train"] for artifact in nodes)
    rows: Rows = [("node", "vocabulary", "split", *codes)]
    for artifact in nodes:
        summary = artifact.manifest.summary
        for split in ("train", "heldout"):
            counts = [count(summary[split].get(code, {}).get("tokens")) for code in codes]
            rows.append((artifact.name, f"{summary['vocabulary']:,}", split, *counts))
    return section("Tokens", rows)


def _training(artifacts: Sequence[Artifact]) -> str:
    rows: Rows = [("node", "stage", "parameters", "steps", "tokens", "first loss", "last loss", "tokens/s", "time")]
    for artifact in _of(artifacts, "pretrain", "finetune"):
        summary, origin = artifact.manifest.summary, artifact.manifest.provenance
        rows.append(
            (
                artifact.name,
                artifact.manifest.stage,
                count(summary.get("parameters")),
                count(summary.get("steps")),
                count(summary.get("tokens")),
                _number(summary["loss"]["first"], ".3f"),
                _number(summary["loss"]["last"], ".3f"),
                _number(origin["measured"].get("tokens_per_second"), ",.0f"),
                duration(origin["seconds"]),
            )
        )
    return section("Training", rows)


def _losses(artifacts: Sequence[Artifact]) -> str:
    rows: Rows = [("node", "held-out text", "language", "before", "after", "change", "bits per byte after")]
    for artifact in _of(artifacts, "pretrain"):
        heldout = artifact.manifest.summary.get("heldout", {})
        for text, languages in heldout.get("after", {}).items():
            for code, after in languages.items():
                before = heldout.get("before", {}).get(text, {}).get(code, {}).get("loss")
                change = f"{(after['loss'] / before - 1) * 100:+.1f} %" if before else ""
                rows.append(
                    (
                        artifact.name,
                        text,
                        code,
                        _number(before, ".4f"),
                        _number(after["loss"], ".4f"),
                        change,
                        _number(after.get("bits_per_byte"), ".3f"),
                    )
                )
    return section("Held-out loss (nats per token): adaptation and forgetting", rows)


def _accuracy(scores: Sequence[Artifact], way: str, title: str) -> str:
    asked = [artifact for artifact in scores if way in artifact.manifest.summary]
    codes = _languages(artifact.manifest.summary[way]["by_language"] for artifact in asked)
    rows: Rows = [("model", *codes, "macro", "unparsed")]
    for artifact in asked:
        part = artifact.manifest.summary[way]
        cells = [_interval(part["by_language"].get(code)) for code in codes]
        unparsed = sum(entry["unparsed"] for entry in part["by_language"].values())
        rows.append((_model_name(artifact), *cells, _interval(part["macro"]), f"{unparsed:,}"))
    return section(f"Accuracy (%), {title}", rows, note="Exact set of answers; 95 % intervals; unparsed answers count as wrong.")


def _rationales(scores: Sequence[Artifact], way: str) -> str:
    asked = [artifact for artifact in scores if artifact.manifest.summary.get(way, {}).get("rationale")]
    codes = _languages(artifact.manifest.summary[way]["rationale"] for artifact in asked)
    rows: Rows = [("model", *codes)]
    for artifact in asked:
        part = artifact.manifest.summary[way]["rationale"]
        cells = [f"{part[code]['bleu1'] * 100:.1f} / {part[code]['rouge1'] * 100:.1f}" if code in part else "" for code in codes]
        rows.append((_model_name(artifact), *cells))
    return section("Rationale similarity, BLEU-1 / ROUGE-1 (%)", rows)


def _paired(scores: Sequence[Artifact], way: str) -> str:
    rows: Rows = [("model", "language", "difference to base", "better", "worse", "McNemar p")]
    for artifact in scores:
        for code, entry in artifact.manifest.summary.get("paired", {}).get(way, {}).items():
            p_value = entry.get("p_mcnemar")
            difference = f"{entry['difference'] * 100:+.1f} [{entry['low'] * 100:+.1f}, {entry['high'] * 100:+.1f}]"
            rows.append((_model_name(artifact), code, difference, count(entry.get("wins")), count(entry.get("losses")), _number(p_value, ".3f")))
    return section("Paired difference to the base model (points, bootstrap interval)", rows)


def _caution(artifacts: Sequence[Artifact]) -> str:
    sizes = [artifact.manifest.summary["parameters"] for artifact in _of(artifacts, "pretrain", "finetune")]
    if not sizes or max(sizes) >= TOO_SMALL:
        return ""
    return (
        f"**A model of {max(sizes) / 1e6:,.1f} million parameters has no medical value.** These numbers show that the stages work and how a "
        "comparison is made; they say nothing about medicine. Not for diagnosis, treatment or advice."
    )


def _time(artifacts: Sequence[Artifact]) -> str:
    return f"Built in {duration(sum(artifact.manifest.provenance['seconds'] for artifact in artifacts))}, {len(artifacts)} nodes."


def _model_name(artifact: Artifact) -> str:
    return str(artifact.manifest.summary.get("model") or artifact.name)


def _languages(tables: Iterable[Mapping[str, Any]]) -> list[str]:
    return sorted({code for table in tables for code in table})


def _interval(entry: Mapping[str, Any] | None) -> str:
    return f"{entry['accuracy'] * 100:.1f} [{entry['low'] * 100:.1f}, {entry['high'] * 100:.1f}]" if entry else ""


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
