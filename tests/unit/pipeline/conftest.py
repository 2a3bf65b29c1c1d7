"""Two small stages that the spine's tests run: one reads a text file into numbered lines, one repeats its input."""

from pathlib import Path

import pytest
from pydantic import Field

from medglot.core.balance import Balance
from medglot.core.config import ContentPath, Settings
from medglot.core.errors import StageError
from medglot.core.files import atomic_text
from medglot.core.stage import StageContext, StageResult
from medglot.pipeline.stages import STAGES, Stage


class LinesSettings(Settings):
    source: ContentPath
    prefix: str = ""
    skip: tuple[str, ...] = ()


class RepeatSettings(Settings):
    times: int = Field(2, ge=1)
    fail: bool = False


def lines(settings: LinesSettings, context: StageContext) -> StageResult:
    balance = Balance()
    with atomic_text(context.out / "lines.txt") as handle:
        for line in settings.source.read_text().splitlines():
            if line in settings.skip:
                balance.drop("skipped")
            elif not line:
                balance.quarantine("empty-line")
            else:
                balance.keep()
                handle.write(f"{settings.prefix}{line}\n")
    notes = ("the prefix is long",) if len(settings.prefix) > 9 else ()
    return StageResult({"lines": balance.kept}, balance, notes=notes)


def repeat(settings: RepeatSettings, context: StageContext) -> StageResult:
    (context.out / ".scratch").write_text("only while building")
    text = "".join((artifact.path / "lines.txt").read_text() for artifact in context.all("lines"))
    if settings.fail:
        raise ZeroDivisionError("planned")
    if settings.times > 99:
        raise StageError("repeat: more than 99 times; lower `times`")
    with atomic_text(context.out / "lines.txt") as handle:
        handle.write(text * settings.times)
    return StageResult({"lines": text.count("\n") * settings.times})


@pytest.fixture(autouse=True)
def stages(monkeypatch):
    here = __name__
    monkeypatch.setitem(STAGES, "lines", Stage(f"{here}:LinesSettings", f"{here}:lines", "lines"))
    monkeypatch.setitem(STAGES, "repeat", Stage(f"{here}:RepeatSettings", f"{here}:repeat", "lines", {"lines": "lines+"}))


RECIPE = """
name = "small"
seed = 3

[lines.first]
source = "input.txt"

[repeat.second]
inputs = { lines = "first" }

[repeat.third]
inputs = { lines = ["second", "first"] }
times = 3
"""


@pytest.fixture
def recipe_file(tmp_path: Path) -> Path:
    (tmp_path / "input.txt").write_text("one\ntwo\n")
    (tmp_path / "small.toml").write_text(RECIPE)
    return tmp_path / "small.toml"
