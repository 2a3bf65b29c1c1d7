"""What every filter in the folder must hold: pure, row by row, every drop with a reason."""

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from medglot.core.find import find, names
from medglot.corpus.filters.base import BATCH_COLUMNS, Filter, Verdict

FOLDER = "medglot.corpus.filters"
TEXTS = [
    ("en", "Fever and cough with pneumonia; the patient received antibiotics from the physician."),
    ("en", "The harbour town holds a market on Saturdays, with fish, bread and flowers."),
    ("fr", "Le patient présente une fièvre et une dyspnée ; un traitement antibiotique est débuté."),
    ("ru", "У пациента лихорадка и кашель, назначены антибиотики."),
    ("zh", "患者出现发热、咳嗽，诊断为肺炎，给予抗生素治疗。"),
    ("ja", "患者は発熱と咳嗽を主訴に来院し、肺炎と診断された。"),
    ("es", "x"),
    ("es", "Esta frase dice estar en español, but it goes on in English for quite a while, as some web pages do."),
    ("en", "a" * 5000),
]


def batch():
    rows = [{"id": f"s:{number}", "text": text, "language": code, "source": "s", "license": "MIT"} for number, (code, text) in enumerate(TEXTS)]
    return pa.Table.from_pylist(rows, schema=pa.schema([(name, pa.string()) for name in BATCH_COLUMNS]))


def columns(verdict):
    named = {"reason": verdict.reason, "text": verdict.text, "medical": verdict.medical} | {
        f"meta.{key}": value for key, value in verdict.meta.items()
    }
    return {name: value.to_pylist() for name, value in named.items() if value is not None}


@pytest.fixture(params=names(FOLDER))
def judge(request) -> Filter:
    return find(FOLDER, request.param)(name=request.param)


def test_a_filter_answers_for_every_row_with_null_or_a_short_reason(judge):
    verdict = judge.judge(batch())
    assert isinstance(verdict, Verdict)
    assert all(len(values) == len(TEXTS) for values in columns(verdict).values())
    assert all(reason is None or (reason and " " not in reason) for reason in verdict.reason.to_pylist())
    assert all(pa.types.is_string(value.type) for value in verdict.meta.values())


def test_a_filter_gives_the_same_answer_twice(judge):
    assert columns(judge.judge(batch())) == columns(judge.judge(batch()))


def test_neither_order_nor_neighbours_change_an_answer(judge):
    whole = columns(judge.judge(batch()))
    order = pa.array([*range(0, len(TEXTS), 2), *range(1, len(TEXTS), 2)])
    shuffled = columns(judge.judge(batch().take(order)))
    for name, values in whole.items():
        assert shuffled[name] == [values[place] for place in order.to_pylist()]
        alone = [columns(judge.judge(batch().slice(row, 1)))[name][0] for row in range(len(TEXTS))]
        assert alone == values


def test_a_filter_takes_an_empty_batch(judge):
    assert all(values == [] for values in columns(judge.judge(batch().slice(0, 0))).values())


def test_ids_sources_and_licences_do_not_sway_a_filter(judge):
    other = batch()
    for name in ("id", "source", "license"):
        other = other.set_column(other.column_names.index(name), name, pc.binary_join_element_wise("medical", other[name], "-"))
    assert columns(judge.judge(other)) == columns(judge.judge(batch()))


def test_settings_say_how_a_filter_was_made(judge):
    assert type(judge)(**judge.model_dump()) == judge
    assert judge.version >= 1
