"""Drops documents that are not in the language they are said to be in."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from medglot.corpus.filters.base import Filter, Verdict
from medglot.corpus.identify import identify


class Language(Filter):
    """Keeps texts whose identified language is the declared one. Texts under `min_characters` are kept: identification of a few words is a guess."""

    min_characters: int = Field(50, ge=0)

    def judge(self, batch: pa.Table) -> Verdict:
        """Reason ``wrong-language``; meta ``identified`` is the language found."""
        found = identify(batch["text"])
        wrong = pc.and_(pc.not_equal(found, batch["language"]), pc.greater_equal(pc.utf8_length(batch["text"]), self.min_characters))
        return Verdict(reason=pc.if_else(wrong, "wrong-language", pa.scalar(None, pa.string())), meta={"identified": found})
