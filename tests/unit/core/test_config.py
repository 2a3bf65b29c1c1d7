from pathlib import Path

import pytest
from pydantic import Field

from medglot.core.config import ContentPath, HubSource, Machine, PathSource, Strict, parse, read_toml
from medglot.core.errors import RecipeError


class Example(Strict):
    words: int = 3
    source: ContentPath | None = None


class Choosing(Strict):
    base: HubSource | PathSource | None = None
    many: tuple[Example, ...] = Field((), min_length=1, validate_default=False)


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


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"base": {"hub": "a/b"}}, "x: base.revision: this key is required; add it"),
        ({"base": {"hub": "a/b", "path": "c"}}, "x: base.hub: unknown key; remove it or correct its spelling"),
        ({"base": "a/b"}, "x: base: must be a table, such as { key = value } (found 'a/b')"),
        ({"many": "a"}, "x: many: must be a list, such as [...] (found 'a')"),
        ({"base": {"path": 3}}, "x: base.path: must be a path in quotes (found 3)"),
        ({"many": [{"words": 1, "wrods": 2}]}, "x: many.0.wrods: unknown key; remove it or correct its spelling"),
    ],
)
def test_one_mistake_gives_one_line_without_the_checkers_own_words(data, message):
    with pytest.raises(RecipeError) as caught:
        parse(Choosing, data, where="x", root=Path())
    assert str(caught.value) == message


def test_a_path_through_a_file_says_so(tmp_path):
    (tmp_path / "a.toml").write_text("")
    with pytest.raises(RecipeError, match=r"a\.toml/b: cannot be read \(Not a directory\)"):
        read_toml(tmp_path / "a.toml" / "b")
