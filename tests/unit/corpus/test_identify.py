import pyarrow as pa
import pytest

from medglot.corpus.identify import identify

SENTENCES = {
    "en": "The committee will meet again next week to discuss the new rules for the harbour.",
    "es": "El comité se reunirá de nuevo la próxima semana para hablar de las normas del puerto.",
    "fr": "Le comité se réunira de nouveau la semaine prochaine pour parler des règles du port.",
    "ru": "Комитет снова соберётся на следующей неделе, чтобы обсудить новые правила порта.",
    "zh": "委员会下周将再次开会，讨论港口的新规定。",
    "ja": "委員会は来週また集まり、港の新しい規則について話し合います。",
    "de": "Der Ausschuss trifft sich nächste Woche wieder, um die neuen Regeln für den Hafen zu besprechen.",
    "uk": "Комітет знову збереться наступного тижня, щоб обговорити нові правила для порту.",
}


@pytest.mark.parametrize(("code", "text"), SENTENCES.items())
def test_a_sentence_is_in_its_language(code, text):
    assert identify(pa.array([text])).to_pylist() == [code]


def test_foreign_terms_in_a_text_do_not_change_its_language():
    assert identify(pa.array(["MRI検査でT2強調像に高信号を認めた。", "患者服用aspirin后好转，ECG正常，继续观察病情变化。"])).to_pylist() == [
        "ja",
        "zh",
    ]


def test_a_text_without_letters_or_in_an_unknown_script_has_no_language():
    assert identify(pa.array(["12 + 7 = 19", "", "한국어 문장입니다"])).to_pylist() == ["und", "und", "und"]
