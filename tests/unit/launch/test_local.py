import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from medglot.core.config import Machine
from medglot.core.errors import StageError
from medglot.core.files import atomic_text
from medglot.core.shards import Shard, ShardRow, add_balances
from medglot.launch.local import Local


def write_square(payload: int, out: Path, name: str) -> ShardRow:
    with atomic_text(out / f"{name}.txt") as handle:
        handle.write(str(payload * payload))
    row = ShardRow(numbers={"square": payload * payload})
    row.balance.keep()
    if payload == 3:
        row.set_aside("input.txt, row 3", "odd", "three is set aside", "3")
    return row


def fail_on_five(payload: int, out: Path, name: str) -> ShardRow:
    if payload == 5:
        raise ValueError("five")
    return write_square(payload, out, name)


def die_on_five(payload: int, out: Path, name: str) -> ShardRow:
    if payload == 5:
        os._exit(9)
    return write_square(payload, out, name)


def wait_forever(payload: int, out: Path, name: str) -> ShardRow:
    os.write(1, b"begun\n")
    threading.Event().wait()
    return ShardRow()


def shards(count: int) -> list[Shard]:
    return [Shard(f"{number:05d}", number) for number in range(count)]


def contents(folder: Path) -> dict[str, bytes]:
    """All files but the temporary ones that a killed worker leaves, which the spine removes."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix != ".tmp"]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_one_worker_and_two_give_the_same_rows_and_bytes(tmp_path):
    results = []
    for workers in (1, 2):
        out = tmp_path / str(workers)
        out.mkdir()
        rows = Local(Machine(workers=workers)).map_shards(write_square, shards(6), out=out, title="squares")
        results.append(([row.numbers for row in rows], add_balances(rows).to_json(), contents(out)))
    assert results[0] == results[1]
    assert results[0][0] == [{"square": number * number} for number in range(6)]


def test_a_quarantined_row_stands_in_a_file_with_its_place_and_reason(tmp_path):
    rows = Local(Machine(workers=1)).map_shards(write_square, shards(4), out=tmp_path, title="squares")
    assert add_balances(rows).quarantined == {"odd": 1}
    assert "three is set aside" in (tmp_path / "quarantine" / "00003.jsonl").read_text()


def test_a_finished_shard_is_not_done_again(tmp_path):
    launcher = Local(Machine(workers=1))
    with pytest.raises(ValueError, match="five"):
        launcher.map_shards(fail_on_five, shards(8), out=tmp_path, title="squares")
    done = {path: path.stat().st_mtime_ns for path in tmp_path.glob("0*.txt")}
    assert len(done) == 5
    rows = launcher.map_shards(write_square, shards(8), out=tmp_path, title="squares")
    assert [row.numbers["square"] for row in rows] == [number * number for number in range(8)]
    assert {path: path.stat().st_mtime_ns for path in done} == done


def test_a_worker_that_dies_is_reported_and_its_shard_done_by_the_next_run(tmp_path):
    with pytest.raises(StageError, match="worker process was killed"):
        Local(Machine(workers=2)).map_shards(die_on_five, shards(6), out=tmp_path, title="squares")
    Local(Machine(workers=2)).map_shards(write_square, shards(6), out=tmp_path, title="squares")
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    Local(Machine(workers=1)).map_shards(write_square, shards(6), out=fresh, title="squares")
    assert {name: data for name, data in contents(tmp_path).items() if not name.startswith("fresh/")} == contents(fresh)


def test_workers_end_with_a_parent_that_is_killed(tmp_path):
    code = (
        f"from tests.unit.launch.test_local import *; from pathlib import Path\n"
        f"Local(Machine(workers=2)).map_shards(wait_forever, shards(2), out=Path({str(tmp_path)!r}), title='waits')"
    )
    root = Path(__file__).parents[3]
    process = subprocess.Popen([sys.executable, "-c", code], cwd=root, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    assert [process.stdout.readline() for _ in range(2)] == [b"begun\n"] * 2
    process.kill()
    rest, _ = process.communicate(timeout=20)  # the pipe ends when the last process that holds it does
    assert rest == b""
