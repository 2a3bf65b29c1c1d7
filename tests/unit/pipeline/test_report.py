import pytest

from medglot.core.artifact import Manifest, write_manifest
from medglot.core.errors import StageError
from medglot.pipeline.recipe import load_recipe
from medglot.pipeline.report import report_text


def finish(folder, stage, makes, summary, balance=None, measured=None, inputs=None):
    folder.mkdir(parents=True)
    provenance = {"seconds": 60.0, "measured": measured or {}}
    write_manifest(folder, Manifest(stage, makes, 1, "f", {}, inputs or {}, {}, summary, balance, provenance))


@pytest.fixture
def recipe(recipe_file):
    return load_recipe(recipe_file)


def test_nothing_finished_says_how_to_begin(recipe, tmp_path):
    with pytest.raises(StageError, match="holds no finished node; run: medglot run"):
        report_text(recipe, runs=tmp_path)


def test_losses_stand_before_and_after_with_their_change(recipe, tmp_path):
    heldout = {"before": {"medical": {"fr": {"loss": 4.0}}}, "after": {"medical": {"fr": {"loss": 3.0, "bits_per_byte": 1.5}}}}
    finish(
        tmp_path / "small/first",
        "pretrain",
        "model",
        {"parameters": 7_000_000, "loss": {"first": 8.0, "last": 3.0}, "heldout": heldout},
        measured={"tokens_per_second": 1234.5},
    )
    text = report_text(recipe, runs=tmp_path)
    row = next(line for line in text.splitlines() if "| fr " in line)
    assert [cell.strip() for cell in row.strip("|").split("|")] == ["first", "medical", "fr", "4.0000", "3.0000", "-25.0 %", "1.500"]
    assert "A model of 7.0 million parameters has no medical value" in text
    assert "1,234" in text or "1,235" in text
    assert "Not finished yet: second, third." in text


def test_data_rows_show_every_reason(recipe, tmp_path):
    balance = {"read": 6, "kept": 3, "dropped": {"duplicate": 2}, "quarantined": {"bad-json": 1}}
    finish(tmp_path / "small/first", "dedup", "documents", {"characters": 12345}, balance)
    text = report_text(recipe, runs=tmp_path)
    assert "| 6 " in text
    assert "2 (duplicate 2)" in text
    assert "1 (bad-json 1)" in text
    assert "12,345" in text
    assert "no medical value" not in text


def test_accuracy_and_paired_difference_are_shown_in_points_with_intervals(recipe, tmp_path):
    cell = {"n": 20, "accuracy": 0.25, "low": 0.11, "high": 0.47, "unparsed": 2}
    paired = {"macro": {"difference": 0.05, "low": -0.02, "high": 0.12, "wins": 3, "losses": 2, "p_mcnemar": 1.0}}
    summary = {"model": "tiny", "letters": {"by_language": {"ja": cell}, "macro": cell}, "paired": {"letters": paired}}
    finish(tmp_path / "small/second", "score", "scores", summary)
    text = report_text(recipe, runs=tmp_path)
    assert "25.0 [11.0, 47.0]" in text
    assert "+5.0 [-2.0, +12.0]" in text


def test_a_node_whose_input_was_replaced_since_is_named(recipe, tmp_path):
    finish(tmp_path / "small/first", "dedup", "documents", {})
    finish(tmp_path / "small/second", "dedup", "documents", {}, inputs={"documents": [["first", "f"]]})
    assert "Not of one state" not in report_text(recipe, runs=tmp_path)
    finish(tmp_path / "small/third", "dedup", "documents", {}, inputs={"documents": [["second", "another"]]})
    assert "**Not of one state:** the inputs of third have been replaced since" in report_text(recipe, runs=tmp_path)
