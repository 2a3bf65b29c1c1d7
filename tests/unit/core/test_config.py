from pathlib import Path

import pytest

from medglot.core.config import ContentPath, HubSource, Machine, Strict, parse, read_toml
from medglot.core.errors import RecipeError


class Example(Strict):
    words: int = 3
    source: ContentPath | None = None


def test_an_unknown_key_is_named_with_the_known_ones():
    with pytest.raises(RecipeError, match=r"here\.toml: wrods: unknown key.*known here: source, words"):
        parse(Example, {"wrods": 4}, where="here.toml", root=Path())


def test_all_faults_are_shown_at_once():
    with pytest.raises(RecipeError) as caught:
        parse(Example, {"words": "many", "extra": 1}, where="here.toml", root=Path())
    assert "words" in str(caught.value)
    assert "extra" in str(caught.value)


def test_a_path_is_relative_to_the_file_that_names_it(tmp_path):
    assert parse(Example, {"source": "../data"}, where="x", root=tmp_path / "recipes").source == tmp_path / "data"


def test_a_sample_path_lies_in_the_package():
    source = parse(Example, {"source": "sample:text"}, where="x", root=Path()).source
    assert source is not None
    assert source.parts[-3:] == ("medglot", "samples", "text")


def test_a_hub_source_without_a_revision_is_refused():
    with pytest.raises(RecipeError, match="revision: this key is required"):
        parse(HubSource, {"hub": "a/b"}, where="x", root=Path())


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"a = ", "not valid TOML"), (b"a = '\xff'", "not UTF-8 at byte 5"), (None, "no such file")],
)
def test_an_unreadable_file_says_what_is_wrong_with_it(tmp_path, content, message):
    path = tmp_path / "a.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RecipeError, match=message) as caught:
        read_toml(path)
    assert str(path) in str(caught.value)


def test_a_machine_counts_its_cores_when_it_is_not_told():
    assert Machine().worker_count == Machine().cores
    assert Machine(workers=7).worker_count == 7
