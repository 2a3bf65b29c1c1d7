import time

import pytest

from medglot import languages
from medglot.bench.extract import extract, rationale

OPTIONS = ("Metformin", "Insulin", "Aspirin", "Warfarin", "Heparin")

PROBES = {
    "en": {
        "Answer: B": "B",
        "Sugar falls.\nAnswer: A, C": "AC",
        "**Answer:** (C)": "C",
        "Answer: **D**.": "D",
        "Final answer: C. Aspirin": "C",
        "Answer:\n\nB": "B",
        "answer: b": "B",
        "Answer: ACD": "ACD",
        "Answer: A. Metformin; C. Aspirin": "AC",
        "Answer: B (Insulin) because beta cells are gone": "B",
        "Answer: Insulin.": "B",
        "The answer is B because beta cells are gone.": "B",
        "The correct answers are A and D.": "AD",
        "Option C is correct.": "C",
        "Thus $\\boxed{\\text{D}}$.": "D",
        "<think>Answer: A</think>Answer: B": "B",
        "<think>still thinking. Answer: A": None,
        '{"reason": "x", "answer": "B"}': "B",
        "<answer>E</answer>": "E",
        "Insulin lowers sugar.\nB": "B",
        "B. Insulin": "B",
        "insulin": "B",
        "First Answer: A. No, wait.\nAnswer: B": "B",
        "An answer is hard to give.": None,
        "A patient came; vitamin C was low.": None,
        "Answer: A low dose of it": None,
        "Answer: B-cell lymphoma": None,
        "Answer: ACE inhibitors": None,
        "Answer: A or B": None,
        "Answer: F": None,
        "The answer is not B.": None,
        "I cannot answer this question.": None,
        "Too little is known.\nAnswer: I don't know": None,
        'I was told to write "Answer: A".': None,
        "A. Metformin\nB. Insulin\nC. Aspirin": None,
        "": None,
    },
    "zh": {
        "答案：B": "B",
        "分析如下。\n答案：A、C": "AC",
        "答案：ＡＢＤ": "ABD",
        "【答案】E": "E",
        "答案：（C）": "C",
        "答案： B": "B",
        "答案：**D**": "D",
        "正确答案：选项B": "B",
        "正确答案是B。": "B",
        "因此，答案为D，因为出血风险低。": "D",
        "故选C。": "C",
        "本题选A和C。": "AC",
        "选B": "B",
        "B项正确。": "B",
        "答案：C. Aspirin": "C",
        "答案：Insulin": "B",
        "A，C": "AC",
        "先排除。\n\\boxed{A}": "A",
        "答案：A型血": None,
        "答案：A或B": None,
        "答案是A还是B？": None,
        "答案不是B。": None,
        "不选A。": None,
        "无法确定。": None,
        "维生素C缺乏。": None,
        "选项：A. 甲": None,
    },
    "ja": {
        "解答：A": "A",
        "考え方。\n解答：A、C": "AC",
        "解答：Ｃ": "C",
        "解答：「B」": "B",
        "解答：A，D": "AD",
        "**解答：** E": "E",
        "正解：B、D": "BD",
        "答え: c": "C",
        "正解はBです。": "B",
        "答えはAとDである。": "AD",
        "Bが正解。": "B",
        "正しい選択肢はCです。": "C",
        "解答：B. Insulin": "B",
        "解答：Insulin": "B",
        "解答は選択肢Dです。": "D",
        "\\boxed{E}": "E",
        "説明。\nA・C": "AC",
        "最終解答：A": "A",
        "答えはAではない。": None,
        "解答：AまたはB": None,
        "わかりません。": None,
        "解答：判断できません": None,
        "A型インフルエンザである。": None,
        "ビタミンCが不足している。": None,
    },
    "fr": {
        "Réponse : B": "B",
        "Raisonnement.\nRéponse : A et C": "AC",
        "Réponse: a": "A",
        "Réponse : A, C et D": "ACD",
        "Réponses : B, E": "BE",
        "**Réponse :** (D)": "D",
        "La bonne réponse est B.": "B",
        "Les bonnes réponses sont A, C et D.": "ACD",
        "La réponse est la C, car le risque est faible.": "C",
        "La réponse correcte est « E ».": "E",
        "La proposition B est exacte.": "B",
        "Réponse : ABE": "ABE",
        "Réponse finale : C. Aspirin": "C",
        "Réponse : Insulin": "B",
        "Réponse : B) Insulin": "B",
        "Bilan.\nA, E": "AE",
        "Answer: D": "D",
        "\\boxed{A, B}": "AB",
        "Réponse : A ou B": None,
        "À mon avis, A est fréquent.": None,
        "Il y a une hépatite B et une vitamine D basse.": None,
        "Je ne sais pas.": None,
        "Réponse : je ne peux pas répondre": None,
        "La réponse n'est pas C.": None,
    },
    "ru": {
        "Ответ: A": "A",
        "Ответ: В": "B",  # Cyrillic
        "Рассуждение.\nОтвет: А и С": "AC",  # Cyrillic
        "Ответ: «C»": "C",
        "Ответ: а": "A",  # Cyrillic
        "**Ответ:** D": "D",
        "Ответ — E.": "E",
        "Правильный ответ — B.": "B",
        "Правильные ответы: A, B и E": "ABE",
        "Верный вариант: D": "D",
        "Правильный вариант ответа: C": "C",
        "Ответ: вариант B": "B",
        "Ответ: B. Insulin": "B",
        "Ответ: insulin": "B",
        "Ответ: ACE": "ACE",
        "Вариант D верен.": "D",
        "Итог.\n(B)": "B",
        "\\boxed{С}": "C",  # Cyrillic
        "Ответ: Б": None,
        "Ответ: A или B": None,
        "А также важно помнить о дозе.": None,
        "С одной стороны, доза мала.": None,
        "Не знаю.": None,
        "Ответ: не могу определить": None,
    },
    "es": {
        "Respuesta: B": "B",
        "Razonamiento.\nRespuesta: A y C": "AC",
        "Respuesta: c": "C",
        "Respuesta: A, D y E": "ADE",
        "**Respuesta:** (D)": "D",
        "Explico.\n«Respuesta: B».": "B",
        "Respuestas correctas: B, D y E": "BDE",
        "La respuesta correcta es la B.": "B",
        "Las respuestas correctas son A y C.": "AC",
        "La opción correcta es C porque el riesgo es bajo.": "C",
        "La C es la respuesta correcta.": "C",
        "Respuesta final: E": "E",
        "Respuesta: B) Insulin": "B",
        "Respuesta: Insulin": "B",
        "Respuesta: ABD": "ABD",
        "Respuesta:\nA": "A",
        "Resumen.\nB, C": "BC",
        "\\boxed{E}": "E",
        "Respuesta: a la vista": None,
        "Respuesta: A o B": None,
        "Y el paciente, a veces, mejora.": None,
        "Falta vitamina D.": None,
        "No lo sé.": None,
        "Respuesta: no puedo responder": None,
    },
}


def letters(extraction):
    return None if extraction.answered is None else "".join("ABCDE"[position] for position in extraction.answered)


@pytest.mark.parametrize("language", PROBES)
def test_answers_are_read_as_people_read_them(language):
    probes = PROBES[language]
    assert len(probes) >= 20
    found = {text: letters(extract(text, options=OPTIONS, language=language)) for text in probes}
    assert found == probes


@pytest.mark.parametrize("language", languages.codes())
def test_the_form_that_a_prompt_asks_for_is_read_and_the_prompt_itself_is_no_answer(language):
    words, prompts = languages.load(language).words, languages.load(language).prompts
    for answer, expected in (("B", (1,)), ("A,C", (0, 2)), (words.list_joiner.join("BDE"), (1, 3, 4))):
        text = f"...\n{words.answer}{words.colon}{answer}"
        assert extract(text, options=OPTIONS, language=language).answered == expected
    assert extract(prompts.reason_first, options=OPTIONS, language=language).answered is None


def test_why_there_is_no_answer_is_told():
    rules = {"I cannot say.": "refusal", "Answer: A or B": "ambiguous", "Answer: F": "no-such-option", "Rest helps.": "none", "": "none"}
    assert {text: extract(text, options=OPTIONS, language="en").rule for text in rules} == rules


def test_yes_and_no_are_answers_where_they_are_the_options():
    for text, expected in {"Да.": (0,), "Ответ: нет": (1,), "Да, но нет.": None}.items():
        assert extract(text, options=("да", "нет"), language="ru").answered == expected


def test_an_abbreviated_genus_is_no_letter():
    options = ("Escherichia coli", "Proteus", "Klebsiella", "Candida", "Serratia")
    assert extract("Answer: E. coli", options=options, language="en").answered is None
    assert extract("Answer: E. Serratia", options=options, language="en").answered == (4,)


def test_an_option_text_may_look_like_letters_or_begin_like_a_phrase():
    for options, text, expected in (
        (("calm", "rest", "heat", "A+B"), "Answer: A+B", (3,)),
        (("U", "C", "G", "T"), "答案：T", (3,)),
        (("B", "Th", "NK", "Tc"), "Respuesta: B", (1,)),
        (("El hígado", "La piel"), "Respuesta: La piel", (1,)),
        (("E. coli", "Proteus"), "E. coli", (0,)),
        (("rest", "heat"), "A. heat", None),
        (("rest", "heat", "ice"), "A - rest, B - heat, C - ice", (0, 1, 2)),
    ):
        assert extract(text, options=options, language="en").answered == expected, text


def test_equal_option_texts_cannot_be_told_apart():
    assert extract("Answer: rest", options=("rest", "rest", "heat"), language="en").answered is None
    assert extract("Answer: B", options=("rest", "rest", "heat"), language="en").answered == (1,)


def test_the_rationale_is_what_stands_before_the_answer():
    for text, expected in {
        "It is so.\n**Answer:** B": "It is so.",
        "<think>hm, Answer: C</think>It is so. The answer is B.": "It is so.",
        "Réponse : B": "",
        "It is so.": "It is so.",
        "说明。【答案】B": "说明。",
    }.items():
        assert rationale(text, extract(text, options=OPTIONS, language="en")) == expected


@pytest.mark.parametrize(
    "piece", ["A, ", "(", "A ", " ", "\n", "answer: ", "A and ", "A is ", "答案", "\\boxed{", "<think>", "the ", "option ", "correct ", "A", "(A) "]
)
def test_a_reply_caught_in_a_loop_costs_no_time(piece):
    begin = time.process_time()
    extract(f"Answer: {piece * 3000}x", options=OPTIONS, language="en")
    extract(f"{piece * 3000}x", options=OPTIONS, language="en")
    assert time.process_time() - begin < 2


@pytest.mark.shared_data
def test_every_answer_of_mmedbench_is_read_and_no_stem_holds_one(shared_data):
    from medglot.bench.benchmarks.mmedbench import Mmedbench
    from medglot.languages.prompts import answer_text

    benchmark = Mmedbench()
    for language in benchmark.languages:
        path = shared_data / "mmedbench" / benchmark.file(split="test", language=language)
        for question in benchmark.read(path, name="m", split="test", language=language):
            assert extract(answer_text(question, style="reason_first"), options=question.options, language=language).answered == question.answer
            assert extract(question.stem, options=question.options, language=language).answered is None, question.id
