"""Progress on standard error: items, rate and time left; one line redrawn on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TextIO


def duration(seconds: float) -> str:
    """Seconds as people read them: ``0:07``, ``12:30``, ``3:05:00``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


class Progress:
    """A counter that shows itself. Use as a context manager; `advance` is cheap enough to call for every item."""

    def __init__(self, title: str, total: int | None = None, *, unit: str = "items", stream: TextIO | None = None) -> None:
        self.title, self.total, self.unit = title, total, unit
        self.count = 0
        self.note = ""
        self._stream = stream or sys.stderr
        self._live = self._stream.isatty()
        self._start = time.monotonic()
        self._shown = self._start if not self._live else 0.0

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._live:
            self._stream.write("\r\x1b[2K")
            self._stream.flush()

    def advance(self, count: int = 1, note: str = "") -> None:
        """Counts `count` more items; `note` is a short text shown behind, such as the loss."""
        self.count += count
        self.note = note or self.note
        now = time.monotonic()
        if now - self._shown >= (0.2 if self._live else 15.0):
            self._shown = now
            self._stream.write(f"\r\x1b[2K{self._line(now)}" if self._live else f"{self._line(now)}\n")
            self._stream.flush()

    def _line(self, now: float) -> str:
        spent = max(now - self._start, 1e-9)
        rate = self.count / spent
        text = f"  {self.title}: {self.count:,}"
        if self.total:
            left = duration((self.total - self.count) / rate) if rate else "?"
            text += f" of {self.total:,} {self.unit}, {rate:,.1f}/s, {left} left"
        else:
            text += f" {self.unit}, {rate:,.1f}/s, {duration(spent)}"
        return f"{text}  {self.note}"
