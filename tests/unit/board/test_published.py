import pytest

from medglot.board import published
from medglot.board.settings import FOLDER
from medglot.board.tables import AVERAGE
from medglot.core.errors import StageError


@pytest.fixture(scope="module")
def tables():
    return published.tables(published.load(FOLDER / "published.toml"))


def row(tables, view: str, metric: str, model: str):
    (table,) = [table for table in tables if (table.view, table.metric) == (view, metric)]
    return next(row for row in table.rows if row.model == model)


def test_printed_values_stand_as_printed(tables):
    assert row(tables, "written", "accuracy", "MMed-Llama 3").cells["ja"].value == 61.81
    assert row(tables, "rationale", "BLEU-1", "MMedLM 2").cells["ru"].value == 37.49
    assert row(tables, "rationale", "ROUGE-1", "MMedLM 2").cells["ru"].value == 28.18
    assert row(tables, "english", "accuracy", "Gemma").cells["MMLU college biology"].value == 79.9


def test_every_printed_row_is_there(tables):
    assert [len(table.rows) for table in tables] == [19, 10, 10, 8]
    assert {table.origin for table in tables} == {"published"}
    assert all(table.source and table.url.startswith("https://doi.org/") for table in tables)


@pytest.mark.parametrize(("code", "half"), [("ja", 6.8), ("ru", 5.3), ("fr", 3.9), ("en", 2.6), ("es", 1.7), ("zh", 1.4)])
def test_derived_intervals_have_the_widths_that_the_test_sizes_imply(tables, code, half):
    cell = row(tables, "written", "accuracy", "MMed-Llama 3").cells[code]
    assert (cell.high - cell.low) / 2 == pytest.approx(half, abs=0.15)


def test_a_printed_average_that_its_cells_contradict_gets_a_footnote_and_no_interval(tables):
    gpt = row(tables, "written", "accuracy", "GPT-4")
    assert gpt.cells[AVERAGE].value == 74.27
    assert gpt.cells[AVERAGE].low is None
    assert "74.27" in gpt.footnotes[0]
    assert "75.31" in gpt.footnotes[0]
    assert [row.model for row in tables[0].rows if row.footnotes] == ["GPT-4"]


def test_the_interval_of_an_average_is_narrower_than_any_of_its_cells(tables):
    cells = row(tables, "written", "accuracy", "Llama 3").cells
    widths = {key: cell.high - cell.low for key, cell in cells.items()}
    average = widths.pop(AVERAGE)
    assert average < min(widths["ja"], widths["ru"], widths["fr"])
    assert cells[AVERAGE].low < cells[AVERAGE].value < cells[AVERAGE].high


def test_what_was_not_printed_is_absent_and_not_zero(tables):
    cells = row(tables, "english", "accuracy", "PMC-LLaMA").cells
    assert set(cells) == {"MedQA", "MedMCQA", "PubMedQA"}


def test_values_whose_numbers_of_items_are_unknown_get_no_interval(tables):
    for table in tables[1:]:
        assert all(cell.low is None for row in table.rows for cell in row.cells.values())


def test_a_row_with_a_missing_value_is_named(tmp_path):
    file = tmp_path / "published.toml"
    text = (FOLDER / "published.toml").read_text(encoding="utf-8")
    file.write_text(text.replace("values = [43.28, ", "values = [", 1), encoding="utf-8")
    with pytest.raises(StageError, match=r"published.toml: .*BLOOMZ: 5 values for 6 columns"):
        published.load(file)
