import json

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from medglot.core.config import HubSource, PathSource
from medglot.core.errors import RecipeError, StageError
from medglot.models.chat import CHAT_TEMPLATE, END, SPECIAL_TOKENS
from medglot.models.weights import load_causal_lm, load_tokenizer, local_folder, save_causal_lm, save_tokenizer


def make_tokenizer():
    vocabulary = {token: number for number, token in enumerate([*SPECIAL_TOKENS, *sorted(pre_tokenizers.ByteLevel.alphabet())])}
    core = Tokenizer(models.BPE(vocabulary, []))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return PreTrainedTokenizerFast(tokenizer_object=core, eos_token=END, chat_template=CHAT_TEMPLATE)


def make_model():
    tokenizer = make_tokenizer()
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1}
    return LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), tie_word_embeddings=True, **sizes)), tokenizer


def test_a_saved_model_comes_back_with_equal_weights(tmp_path):
    model, tokenizer = make_model()
    save_causal_lm(model, tokenizer, tmp_path)
    again = load_causal_lm(tmp_path)
    assert not again.training
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in model.state_dict().items())
    assert load_causal_lm(tmp_path, dtype="bfloat16").dtype == torch.bfloat16


def test_a_tokenizer_has_the_same_bytes_after_a_journey_through_another_folder(tmp_path):
    save_tokenizer(make_tokenizer(), tmp_path / "one")
    save_tokenizer(load_tokenizer(tmp_path / "one"), tmp_path / "two")
    first, second = ({file.name: file.read_bytes() for file in (tmp_path / name).iterdir()} for name in ("one", "two"))
    assert first == second
    assert b"chat_template" in first["tokenizer_config.json"]
    assert str(tmp_path).encode() not in b"".join(second.values())


def test_a_folder_without_a_model_is_named(tmp_path):
    with pytest.raises(StageError, match=str(tmp_path)):
        load_causal_lm(tmp_path)
    with pytest.raises(StageError, match=str(tmp_path)):
        load_tokenizer(tmp_path)


def test_a_missing_path_is_a_fault_of_the_recipe(tmp_path):
    with pytest.raises(RecipeError, match="no such folder"):
        local_folder(PathSource(path=tmp_path / "absent"))


def test_a_model_of_the_hub_is_found_in_its_cache_by_commit_and_by_tag(tmp_path, hub_cache):
    model, tokenizer = make_model()
    save_causal_lm(model, tokenizer, tmp_path / "made")
    commit = hub_cache.put("model", "org/tiny", {file.name: file.read_bytes() for file in (tmp_path / "made").iterdir()}, tag="v1")
    for revision in (commit, "v1"):
        folder = local_folder(HubSource(hub="org/tiny", revision=revision))
        assert folder == tmp_path / "hub/models--org--tiny/snapshots" / commit
    assert torch.equal(load_causal_lm(folder).lm_head.weight, model.lm_head.weight)
    assert load_tokenizer(folder).get_vocab() == tokenizer.get_vocab()


def test_an_unknown_revision_and_an_unreachable_hub_are_faults_of_the_recipe(hub_cache, monkeypatch):
    hub_cache.put("model", "org/tiny", {"config.json": b"{}"})
    for hub, revision in (("org/tiny", "v2"), ("org/tiny", "f" * 40), ("nobody/nothing", "main"), ("not/an/id", "main")):
        with pytest.raises(RecipeError, match=rf"the model {hub} at revision {revision} "):
            local_folder(HubSource(hub=hub, revision=revision))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(RecipeError, match=r"org/tiny at revision v2 .*Connect"):
        local_folder(HubSource(hub="org/tiny", revision="v2"))


def test_a_path_source_is_its_folder(tmp_path):
    assert local_folder(PathSource(path=tmp_path)) == tmp_path


@pytest.mark.parametrize(
    ("name", "load"), [("model.safetensors", load_causal_lm), ("config.json", load_causal_lm), ("tokenizer.json", load_tokenizer)]
)
def test_a_torn_file_names_the_folder_and_the_remedy(tmp_path, name, load):
    save_causal_lm(*make_model(), tmp_path)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:100])
    with pytest.raises(StageError, match=f"{tmp_path}: cannot load .*restore the folder"):
        load(tmp_path)


def test_missing_weights_are_never_made_up(tmp_path):
    save_causal_lm(*make_model(), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 2, "layer_types": None}))
    with pytest.raises(StageError, match=r"\d weights are missing, such as model\.layers\.1\."):
        load_causal_lm(tmp_path)
