"""The few errors medglot raises, each with the exit code of the command line.

A message names the file, row or key that is wrong and says what to do about it.
"""

from __future__ import annotations


class MedglotError(Exception):
    """Base of every error that is shown to a person without a traceback."""

    exit_code = 4


class RecipeError(MedglotError):
    """A recipe, machine or language file, or a command's argument, is wrong."""

    exit_code = 2


class StaleError(MedglotError):
    """A finished node was built from other settings than the recipe now asks for."""

    exit_code = 3


class StageError(MedglotError):
    """A stage cannot go on: its input is unusable or a resource is missing."""

    exit_code = 4


class RowError(MedglotError):
    """One row of data is unusable; the row is quarantined and the rest goes on.

    `kind` is the short, countable name under which the manifest counts it, such as ``bad-json``.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
