"""Settings of the authoring stages; importable without torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from medglot import languages
from medglot.core.config import Settings


class ConversationsSettings(Settings):
    """How questions become training samples.

    Every question is used once in each of `styles`, as MMedBench's authors did: with the rationale (reason first, then answer) and without (answer
    directly). A question without a rationale gives no ``reason_first`` sample, one without an answer none at all.
    """

    styles: tuple[Literal["answer_only", "reason_first"], ...] = Field(("answer_only", "reason_first"), min_length=1)
    license: str = Field("unknown", description="the licence that the samples inherit from their questions")

    def depends(self) -> Mapping[str, str]:
        """Prompts come from the languages' files."""
        return languages.digests()
