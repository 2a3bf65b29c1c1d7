"""Every command in the README and the tutorial does what the text says."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import tomllib
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from medglot.train.settings import PretrainSettings
from tests.e2e.conftest import ROOT

BIN = Path(sys.executable).parent


def blocks(name: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def workspace(clone, demo):
    """A clone in which the demo has run, with `.venv/bin` where the texts expect it."""
    (clone / ".venv").mkdir()
    (clone / ".venv" / "bin").symlink_to(BIN)
    return clone


def shell(script: str, workspace: Path) -> str:
    environment = dict(os.environ) | {"PATH": f"{BIN}:{os.environ['PATH']}"}
    result = subprocess.run(["bash", "-euo", "pipefail", "-c", script], cwd=workspace, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"{script}\n{result.stdout}\n{result.stderr}"
    return result.stdout + result.stderr


@contextmanager
def serving(command: str, port: int, workspace: Path) -> Iterator[None]:
    words = [word for word in command.split() if word not in ("--port", "8000")]
    words[0] = str(BIN / "medglot")
    process = subprocess.Popen([*words, "--port", str(port)], cwd=workspace, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1)
                break
            except OSError:
                assert process.poll() is None, "the server ended"
                time.sleep(0.1)
        yield
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=30)


def test_make_demo_runs_the_commands_that_these_tests_run():
    rules = (ROOT / "Makefile").read_text()
    recipe = re.search(r"^demo:.*\n((?:\t.*\n)+)", rules, re.MULTILINE)
    assert recipe is not None
    assert re.findall(r"medglot (.*)", recipe[1]) == ["run recipes/demo.toml", "report recipes/demo.toml"]


def test_every_command_of_the_readme_works(workspace):
    for line in "".join(blocks("README.md", "sh")).splitlines():
        if line.startswith("make "):
            assert re.search(rf"^{line.split()[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
        elif " serve " in line:
            port = free_port()
            with serving(line, port, workspace):
                assert b"<html" in urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10).read()
        else:
            shell(line, workspace)


def test_the_tutorial_can_be_followed_from_top_to_bottom(workspace):
    mine, continued = blocks("docs/tutorial.md", "toml")
    assert tomllib.loads(continued)["pretrain"]["continued"].keys() - {"inputs"} <= PretrainSettings.model_fields.keys()
    output = []
    server = None
    for block in blocks("docs/tutorial.md", "sh"):
        if block.startswith("medglot serve"):
            server = block
        elif block.startswith("curl"):
            assert server is not None
            port = free_port()
            with serving(server, port, workspace):
                output.append(shell(block.replace("8000", str(port)), workspace))
        else:
            output.append(shell(block, workspace))
            if "my-texts" in block:
                (workspace / "my-recipe.toml").write_text(mine)
    text = "\n".join(output)
    assert re.search(r"\| medical \| corpus \| 3 +\| 1 +\| 1 \(not-medical 1\) +\| 1 \(bad-json 1\)", re.sub(" +", " ", text)), text
    assert "['notes:1']" in text
    assert "filters.0.min_characters: 50 -> 60" in text
    assert "exit code 3" in text
    assert "data: [DONE]" in text
    assert "quarantine" in (workspace / "runs/mine/medical/manifest.json").read_text()
