import pytest
from transformers import AutoConfig, AutoModelForCausalLM

from medglot.core.config import Machine
from medglot.pipeline.cost import cost_lines
from medglot.pipeline.plan import Found, plan, plan_text
from medglot.pipeline.recipe import load_recipe

RECIPE = """
[corpus.texts]
sources = [{ kind = "jsonl", path = "texts.jsonl" }]

[tokens.ours]
inputs = { documents = "texts" }
vocabulary_size = 1000

[tokens.same]
inputs = { documents = "texts", tokenizer = "ours" }

[tokens.theirs]
inputs = { documents = "texts" }
base = { hub = "org/name", revision = "v1" }

[pretrain.small]
inputs = { tokens = "ours" }
architecture = { hidden_size = 64, layers = 2, heads = 4, kv_heads = 2, intermediate_size = 96 }
context_length = 512
batch_tokens = 2048
steps = 10

[pretrain.grown]
inputs = { tokens = "same", model = "small" }
epochs = 2

[pretrain.foreign]
inputs = { tokens = "theirs" }
base = { hub = "org/name", revision = "v1" }
steps = 10

[pretrain.unsized]
inputs = { tokens = "theirs" }
steps = 10

[questions.asked]
source = { path = "." }
split = "train"

[conversations.lessons]
inputs = { questions = "asked" }

[finetune.adapted]
inputs = { conversations = "lessons", model = "grown" }
method = "lora"
lora = { rank = 2, target_modules = ["q_proj"] }
steps = 3
batch_tokens = 4096

[finetune.odd]
inputs = { conversations = "lessons", model = "grown" }
method = "lora"
lora = { target_modules = ["router"] }
"""


@pytest.fixture
def recipe(tmp_path):
    (tmp_path / "texts.jsonl").write_text("")
    (tmp_path / "training.toml").write_text(RECIPE)
    return load_recipe(tmp_path / "training.toml")


def test_a_line_tells_parameters_tokens_operations_and_memory_by_part(recipe):
    config = AutoConfig.for_model(
        "llama", vocab_size=1000, hidden_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, intermediate_size=96
    )
    config.tie_word_embeddings = True
    assert AutoModelForCausalLM.from_config(config).num_parameters() == 125_760
    lines = cost_lines(recipe, machine=Machine(device="cpu", threads=3))
    assert lines["small"].startswith("at most 126 k parameters, 20.5 k tokens, 2.3e+10 FLOPs; memory (CPU, 3 threads) ")
    assert ": weights 755 kB, gradients 1.26 MB, optimiser 1.01 MB, activations " in lines["small"]


def test_what_the_recipe_does_not_know_is_not_said(recipe):
    lines = cost_lines(recipe, machine=Machine(device="cuda"))
    assert set(lines) == {"small", "grown", "adapted"}
    assert lines["grown"].startswith("at most 126 k parameters; memory (GPU) ")
    assert lines["adapted"].startswith("at most 126 k parameters, 512 of them trained, 12.3 k tokens, ")


def test_a_plan_shows_the_cost_of_what_would_be_built(recipe):
    digests = {recipe.path.parent: "0", recipe.path.parent / "texts.jsonl": "1"}
    text = plan_text(plan(recipe, digests=digests, found={"small": Found()}), costs={"small": "much"})
    lines = text.splitlines()
    (place,) = (number for number, line in enumerate(lines) if "much" in line)
    assert lines[place - 1].split()[:2] == ["build", "small"]
