from pathlib import Path

import pytest

from medglot.core.config import parse
from medglot.core.errors import RecipeError
from medglot.corpus.filters.base import Filter, Verdict
from medglot.corpus.settings import CorpusSettings


class Everything(Filter):
    version = 7

    def judge(self, batch):
        return Verdict(reason=batch["text"].combine_chunks())


class NoFilter:
    pass


def settings(root=Path("/"), **data):
    return parse(CorpusSettings, {"sources": [{"kind": "jsonl", "path": "x"}]} | data, where="corpus.web", root=root)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"filters": [{"name": "lenght"}]}, r"filters\.0.*'lenght' is not in medglot\.corpus\.filters: choose one of .*length"),
        ({"filters": [{"name": "length", "min_words": 3}]}, r"filters\.0.*min_words: unknown key"),
        ({"filters": [{"name": "length", "min_characters": 9, "max_characters": 3}]}, r"no text can pass"),
        ({"filters": [{}]}, r"does not say which filter"),
        ({"filters": [{"name": f"{__name__}:NoFilter"}]}, r"is not a Filter"),
        ({"sources": [{"kind": "parquet"}]}, r"sources\.0.*path: this key is required"),
        ({"sources": []}, r"sources"),
    ],
)
def test_a_wrong_table_is_named_with_its_place(data, message):
    with pytest.raises(RecipeError, match=message):
        settings(**data)


def test_a_filter_of_another_package_is_named_by_module_and_class_and_its_version_counts():
    made = settings(filters=[{"name": f"{__name__}:Everything"}])
    assert isinstance(made.filters[0], Everything)
    assert made.depends()[f"filter.{__name__}:Everything"] == "7"


def test_identity_holds_every_setting_of_filters_and_sources(tmp_path):
    (tmp_path / "x").write_text("")
    made = settings(tmp_path, filters=[{"name": "length", "min_characters": 5}], languages=["en", "fr"])
    dump = made.model_dump()
    assert dump["filters"] == ({"name": "length", "min_characters": 5, "max_characters": 0},)
    assert dump["sources"][0]["path"] == tmp_path / "x"
    assert set(made.depends()) == {"language.en", "language.fr", "source.jsonl", "filter.length", "sources.0.file"}


def test_identification_depends_on_all_languages():
    assert "language.zh" in settings(languages=["en"], identify=True).depends()
    assert "language.zh" in settings(languages=["en"], filters=[{"name": "language"}]).depends()


def test_identification_depends_on_the_version_of_its_tool(monkeypatch):
    before = settings(identify=True).depends()
    monkeypatch.setattr("importlib.metadata.version", lambda _: "99")
    assert settings(identify=True).depends() == before | {"identification": "py3langid:99"}
    assert "identification" not in settings().depends()


def test_check_names_a_missing_path_and_an_unknown_language(tmp_path):
    with pytest.raises(RecipeError, match=r"no such file or folder; correct `path` of the jsonl source"):
        settings(tmp_path).check()
    with pytest.raises(RecipeError, match="no language 'xx'"):
        settings(tmp_path, languages=["xx"]).check()
