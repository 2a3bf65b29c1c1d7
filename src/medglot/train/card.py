"""The model card of an export: what the model is, what it was made from, what it scored, and what it must not be used for.

Every number comes from a manifest and every fault that a manifest shows is said. The front matter is that of the Hugging Face Hub's model cards
(Mitchell et al. 2019 for the idea); its values are JSON, which is YAML too.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from medglot import languages
from medglot.core.artifact import TOO_SMALL, Artifact
from medglot.core.markdown import count, section
from medglot.train.settings import ExportSettings

_WAYS = {"letters": "Option letters by log-probability", "generate": "Rationale and answer, generated"}

_RESEARCH_ONLY = (
    "**This is a research tool.** It is not intended for diagnosis, treatment or any clinical decision without validation and approval by the "
    "authorities in charge, nor for patients who want to diagnose themselves. What it writes can be wrong, incomplete or out of date."
)

_USE = """```python
from transformers import AutoModelForCausalLM, AutoTokenizer

folder = "path/to/this/folder"
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForCausalLM.from_pretrained(folder)
```

`medglot serve path/to/this/folder` offers it as a chat page and an OpenAI-compatible service on this machine."""

Rows = list[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Origin:
    """What a card tells of: the configuration, the nodes that led to the model (oldest first), the documents among them, and the model's scores."""

    config: Mapping[str, Any]
    nodes: Sequence[Artifact]
    documents: Sequence[Artifact]
    scores: Sequence[Artifact]

    def stages(self, *names: str) -> list[Artifact]:
        """The nodes of these stages."""
        return [node for node in self.nodes if node.manifest.stage in names]

    @property
    def trained(self) -> list[Artifact]:
        """The training nodes; the last is the model."""
        return self.stages("pretrain", "finetune")

    def languages(self) -> list[str]:
        """The codes of the languages that the model was trained or measured on, sorted."""
        found = {code for node in self.documents for code in node.manifest.summary.get("languages", {})}
        found |= {code for node in self.stages("finetune") for code in node.manifest.summary.get("samples", {})}
        found |= {code for node in self.scores for way in _WAYS for code in node.manifest.summary.get(way, {}).get("by_language", {})}
        return sorted(found)


def model_card(settings: ExportSettings, origin: Origin, *, name: str) -> str:
    """The card as Markdown, the same bytes for the same manifests."""
    parts = [
        _front_matter(settings, origin),
        f"# {name}",
        settings.description.strip(),
        _RESEARCH_ONLY,
        _what(origin),
        f"## Use\n\n{_USE}",
        _data(origin),
        _training(origin),
        _heldout(origin),
        *(_accuracy(origin.scores, way) for way in _WAYS),
        _paired(origin.scores),
        _limits(origin),
        _notices(origin),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _front_matter(settings: ExportSettings, origin: Origin) -> str:
    entries: dict[str, Any] = {
        "language": origin.languages(),
        "license": settings.license,
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "base_model": _bases(origin, only_hub=True),
        "tags": ["medical", "medglot", *(["multilingual"] if len(origin.languages()) > 1 else [])],
    }
    lines = [f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in entries.items() if value]
    return "\n".join(["---", *lines, "---"])


def _bases(origin: Origin, *, only_hub: bool) -> list[str]:
    """The models from outside that training began with."""
    found = []
    for node in origin.trained:
        base = node.manifest.identity["settings"].get("base") or {}
        if "hub" in base:
            found.append(base["hub"] if only_hub else f"{base['hub']} at revision {base['revision']}")
        elif base and not only_hub:
            found.append(f"a local model ({base['path']})")
    return list(dict.fromkeys(found))


def _what(origin: Origin) -> str:
    config = origin.config
    sizes = {
        "Architecture": ", ".join(config.get("architectures") or [str(config.get("model_type", "unknown"))]),
        "Parameters": count(origin.trained[-1].manifest.summary.get("parameters") if origin.trained else None),
        "Vocabulary": count(config.get("vocab_size")),
        "Longest text, tokens": count(config.get("max_position_embeddings")),
        "Started from": "; ".join(_bases(origin, only_hub=False)) or "random weights",
        "Languages": ", ".join(_language(code) for code in origin.languages()),
        "Made by": " → ".join(f"{node.name} ({node.manifest.stage}, {node.manifest.fingerprint[:8]})" for node in origin.trained),
    }
    return section("Model", [("", ""), *((key, value) for key, value in sizes.items() if value)])


def _data(origin: Origin) -> str:
    rows: Rows = [("documents", "language", "number", "characters", "sources")]
    licences: Counter[str] = Counter()
    for node in origin.documents:
        summary = node.manifest.summary
        for code, counts in summary.get("languages", {}).items():
            sources = ", ".join(summary.get("sources", {}).get(code, {}))
            rows.append((node.name, _language(code), count(counts["documents"]), count(counts["characters"]), sources))
        licences.update({licence: counts["documents"] for licence, counts in summary.get("licenses", {}).items()})
    parts = [section("Training data", rows, note=_licences("documents", licences))]
    rows = [("conversations for", "language", "used", "tokens learned")]
    licences = Counter()
    for node in origin.stages("finetune"):
        summary = node.manifest.summary
        rows += [(node.name, _language(code), count(part["used"]), count(part["learned"])) for code, part in summary.get("samples", {}).items()]
        licences.update(summary.get("licenses", {}))
    parts.append(section("Conversations", rows, note=_licences("conversations", licences), level=3))
    return "\n\n".join(part for part in parts if part)


def _licences(what: str, counts: Mapping[str, int]) -> str:
    return f"Licences of the {what}: {', '.join(f'{name} ({count(counts[name])})' for name in sorted(counts))}." if counts else ""


def _training(origin: Origin) -> str:
    columns = [_settings(node) for node in origin.trained]
    names = list(dict.fromkeys(name for column in columns for name, value in column.items() if value))
    rows: Rows = [("", *(node.name for node in origin.trained))]
    rows += [(name, *(column.get(name, "") for column in columns)) for name in names]
    return section("Training", rows, note="AdamW; losses in nats a learned token, of the first and the last step. No dropout.") if columns else ""


def _settings(node: Artifact) -> dict[str, str]:
    settings, summary = node.manifest.identity["settings"], node.manifest.summary
    lora = settings.get("lora") if settings.get("method") == "lora" else None
    loss = summary.get("loss", {})
    batch = f"{count(settings['batch_samples'])} samples" if settings.get("batch_samples") else f"{count(settings.get('batch_tokens'))} tokens"
    return {
        "stage": node.manifest.stage + (f", LoRA of rank {lora['rank']}, alpha {lora['alpha']:g}" if lora else ""),
        "from": ", ".join(name for name, _ in node.manifest.inputs.get("model", ())),
        "steps": count(summary.get("steps")),
        "tokens": count(summary.get("tokens")),
        "batch": batch,
        "sequence length": count(settings.get("context_length")),
        "learning rate": f"{settings.get('learning_rate')}, {settings.get('schedule')}, warm-up {settings.get('warmup')}",
        "weight decay, clip": f"{settings.get('weight_decay')}, {settings.get('clip')}",
        "precision": str(settings.get("dtype")),
        "mixture": ", ".join(f"{name} {weight:g}" for name, weight in (settings.get("mixture") or {}).items()),
        "seed": str(settings.get("seed")),
        "first loss": _number(loss.get("first")),
        "last loss": _number(loss.get("last")),
    }


def _heldout(origin: Origin) -> str:
    rows: Rows = [("model", "text", "language", "before", "after", "bits per byte, before", "bits per byte, after")]
    for node in origin.trained:
        heldout = node.manifest.summary.get("heldout", {})
        for text, by_language in (heldout.get("after") or {}).items():
            for code, after in by_language.items():
                before = (heldout.get("before") or {}).get(text, {}).get(code, {})
                pairs = [_number(part.get(key)) for key in ("loss", "bits_per_byte") for part in (before, after)]
                rows.append((node.name, text, _language(code), *pairs))
    return section("Loss on held-out documents", rows, note="Nats a token, and bits a byte of text; the documents were never trained on.")


def _accuracy(scores: Sequence[Artifact], way: str) -> str:
    rows: Rows = [("benchmark", "language", "questions", "accuracy, %", "interval", "unparsed")]
    for node in scores:
        part = node.manifest.summary.get(way)
        if part is None:
            continue
        for code, entry in {**part["by_language"], "": part["macro"]}.items():
            language = _language(code) if code else "mean of languages"
            interval = f"{100 * entry['low']:.1f} to {100 * entry['high']:.1f}" if entry.get("low") is not None else ""
            counts = [count(entry.get("n")), f"{100 * entry['accuracy']:.1f}", interval, count(entry.get("unparsed"))]
            rows.append((str(node.manifest.summary.get("benchmark", node.name)), language, *counts))
    note = "Exact set of answers; an unparsed answer counts as wrong."
    shares = {node.manifest.identity["settings"].get("confidence") for node in scores} - {None}
    note += f" Intervals hold with {100 * shares.pop():g} % probability." if len(shares) == 1 else ""
    return section(f"Accuracy: {_WAYS[way].lower()}", rows, note=note)


def _paired(scores: Sequence[Artifact]) -> str:
    rows: Rows = [("compared with", "asked for", "language", "difference, points", "interval", "McNemar p")]
    for node in scores:
        base = ", ".join(name for name, _ in node.manifest.inputs.get("baseline", ()))
        for way, by_language in node.manifest.summary.get("paired", {}).items():
            for code, entry in by_language.items():
                language = "mean of languages" if code == "macro" else _language(code)
                difference, low, high = (f"{100 * entry[key]:+.1f}" for key in ("difference", "low", "high"))
                rows.append((base, way, language, difference, f"{low} to {high}", _number(entry.get("p_mcnemar"))))
    return section("Difference from the base model, on the same questions", rows, note="An interval that holds zero shows no difference.")


def _limits(origin: Origin) -> str:
    lines = ["Multiple-choice accuracy says little about open questions, dialogue or care; no clinician has validated this model."]
    size = origin.trained[-1].manifest.summary.get("parameters") if origin.trained else None
    if size is not None and size < TOO_SMALL:
        lines.append(f"With {size / 1e6:,.1f} million parameters it is far too small to be of medical value.")
    cleaned = origin.stages("decontaminate")
    if cleaned:
        removed = sum(sum((node.manifest.balance or {}).get("dropped", {}).values()) for node in cleaned)
        lines.append(f"Documents that overlap with evaluation questions were removed from the training data ({removed:,}); paraphrases may remain.")
    elif origin.documents:
        lines.append("The training data were not compared with evaluation questions: scores may be too high.")
    if not origin.scores:
        lines.append("It was not evaluated.")
    if _bases(origin, only_hub=False):
        lines.append("What the starting model had learned before is told by its own makers, and may hold evaluation questions.")
    lines.append("Languages that are not listed above were neither trained nor measured.")
    return "\n".join(["## Limits", "", *(f"* {line}" for line in lines)])


def _notices(origin: Origin) -> str:
    known = [languages.load(code) for code in origin.languages() if code in languages.codes()]
    return "\n".join(["## Notice", "", *(f"* {language.native_name}: {language.prompts.disclaimer}" for language in known)]) if known else ""


def _language(code: str) -> str:
    return languages.load(code).name if code in languages.codes() else code


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
