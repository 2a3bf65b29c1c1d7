"""Shared by all tests: where the shared data is, and the skip when it is not there."""

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
