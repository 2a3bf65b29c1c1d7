import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from medglot.core.artifact import Artifact, Manifest, model_folder, read_artifact, write_manifest
from medglot.core.config import Machine
from medglot.core.errors import StageError
from medglot.core.stage import StageContext
from medglot.languages import load
from medglot.models.chat import END, SPECIAL_TOKENS
from medglot.models.weights import load_causal_lm, save_causal_lm
from medglot.train.export import ancestry, build
from medglot.train.settings import ExportSettings

DOCUMENTS = {
    "languages": {"fr": {"documents": 12, "characters": 3400}, "ja": {"documents": 5, "characters": 900}},
    "sources": {"fr": {"made|up": {"documents": 12, "characters": 3400}}, "ja": {"made": {"documents": 5, "characters": 900}}},
    "licenses": {"Apache-2.0": {"documents": 17, "characters": 4300}},
}
BASE = {"base": {"hub": "org/base", "revision": "abc"}, "batch_tokens": 4096, "learning_rate": 1e-3, "schedule": "cosine", "mixture": {"ids": 1.0}}
LORA = {"method": "lora", "lora": {"rank": 16, "alpha": 32.0}, "batch_samples": 128, "learning_rate": 2e-5, "schedule": "cosine"}
HELDOUT = {"before": {"ids": {"fr": {"loss": 5.25, "bits_per_byte": 2.5}}}, "after": {"ids": {"fr": {"loss": 4.125, "bits_per_byte": 1.75}}}}
SCORES = {
    "benchmark": "made",
    "letters": {"by_language": {"fr": {"n": 40, "accuracy": 0.25, "low": 0.142, "high": 0.402, "unparsed": 3}}, "macro": {"accuracy": 0.25}},
    "paired": {"letters": {"fr": {"difference": 0.05, "low": -0.1, "high": 0.2, "p_mcnemar": 0.75}}},
}


class Run:
    """A folder of finished nodes that never ran."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.nodes: dict[str, Artifact] = {}

    def add(
        self, name: str, stage: str, summary: dict[str, Any] | None = None, settings: dict[str, Any] | None = None, **inputs: list[str]
    ) -> Artifact:
        folder = self.root / name
        folder.mkdir(parents=True, exist_ok=True)
        given = {role: [[parent, f"print of {parent}"] for parent in parents] for role, parents in inputs.items()}
        balance = {"read": 9, "kept": 5, "dropped": {"overlap": 4}, "quarantined": {}}
        write_manifest(folder, Manifest(stage, stage, 1, f"print of {name}", {"settings": settings or {}}, given, {}, summary or {}, balance, {}))
        made = read_artifact(folder)
        assert made is not None
        self.nodes[name] = made
        return made

    def export(self, name: str = "export", settings: ExportSettings | None = None, **inputs: tuple[str, ...]) -> Path:
        out = self.root / name
        out.mkdir(exist_ok=True)
        artifacts = {role: tuple(self.nodes[node] for node in nodes) for role, nodes in ({"model": ("tuned",)} | inputs).items()}
        build(settings or ExportSettings(), StageContext(out, artifacts, Machine(), map_shards=None))  # type: ignore[arg-type]
        return out


@pytest.fixture
def run(tmp_path) -> Run:
    made = Run(tmp_path / "runs")
    made.add("texts", "corpus", DOCUMENTS)
    made.add("clean", "decontaminate", DOCUMENTS, documents=["texts"])
    made.add("ids", "tokens", documents=["clean"])
    made.add("base", "pretrain", {"parameters": 9000, "steps": 10, "tokens": 40960, "heldout": HELDOUT}, BASE, tokens=["ids"])
    made.add("lessons", "conversations")
    samples = {"samples": {"fr": {"used": 7, "learned": 70}}, "licenses": {"CC0-1.0": 7}, "loss": {"first": 3.5, "last": 2.25}}
    made.add("tuned", "finetune", {"parameters": 9000, **samples}, LORA, conversations=["lessons"], model=["base"])
    made.add("answers", "predict", model=["tuned"])
    made.add("base-scores", "score", SCORES)
    made.add("scores", "score", SCORES, {"confidence": 0.95}, predictions=["answers"], baseline=["base-scores"])
    save_model(made.root / "tuned/model")
    return made


def save_model(folder: Path) -> None:
    vocabulary = {token: number for number, token in enumerate([*SPECIAL_TOKENS, *sorted(pre_tokenizers.ByteLevel.alphabet())])}
    core = Tokenizer(models.BPE(vocabulary, []))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, eos_token=END)
    save_causal_lm(LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), max_position_embeddings=64, **sizes)), tokenizer, folder)


def test_the_exported_folder_is_what_transformers_loads(run):
    out = run.export()
    loaded = AutoModelForCausalLM.from_pretrained(out)
    original = load_causal_lm(run.root / "tuned/model")
    assert all(torch.equal(value, loaded.state_dict()[name]) for name, value in original.state_dict().items())
    assert AutoTokenizer.from_pretrained(out).eos_token == END
    assert {path.name: path.read_bytes() for path in (run.root / "tuned/model").iterdir()}.items() <= {
        path.name: path.read_bytes() for path in out.iterdir()
    }.items()


def test_a_model_is_found_after_training_and_after_export(run):
    assert model_folder(run.root / "tuned") == run.root / "tuned/model"
    assert model_folder(run.export()) == run.root / "export"
    with pytest.raises(StageError, match=r"no config\.json"):
        model_folder(run.root / "texts")


def test_an_export_can_be_exported_again_with_a_card_of_its_own(run):
    run.export()
    run.add("export", "export", model=["tuned"])
    again = run.export("again", ExportSettings(name="Second"), model=("export",))
    assert "# Second" in (again / "README.md").read_text()
    assert not (again / "manifest.json").exists()


def test_an_interrupted_export_goes_on_to_the_same_bytes(run):
    whole = run.export("whole")
    half = run.root / "half"
    half.mkdir()
    (half / "config.json").write_bytes((whole / "config.json").read_bytes())
    (half / ".model.safetensors.77.tmp").write_bytes(b"torn")
    run.export("half")
    assert all((half / path.name).read_bytes() == path.read_bytes() for path in whole.iterdir())


def test_weights_are_converted_when_another_type_is_wanted(run):
    out = run.export(settings=ExportSettings(dtype="bfloat16"))
    assert load_causal_lm(out, dtype="bfloat16").dtype == torch.bfloat16
    assert json.loads((out / "config.json").read_text())["dtype"] == "bfloat16"
    assert (out / "model.safetensors").stat().st_size < 0.7 * (run.root / "tuned/model/model.safetensors").stat().st_size


def card(run: Run, **more: Any) -> str:
    """The card of an export, with the padding of its tables taken out."""
    text = (run.export(settings=ExportSettings(name="Small", license="apache-2.0", description="A *try*."), **more) / "README.md").read_text()
    return re.sub(" +", " ", text)


def test_the_front_matter_is_that_of_the_hub(run):
    text = card(run)
    front = yaml.safe_load(text.split("---")[1])
    assert front == {
        "language": ["fr", "ja"],
        "license": "apache-2.0",
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "base_model": ["org/base"],
        "tags": ["medical", "medglot", "multilingual"],
    }


def test_the_card_tells_where_the_model_comes_from(run):
    text = card(run, scores=("scores",), documents=("clean",))
    for part in [
        "# Small",
        "A *try*.",
        "org/base at revision abc",
        "base (pretrain, print of) → tuned (finetune, print of)",
        "| clean | French | 12 | 3,400 | made\\|up |",
        "Licences of the documents: Apache-2.0 (17).",
        "| tuned | French | 7 | 70 |",
        "Licences of the conversations: CC0-1.0 (7).",
        "finetune, LoRA of rank 16, alpha 32",
        "| batch | 4,096 tokens | 128 samples |",
        "| last loss | | 2.250 |",
        "| base | ids | French | 5.250 | 4.125 | 2.500 | 1.750 |",
        "| made | French | 40 | 25.0 | 14.2 to 40.2 | 3 |",
        "| base-scores | letters | French | +5.0 | -10.0 to +20.0 | 0.750 |",
        "removed from the training data (4)",
        "too small to be of medical value",
        f"* français: {load('fr').prompts.disclaimer}",
        f"* 日本語: {load('ja').prompts.disclaimer}",
        "not intended for diagnosis",
    ]:
        assert part in text, part
    assert str(run.root) not in text


def test_without_inputs_the_card_still_tells_the_data_and_that_nothing_was_measured(run):
    text = card(run)
    assert "| clean | French | 12 |" in text
    assert "It was not evaluated." in text
    assert "Accuracy" not in text


def test_the_ancestry_comes_oldest_first_and_each_node_once(run):
    names = [node.name for node in ancestry(run.nodes["scores"])]
    assert names == ["lessons", "texts", "clean", "ids", "base", "tuned", "answers", "base-scores", "scores"]


def test_what_is_not_the_models_own_is_refused(run):
    run.add("elsewhere", "corpus", DOCUMENTS)
    with pytest.raises(StageError, match="'elsewhere' did not go into the model 'tuned'"):
        run.export(documents=("elsewhere",))
    with pytest.raises(StageError, match="'base-scores' are not of the model 'tuned'"):
        run.export(scores=("base-scores",))


def test_an_ancestor_that_was_replaced_is_an_error(run):
    run.add("lessons", "conversations")
    write_manifest(run.root / "lessons", Manifest("conversations", "conversations", 1, "another", {}, {}, {}, {}, None, {}))
    with pytest.raises(StageError, match=r"lessons: tuned was made from it, but it has been replaced"):
        run.export()
