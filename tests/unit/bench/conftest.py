import pytest

from tests.unit.bench.paper import Bench


@pytest.fixture
def bench(tmp_path) -> Bench:
    return Bench(tmp_path)
