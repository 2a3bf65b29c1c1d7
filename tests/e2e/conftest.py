"""The command line as its users have it: a process of its own, in a folder that looks like a clone."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

TINY = [
    "questions.train.limit=2",
    "questions.test.limit=2",
    "pretrain.base.steps=4",
    "pretrain.base.checkpoint_steps=2",
    "pretrain.base.architecture.hidden_size=32",
    "pretrain.base.architecture.layers=1",
    "pretrain.base.architecture.heads=2",
    "pretrain.base.architecture.kv_heads=1",
    "pretrain.base.architecture.intermediate_size=64",
    "pretrain.continued.steps=4",
    "pretrain.continued.checkpoint_steps=2",
    "finetune.base-tuned.epochs=1",
    "finetune.base-tuned.checkpoint_steps=2",
    "finetune.continued-tuned.epochs=1",
    'finetune.continued-tuned.method="lora"',
    "finetune.continued-tuned.checkpoint_steps=2",
    "predict.base-answers.max_tokens=4",
    "predict.continued-answers.max_tokens=4",
    "score.base-scores.resamples=200",
    "score.continued-scores.resamples=200",
]
"""The demo's recipe with everything small: all stages in under half a minute."""

Medglot = Callable[..., subprocess.CompletedProcess[str]]


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "medglot.cli", *words]


def tiny_run(runs: Path, *more: str) -> list[str]:
    return command("run", str(ROOT / "recipes" / "demo.toml"), "--runs", str(runs), *more, *(word for item in TINY for word in ("--set", item)))


@pytest.fixture(scope="session")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the clone's recipes and machines and no runs yet."""
    folder = tmp_path_factory.mktemp("clone")
    for name in ("recipes", "machines"):
        (folder / name).symlink_to(ROOT / name)
    return folder


@pytest.fixture(scope="session")
def medglot(clone: Path) -> Medglot:
    def call(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command(*words), cwd=clone, capture_output=True, text=True, check=False)

    return call


@pytest.fixture(scope="session")
def demo(clone: Path, medglot: Medglot) -> Path:
    """The finished run of the demo, as `make demo` builds it."""
    result = medglot("run", "recipes/demo.toml")
    assert result.returncode == 0, result.stdout + result.stderr
    return clone / "runs" / "demo"
