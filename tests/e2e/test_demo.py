"""The demo, from raw text to a compared, exported and served model."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from medglot import languages

CODES = languages.codes()


def summary(demo: Path, node: str) -> dict:
    return json.loads((demo / node / "manifest.json").read_text(encoding="utf-8"))["summary"]


def test_a_second_run_reuses_everything(demo, medglot):
    result = medglot("run", "recipes/demo.toml")
    lines = [line for line in result.stdout.splitlines() if line.startswith("[")]
    assert result.returncode == 0
    assert len(lines) == 20
    assert all(line.endswith(": reused") for line in lines)


def test_the_plan_of_a_finished_run_reuses_everything_and_its_files_are_sound(demo, medglot):
    assert "20 to reuse" in medglot("plan", "recipes/demo.toml").stdout
    assert medglot("check", "recipes/demo.toml").stdout == "all is well\n"
    assert medglot("status", "recipes/demo.toml").stdout.count("finished") == 20


def test_every_manifest_that_counts_rows_balances(demo):
    balances = {path.parent.name: json.loads(path.read_text())["balance"] for path in demo.glob("*/manifest.json")}
    counted = {name: balance for name, balance in balances.items() if balance}
    assert {"medical", "general", "medical-unique", "medical-clean", "train", "test", "lessons"} <= counted.keys()
    for balance in counted.values():
        assert balance["read"] == balance["kept"] + sum(balance["dropped"].values()) + sum(balance["quarantined"].values())


@pytest.mark.parametrize("code", CODES)
def test_continued_pretraining_lowers_the_medical_loss_in_every_language(demo, code):
    heldout = summary(demo, "continued")["heldout"]
    assert heldout["after"]["medical-tokens"][code]["loss"] < heldout["before"]["medical-tokens"][code]["loss"]


@pytest.mark.parametrize("code", CODES)
def test_the_filter_finds_the_medical_samples(demo, code):
    audit = summary(demo, "medical")["audit"]["medical"][code]
    assert audit["recall"] >= 0.9
    assert audit["false_positive_rate"] <= 0.05


def test_the_report_puts_everything_side_by_side(demo, medglot):
    report = medglot("report", "recipes/demo.toml").stdout
    for title in ("Data", "Filter", "Tokens", "Training", "Held-out loss", "Accuracy", "Rationale similarity", "Paired difference"):
        assert re.search(rf"^## {title}", report, re.MULTILINE), title
    assert "has no medical value" in report


def test_the_export_loads_with_transformers_and_its_card_carries_data_scores_and_disclaimer(demo):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(demo / "export", local_files_only=True)
    tokenizer = AutoTokenizer.from_pretrained(demo / "export", local_files_only=True)
    assert 5_000_000 <= model.num_parameters() <= 10_000_000
    assert model.get_input_embeddings().weight.shape[0] >= len(tokenizer)
    card = (demo / "export" / "README.md").read_text(encoding="utf-8")
    assert card.startswith("---\n")
    assert "apache-2.0" in card
    assert "mmedbench" in card.lower()
    for code in CODES:
        assert languages.load(code).prompts.disclaimer in card


class Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []

    def handle_starttag(self, tag, attrs):
        if tag in ("script", "link", "img", "iframe"):
            self.loaded += [value for name, value in attrs if name in ("src", "href") and value]


def test_the_board_is_one_page_with_our_rows_and_the_published_ones(demo):
    page = (demo / "board" / "index.html").read_text(encoding="utf-8")
    links = Links()
    links.feed(page)
    assert [link for link in links.loaded if not link.startswith("data:")] == []
    for name in ("demo base", "demo continued", "MMed-Llama 3", "GPT-4"):
        assert name in page
