import json

import pyarrow.parquet as pq
import pytest

from medglot.core.records import Question
from medglot.core.rows import write_rows

FILLER = "The valley lies under snow until April, and the people there speak of little else than the road, the school and the price of wood. "
STEM = (
    "A 54-year-old man who keeps pigeons has had a dry cough for six months, and his lungs crackle at both bases. Which cell releases the granules?"
)
OPTIONS = ("Plasma cell of the bone marrow", "Mast cell in the airway wall", "Squamous cell of the skin", "Clara cell of the bronchiole")
ZH_STEM = "男性，三十五岁，搬运重物后突然出现右侧胸痛并逐渐加重的呼吸困难，最可能的诊断是什么"
ZH_OPTIONS = ("自发性气胸", "急性心肌梗死", "肋间神经痛", "肺栓塞")


def wide(text):
    return "".join(chr(ord(character) + 0xFEE0) if "!" <= character <= "~" else character for character in text)


def question(name="q1", stem=STEM, options=OPTIONS, language="en", **more):
    return Question(name, "exam", language, stem, options, (1,), **more)


@pytest.fixture
def clean(stages, document):
    def run(texts, questions, *, language="en", **settings):
        (stages.root / "exam").mkdir(exist_ok=True)
        write_rows(stages.root / "exam/questions.jsonl", questions)
        stages.write("in", [document(str(number), text, language=language) for number, text in enumerate(texts)])
        result = stages.decontaminate("in", questions="exam", **settings)
        matches = stages.root / "clean/matches-00000.jsonl"
        found = [json.loads(line) for line in matches.read_text(encoding="utf-8").splitlines()] if matches.exists() else []
        return result, found

    return run


def paper(stem, options):
    return stem + "\n" + "\n".join(f"{letter}) {option}" for letter, option in zip("ABCDE", options, strict=False))


COPIES = {
    "as it is": paper(STEM, OPTIONS),
    "in capitals": paper(STEM, OPTIONS).upper(),
    "without punctuation": paper(STEM, OPTIONS).replace(",", "").replace(".", " ").replace("-", " "),
    "full width": wide(paper(STEM, OPTIONS)),
    "options reordered": paper(STEM, OPTIONS[::-1]),
    "the stem alone": STEM,
    "one word changed": paper(STEM.replace("pigeons", "parrots"), OPTIONS),
    "spread over lines": paper(STEM, OPTIONS).replace(" ", "\n"),
}


@pytest.mark.parametrize("copy", COPIES.values(), ids=COPIES)
def test_a_planted_copy_is_found(clean, copy):
    result, found = clean([FILLER * 3 + copy + FILLER * 3, FILLER], [question()])
    assert result.balance.to_json() == {"read": 2, "kept": 1, "dropped": {"contaminated": 1}, "quarantined": {}}
    assert [(match["document"], match["question"]) for match in found] == [("test:0", "q1")]
    assert found[0]["overlap"] >= 0.6
    assert 0 < len(found[0]["snippet"]) <= 200


@pytest.mark.parametrize("options", [ZH_OPTIONS, ZH_OPTIONS[::-1]])
def test_a_copy_in_a_language_without_spaces_is_found(clean, options):
    text = "山谷里的人们冬天常常谈论学校和木材的价格。" * 3
    copy = text + paper(ZH_STEM, options).replace("，", ",") + text
    result, found = clean([copy, text], [question(stem=ZH_STEM, options=ZH_OPTIONS, language="zh")], language="zh")
    assert result.balance.to_json()["dropped"] == {"contaminated": 1}
    assert found[0]["overlap"] == 1.0


def test_text_on_the_same_subject_stays(clean):
    texts = [
        "A man who keeps pigeons may have a dry cough for months. Mast cells in the airway wall release granules, and the lungs crackle.",
        "Which cell releases the granules? Nobody in the village knew. " + FILLER,
    ]
    result, found = clean(texts, [question()])
    assert result.balance.kept == 2
    assert found == []


def test_a_question_in_another_language_is_not_looked_for(clean):
    result, _ = clean([paper(STEM, OPTIONS)], [question(language="fr")])
    assert result.balance.kept == 1


def test_a_passage_counts_like_the_question(clean):
    passage = "Die Taube is a bird that people of many towns feed with bread, which makes it fat and slow."
    result, found = clean([FILLER + passage + FILLER], [question(stem="Is it slow?", options=("yes", "no"), context=passage)])
    assert result.balance.dropped["contaminated"] == 1
    assert found[0]["part"] == "passage"


def test_exam_wording_that_many_questions_share_makes_no_candidate(clean):
    wording = "Which of the following statements about the patient described above is the most likely one"
    questions = [question(f"q{number}", f"{wording} {number}?", (f"answer {number}",)) for number in range(12)]
    result, _ = clean([FILLER + wording + " " + FILLER], questions)
    assert result.balance.kept == 1


def test_a_short_question_must_be_found_whole_and_a_very_short_one_is_reported(clean):
    short = question("short", "Which vitamin is made in skin?", ("Retinol", "Calciferol"))
    tiny = question("tiny", "Scurvy:", ("vitamin C", "vitamin D"))
    texts = [
        f"{FILLER} which vitamin is made in skin a retinol b calciferol {FILLER}",
        f"{FILLER} Which vitamin is made in skin? {FILLER}",
        "Scurvy: vitamin C",
    ]
    result, found = clean(texts, [short, tiny])
    assert [(match["document"], match["question"]) for match in found] == [("test:0", "short")]
    assert result.summary["questions"] == {"exam": {"en": {"questions": 2, "too_short": 1, "found": 1}}}


def test_every_question_found_is_reported_with_the_number_of_documents(clean, stages):
    both = [question(), question("q2", STEM.replace("pigeons", "bees").replace("six months", "many years") + " And why in spring?", OPTIONS)]
    clean([paper(STEM, OPTIONS), STEM, FILLER], both)
    found = [json.loads(line) for line in (stages.root / "clean/found.jsonl").read_text().splitlines()]
    assert found[0] == {"question": "q1", "documents": 2}


def test_bytes_do_not_depend_on_the_order_of_work(stages, document):
    (stages.root / "exam").mkdir()
    write_rows(stages.root / "exam/questions.jsonl", [question()])
    for shard in range(3):
        stages.write("in", [document(f"{shard}a", STEM), document(f"{shard}b", FILLER)], shard=f"0000{shard}")
    first = stages.decontaminate("in", questions="exam", name="first")
    stages.backwards = True
    assert stages.decontaminate("in", questions="exam", name="second").summary == first.summary
    assert stages.bytes("first") == stages.bytes("second")


@pytest.mark.shared_data
def test_russian_test_passages_in_real_text_are_found_and_nothing_else(clean, shared_data):
    rows = [json.loads(line) for line in (shared_data / "mmedbench/Test/Russian.jsonl").open(encoding="utf-8")]
    questions = [question(f"q{number}", row["question"], tuple(row["options"].values()), "ru") for number, row in enumerate(rows)]
    contexts = pq.read_table(shared_data / "text/med/ru/rumed_daNet_ctx.parquet", columns=["text"])["text"].to_pylist()
    news = pq.read_table(shared_data / "text/gen/ru/wmt22.parquet", columns=["text"])["text"].to_pylist()
    result, found = clean([*contexts, *news], questions, language="ru")
    assert result.balance.dropped["contaminated"] == len({match["document"] for match in found}) >= 5
    assert all(int(match["document"].partition(":")[2]) < len(contexts) for match in found)
    assert all(words_in_common(match["snippet"], rows[int(match["question"][1:])]["question"]) > 0.5 for match in found)


def words_in_common(one, two):
    return len({*one.lower().split()} & {*two.lower().split()}) / len({*one.lower().split()})
