"""What a filter is: settings that judge a batch of documents, and nothing else.

A filter is pure: the verdict on a row depends on that row and the settings alone, never on other rows, earlier batches or the clock. It never sees a
label, so that an audit against labels measures it fairly.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import pyarrow as pa

from medglot.core.config import Strict

BATCH_COLUMNS = ("id", "text", "language", "source", "license")
"""What a filter is given: string columns without nulls."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A filter's answer on a batch; every array has the batch's length.

    `reason` is a string column: null keeps the row, anything else drops it and is the short name under which the drop is counted (``too-short``).
    `meta` holds string columns to remember with the document. `text` replaces the text where a filter rewrites it (redaction). `medical`, where a
    filter decides that question, says for each row whether it took it for medical, whatever it then keeps: audits compare it with labels.
    """

    reason: pa.Array
    meta: Mapping[str, pa.Array] = field(default_factory=dict)
    text: pa.Array | None = None
    medical: pa.Array | None = None


class Filter(Strict, ABC):
    """Base of every filter: its fields are its settings. Count `version` up with every change of behaviour."""

    version: ClassVar[int] = 1
    name: str

    @abstractmethod
    def judge(self, batch: pa.Table) -> Verdict:
        """The verdict on a table with BATCH_COLUMNS."""

    def check(self) -> None:
        """Raises RecipeError for what only the values together show. Reads no data."""
