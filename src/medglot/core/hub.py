"""What lies on the Hugging Face Hub, at a pinned revision: fetched once into the Hub's own cache, and found there without a network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from medglot.core.config import HubSource
from medglot.core.errors import RecipeError


def snapshot(source: HubSource, *, kind: Literal["model", "dataset"], patterns: Sequence[str]) -> Path:
    """The local folder of a repository's files whose names match one of `patterns` (``*`` matches ``/`` too).

    Raises RecipeError, naming id and revision, where the Hub has no such thing or cannot be reached and the cache does not hold it.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError

    try:
        return Path(snapshot_download(source.hub, repo_type=kind, revision=source.revision, allow_patterns=list(patterns)))
    except (OSError, HFValidationError) as error:  # every error of the Hub's own is an OSError but this one
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise RecipeError(f"cannot fetch the {kind} {source.hub} at revision {source.revision} from the Hugging Face Hub: {reason}") from error
