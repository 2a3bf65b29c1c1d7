"""Settings of the board stage; importable without torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import Field

from medglot import languages
from medglot.core.config import Settings
from medglot.core.files import file_digest

FOLDER = Path(__file__).parent


class BoardSettings(Settings):
    """What the page says beside the scores. `published` adds the printed results of MMedBench's authors, in tables of their own."""

    title: str = Field("medglot leaderboard", min_length=1)
    note: str = Field("", description="a paragraph under the title, as plain text")
    published: bool = True

    def depends(self) -> Mapping[str, str]:
        """The page's template, the published numbers and the languages' names are files."""
        files = {f"board.{name}": file_digest(FOLDER / name) for name in ("page.html", "published.toml")}
        return files | languages.digests()
