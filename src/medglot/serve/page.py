"""The chat page: static files, and the languages' own words for its interface."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from medglot import languages

_FOLDER = Path(__file__).parent / "static"
_FALLBACK = "en"


@dataclass(frozen=True, slots=True)
class PageFile:
    """A file as it is sent."""

    body: bytes
    media_type: str


def page_files() -> Mapping[str, PageFile]:
    """Everything the chat page is made of, by path. It refers to nothing else."""
    return {
        "/": PageFile((_FOLDER / "index.html").read_bytes(), "text/html"),
        "/chat.css": PageFile((_FOLDER / "chat.css").read_bytes(), "text/css"),
        "/chat.js": PageFile((_FOLDER / "chat.js").read_bytes(), "text/javascript"),
        "/icon.svg": PageFile((_FOLDER / "icon.svg").read_bytes(), "image/svg+xml"),
        "/languages.json": PageFile(json.dumps(interface(), ensure_ascii=False).encode(), "application/json"),
    }


def interface() -> list[dict[str, object]]:
    """For each language its names, the notices and the system message of its file, and the labels of buttons (English ones where it has none)."""
    labels = json.loads((_FOLDER / "labels.json").read_text(encoding="utf-8"))
    known = [languages.load(code) for code in languages.codes()]
    return [
        {
            "code": language.code,
            "name": language.native_name,
            "system": language.prompts.system,
            "disclaimer": language.prompts.disclaimer,
            "emergency": language.prompts.emergency,
            "labels": labels.get(language.code, labels[_FALLBACK]),
        }
        for language in known
    ]
