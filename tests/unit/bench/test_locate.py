import io
import json
import zipfile

import pytest

from medglot.bench import questions
from medglot.bench.locate import locate
from medglot.bench.settings import QuestionsSettings
from medglot.core.config import HubSource, PathSource
from medglot.core.errors import RecipeError, StageError
from tests.unit.bench.paper import rows

FILE = "Test/French.jsonl"
ROW = {"question": "Quelle boisson ?", "options": {"A": "l\u2019eau", "B": "l\u2019encre"}, "answer_idx": "A"}
CONTENT = (json.dumps(ROW, ensure_ascii=False) + "\n{cut off\n").encode()


def pack(members):
    """The bytes of a zip archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


LAYOUTS = {
    "plain": {FILE: CONTENT},
    "one-down": {f"MMedBench/{FILE}": CONTENT, f".cache/{FILE}": b"x"},
    "zip": {"MMedBench.zip": pack({FILE: CONTENT}), "README.md": b"x"},
    "zip-one-down": {"MMedBench.zip": pack({f"MMedBench/{FILE}": CONTENT, f"__MACOSX/MMedBench/{FILE}": b"x"})},
    "unpacked-beside-its-zip": {FILE: CONTENT, f"MMedBench/{FILE}": b"x", "MMedBench.zip": pack({FILE: b"x"})},
}


def write(folder, files):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def ask(bench, source, name):
    made = bench.build(questions, QuestionsSettings(source=source, languages=("fr",)), name)
    return {path.relative_to(made.path).as_posix(): path.read_bytes() for path in sorted(made.path.rglob("*.jsonl"))}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_questions_and_messages_are_the_same_wherever_the_file_lay(bench, hub_cache, tmp_path, layout):
    expected = ask(bench, PathSource(path=write(tmp_path / "plain", LAYOUTS["plain"])), "expected")
    assert "quarantine/00000.jsonl" in expected
    assert b"l\xe2\x80\x99eau" in expected["questions-00000.jsonl"]
    assert ask(bench, PathSource(path=write(tmp_path / layout, LAYOUTS[layout])), "folder") == expected
    commit = hub_cache.put("dataset", "org/paper", LAYOUTS[layout], tag="v1")
    assert ask(bench, HubSource(hub="org/paper", revision=commit), "commit") == expected
    assert ask(bench, HubSource(hub="org/paper", revision="v1"), "tag") == expected


def test_an_archive_may_be_named_itself(bench, tmp_path):
    write(tmp_path, {"paper.zip": pack({FILE: CONTENT})})
    made = bench.build(questions, QuestionsSettings(source=PathSource(path=tmp_path / "paper.zip"), languages=("fr",)), "made")
    assert [question.id for question in rows(made, "questions-*.jsonl")] == ["mmedbench:test:fr:1"]


def test_a_revision_that_cannot_be_had_is_named_with_its_repository(bench, hub_cache):
    commit = hub_cache.put("dataset", "org/paper", {"Test/English.jsonl": CONTENT})
    for hub, revision in (("org/paper", "v2"), ("org/paper", "f" * 40), ("org/other", commit)):
        with pytest.raises(RecipeError, match=f"the dataset {hub} at revision {revision} "):
            ask(bench, HubSource(hub=hub, revision=revision), "made")
    with pytest.raises(RecipeError, match=rf"{FILE}: no such file in org/paper at revision {commit}; .*without fr"):
        ask(bench, HubSource(hub="org/paper", revision=commit), "made")


def test_of_two_files_none_is_chosen(tmp_path):
    with pytest.raises(RecipeError, match=r"there are 2, .*keep one"):
        locate(write(tmp_path, {f"old/{FILE}": CONTENT, f"new/{FILE}": CONTENT}), FILE)


def test_what_is_no_archive_or_unpacks_too_far_is_refused(tmp_path, monkeypatch):
    with pytest.raises(RecipeError, match=r"paper\.zip: cannot be read as a zip archive .*fetch it again"):
        locate(write(tmp_path / "pointer", {"paper.zip": b"version https://git-lfs.github.com/spec/v1"}), FILE)
    monkeypatch.setattr("medglot.bench.locate._LARGEST", 10_000)
    with pytest.raises(RecipeError, match=r"would unpack to 1,000,000 bytes"):
        locate(write(tmp_path / "bomb", {"paper.zip": pack({FILE: b" " * 1_000_000})}), FILE)


def test_a_damaged_archive_is_a_fault_of_the_stage_and_not_of_rows(bench, tmp_path):
    packed = bytearray(pack({FILE: CONTENT * 50}))
    packed[len(FILE) + 60] ^= 0xFF
    with pytest.raises(StageError, match=f"{FILE}: the archive that holds it is damaged"):
        ask(bench, PathSource(path=write(tmp_path / "raw", {"paper.zip": bytes(packed)})), "made")
