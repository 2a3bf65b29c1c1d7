"""Killed at any moment and run again: the same bytes as an uninterrupted run; other roots and worker counts change nothing either."""

import json
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.e2e.conftest import tiny_run


def hashes(runs: Path) -> dict[str, object]:
    found = {}
    for path in sorted(runs.glob("demo/*/manifest.json")):
        manifest = json.loads(path.read_text(encoding="utf-8"))
        found[path.parent.name] = (manifest["fingerprint"], manifest["files"], manifest["summary"], manifest["balance"])
    return found


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    runs = tmp_path_factory.mktemp("whole")
    started = time.monotonic()
    result = subprocess.run(tiny_run(runs), capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return hashes(runs), time.monotonic() - started


def test_a_run_killed_several_times_ends_with_the_same_bytes(uninterrupted, tmp_path):
    expected, seconds = uninterrupted
    moments = random.Random(20)
    for _ in range(5):
        process = subprocess.Popen(tiny_run(tmp_path), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        try:
            process.wait(timeout=moments.uniform(0.15, 0.6) * seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
    result = subprocess.run(tiny_run(tmp_path), capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert hashes(tmp_path) == expected
    assert not list(tmp_path.glob("demo/*/.*"))


def test_another_root_and_another_worker_count_give_the_same_bytes(uninterrupted, tmp_path):
    expected, _ = uninterrupted
    result = subprocess.run(tiny_run(tmp_path / "some" / "where else", "--workers", "1"), capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert hashes(tmp_path / "some" / "where else") == expected


@pytest.fixture
def heard():
    """Ctrl-C reaches child processes even where this one, as a job in the background, was begun with it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heard")
def test_ctrl_c_stops_cleanly_and_says_how_to_go_on(tmp_path):
    process = subprocess.Popen(tiny_run(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout is not None
    while "base: pretrain" not in process.stdout.readline():
        pass
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "the same command goes on from here" in errors
    assert "Traceback" not in errors
