import dataclasses

import pytest

from medglot.board import measured
from medglot.board.tables import AVERAGE
from medglot.core.errors import StageError

ORDER = ("en", "zh", "ja", "fr", "ru", "es")


def tables(*artifacts):
    return measured.tables(artifacts, order=ORDER)


def test_letters_and_written_answers_never_share_a_table(asked, scores):
    made = tables(scores(letters=asked(), generate=asked()))
    assert [(table.view, len(table.rows)) for table in made] == [("letters", 1), ("written", 1)]


def test_other_questions_or_intervals_of_another_confidence_never_share_a_table(scores):
    made = tables(scores("a"), scores("b", questions="ffff"), scores("c"), scores("d", confidence=0.9))
    assert sorted(len(table.rows) for table in made) == [1, 1, 2]


def test_values_are_percent_with_interval_chance_and_unparsed(asked, scores):
    (table,) = tables(scores(letters=asked(unparsed=3)))
    cell = table.rows[0].cells["en"]
    assert (cell.value, cell.n, cell.unparsed, cell.chance) == (50.0, 20, 3, 25.0)
    assert (cell.low, cell.high) == pytest.approx((40.0, 60.0))
    assert table.rows[0].cells[AVERAGE].value == pytest.approx(45.0)


def test_languages_stand_in_the_order_of_the_published_table_with_their_own_names(scores):
    (table,) = tables(scores())
    assert [column.key for column in table.columns] == [*ORDER, AVERAGE]
    assert [column.native for column in table.columns[:-1]] == ["English", "中文", "日本語", "français", "русский", "español"]


def test_a_comparison_names_both_models_and_its_bar_is_symmetric(asked, scores):
    pair = {"difference": 0.05, "low": -0.12, "high": 0.22, "wins": 9, "losses": 4, "p_mcnemar": 0.267}
    tuned = scores("tuned", model="demo-lora", baseline="base", letters=asked(), paired={"letters": {"en": pair, "macro": pair}})
    (paired,) = [table for table in tables(scores("base"), tuned) if table.origin == "paired"]
    assert paired.rows[0].model == "demo-lora − demo"
    assert paired.scale == (-30.0, 30.0)
    assert paired.rows[0].cells["en"].p == 0.267
    assert AVERAGE in paired.rows[0].cells


def test_rationales_get_a_table_for_each_metric_and_an_unweighted_average(asked, scores):
    rationale = {"en": {"bleu1": 0.4, "rouge1": 0.3, "n": 10}, "fr": {"bleu1": 0.2, "rouge1": 0.1, "n": 90}}
    made = [table for table in tables(scores(generate=asked() | {"rationale": rationale})) if table.view == "rationale"]
    assert [table.metric for table in made] == ["BLEU-1", "ROUGE-1"]
    assert made[0].rows[0].cells[AVERAGE].value == pytest.approx(30.0)


def test_rationale_tables_say_which_items_were_compared_and_how(asked, scores):
    rationale = {"en": {"bleu1": 0.4, "n": 10, "items": "verified"}, "fr": {"bleu1": 0.2, "n": 9, "items": "all with a reference"}}
    signatures = {"bleu": {"en": "bleu|words:1", "fr": "bleu|words:1"}}
    (table,) = [table for table in tables(scores(generate=asked() | {"rationale": rationale}, signatures=signatures)) if table.view == "rationale"]
    assert "Items: all with a reference (fr). Items: verified (en). bleu|words:1 (en, fr)." in table.notes[0]


def test_rationales_compared_with_another_tokeniser_never_share_a_table(asked, scores):
    ways = {"generate": asked() | {"rationale": {"en": {"bleu1": 0.4, "n": 10}}}}
    made = tables(*(scores(version, **ways, signatures={"bleu": {"en": f"bleu|words:{version}"}}) for version in "112"))
    assert [len(table.rows) for table in made if table.view == "rationale"] == [2, 1]


def test_a_summary_that_lacks_something_is_refused_by_the_name_of_its_node(scores):
    artifact = scores("broken")
    manifest = dataclasses.replace(artifact.manifest, summary={"letters": {}})
    with pytest.raises(StageError, match=r"broken: .*model, benchmark, questions, confidence.*--rebuild broken"):
        tables(dataclasses.replace(artifact, manifest=manifest))
