"""Shared by all tests: where the shared data is, the skip when it is not there, and a cache of the Hub without a network."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"


def pytest_collection_modifyitems(items):
    if not SHARED_DATA.is_dir():
        for item in items:
            if item.get_closest_marker("shared_data"):
                item.add_marker(pytest.mark.skip(reason=f"{SHARED_DATA} is not there"))


@pytest.fixture
def shared_data() -> Path:
    return SHARED_DATA


@dataclass
class HubCache:
    """The Hugging Face Hub's own cache, as a download leaves it: ``models--org--name/{refs,snapshots}``."""

    root: Path

    def put(self, kind: str, name: str, files: Mapping[str, bytes], *, commit: str = "0123456789abcdef" * 2 + "01234567", tag: str = "main") -> str:
        """Puts a repository's files in at a commit, which is returned, and at a tag."""
        folder = self.root / f"{kind}s--{name.replace('/', '--')}"
        for file, content in files.items():
            path = folder / "snapshots" / commit / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        (folder / "refs").mkdir(exist_ok=True)
        (folder / "refs" / tag).write_text(commit)
        return commit


@pytest.fixture
def hub_cache(tmp_path, monkeypatch) -> HubCache:
    """An empty cache that huggingface_hub uses in place of the user's; what HF_HUB_CACHE and HF_HUB_OFFLINE=1 say at its import."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return HubCache(tmp_path / "hub")
