"""Drops documents that are too short to teach anything, or too long to be one document."""

from __future__ import annotations

from typing import Self

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator

from medglot.corpus.filters.base import Filter, Verdict


class Length(Filter):
    """Keeps texts of `min_characters` to `max_characters` Unicode characters, both included; no upper bound when `max_characters` is 0."""

    min_characters: int = Field(0, ge=0)
    max_characters: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.max_characters and self.max_characters < self.min_characters:
            raise ValueError("max_characters is below min_characters; no text can pass")
        return self

    def judge(self, batch: pa.Table) -> Verdict:
        """Reasons ``too-short`` and ``too-long``."""
        length = pc.utf8_length(batch["text"])
        reason = pc.if_else(pc.less(length, self.min_characters), "too-short", pa.scalar(None, pa.string()))
        if self.max_characters:
            reason = pc.if_else(pc.greater(length, self.max_characters), "too-long", reason)
        return Verdict(reason=reason)
