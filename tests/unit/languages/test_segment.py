import sys
from types import SimpleNamespace

from medglot.languages import segment


def test_japanese_words_come_from_the_dictionary_that_the_signature_names(monkeypatch):
    before = segment.words("胸が痛い。", language="ja")
    assert before == ["胸", "が", "痛い", "。"]
    segment._segmenter.cache_clear()
    monkeypatch.setitem(sys.modules, "unidic", SimpleNamespace(DICDIR="/nowhere", VERSION="other"))  # fugashi prefers it when it is installed
    assert segment.words("胸が痛い。", language="ja") == before
    assert "unidic-lite:" in segment.signature("ja")


def test_words_and_punctuation_stand_apart_and_widths_are_equal():
    assert segment.words("L'aspirine, 100 ｍｇ!", language="fr") == ["l'aspirine", ",", "100", "mg", "!"]
    assert segment.words("患者发热。", language="zh")[-1] == "。"
    assert segment.words("Больной  принимает ИНСУЛИН", language="ru") == ["больной", "принимает", "инсулин"]
