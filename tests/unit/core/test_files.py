import pytest

from medglot.core.files import atomic_text, list_files, read_json, write_json


def test_a_file_whose_writing_fails_does_not_appear(tmp_path):
    target = tmp_path / "out.txt"
    with pytest.raises(UnicodeEncodeError), atomic_text(target) as handle:
        handle.write("half" * 100_000 + "\ud800")
    assert list(tmp_path.iterdir()) == []


def test_a_failed_rewrite_leaves_the_old_file(tmp_path):
    target = tmp_path / "out.json"
    write_json(target, {"old": 1})
    with pytest.raises(TypeError):
        write_json(target, {"new": object()})
    assert read_json(target) == {"old": 1}


def test_a_cut_off_json_file_reads_as_absent(tmp_path):
    (tmp_path / "a.json").write_text('{"a": ')
    assert read_json(tmp_path / "a.json") is None
    assert read_json(tmp_path / "b.json") is None


def test_files_are_listed_by_relative_name_whatever_the_disk_says(tmp_path):
    for name in ("b/2.txt", "a.txt", "b/1.txt", ".hidden", "b/.git/x"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    assert [path.relative_to(tmp_path).as_posix() for path in list_files(tmp_path)] == ["a.txt", "b/1.txt", "b/2.txt"]
