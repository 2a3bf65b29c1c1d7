"""The board stage: scores in, one static page out.

The page opens from a file with no network: its data is embedded, its style and script are inline, and its policy forbids it to load anything.
"""

from __future__ import annotations

import json
from typing import Any

from medglot import languages
from medglot.board import measured, published
from medglot.board.settings import FOLDER, BoardSettings
from medglot.board.tables import Table, plain
from medglot.core.files import atomic_text, write_json
from medglot.core.stage import StageContext, StageResult

_MARK = "{{data}}"


def build(settings: BoardSettings, context: StageContext) -> StageResult:
    """Writes `index.html` and the same data as `board.json`."""
    printed = published.load(FOLDER / "published.toml")
    scores = context.all("scores")
    tables = measured.tables(scores, order=tuple(printed.test_sizes))
    if settings.published:
        tables += published.tables(printed)
    board = board_data(settings, tables)
    write_json(context.out / "board.json", board)
    with atomic_text(context.out / "index.html") as handle:
        handle.write(page(board))
    return StageResult({"scores": len(scores), "tables": [f"{table.view}: {table.title} ({table.origin}, {table.metric})" for table in tables]})


def board_data(settings: BoardSettings, tables: list[Table]) -> dict[str, Any]:
    """What the page shows, as plain JSON."""
    known = [languages.load(code) for code in languages.codes()]
    disclaimers = [{"language": language.code, "name": language.native_name, "text": language.prompts.disclaimer} for language in known]
    return {"title": settings.title, "note": settings.note, "tables": plain(tables), "disclaimers": disclaimers}


def page(board: dict[str, Any]) -> str:
    """The page with its data. A less-than sign is written as an escape, so that no text can end the script element that holds it."""
    data = json.dumps(board, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    before, after = (FOLDER / "page.html").read_text(encoding="utf-8").split(_MARK)
    return before + data + after
