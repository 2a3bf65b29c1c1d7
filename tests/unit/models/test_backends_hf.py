from types import SimpleNamespace

import pytest
import torch
from tokenizers import decoders
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from medglot.core.config import Machine, PathSource
from medglot.core.errors import RecipeError
from medglot.core.records import Turn
from medglot.models.backends.hf import Hf, _longest_prefixes
from medglot.models.base import LetterRequest
from medglot.models.chat import encode_prompt, stop_ids
from medglot.models.weights import save_causal_lm
from tests.unit.models.test_chat import make_tokenizer

LETTERS = ("A", "B", "C", "D")
PROMPTS = [(Turn("system", "Be exact."), Turn("user", "Которая доза? " * number + "α")) for number in (1, 9, 0, 3, 5)]


def save(folder, kind, config, *, seed):
    torch.manual_seed(seed)
    tokenizer = make_tokenizer()
    tokenizer.backend_tokenizer.decoder = decoders.ByteLevel()
    model = kind(config(len(tokenizer)))
    with torch.no_grad():  # as far from uniform as a trained model
        for parameter in model.parameters():
            parameter.mul_(8 if parameter.dim() > 1 else 1)
    save_causal_lm(model, tokenizer, folder)
    return folder


def llama(size):
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
    return LlamaConfig(vocab_size=size, tie_word_embeddings=True, max_position_embeddings=512, **sizes)


def gpt2(size):
    return GPT2Config(vocab_size=size, n_embd=32, n_layer=2, n_head=4, n_positions=512, bos_token_id=0, eos_token_id=1)


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def folder(request, tmp_path_factory):
    kind, config = {"llama": (LlamaForCausalLM, llama), "gpt2": (GPT2LMHeadModel, gpt2)}[request.param]
    return save(tmp_path_factory.mktemp(request.param), kind, config, seed=3)


def make_backend(folder, *, batch_tokens=4096, **more):
    return Hf(PathSource(path=folder), machine=Machine(threads=1, device="cpu", batch_tokens=batch_tokens), **more)


def plain_logprob(backend, turns, text):
    """The log-probability of a reply's beginning by the plainest means: one row, all positions."""
    prompt = encode_prompt(backend._tokenizer, turns)
    reply = list(backend._tokenizer.encode(text, add_special_tokens=False))
    with torch.no_grad():
        table = torch.log_softmax(backend._model(torch.tensor([prompt + reply])).logits[0].double(), -1)
    return sum(float(table[len(prompt) - 1 + place, token]) for place, token in enumerate(reply))


def whole(stream):
    pieces = []
    while True:
        try:
            pieces.append(next(stream))
        except StopIteration as end:
            return pieces, end.value


def test_letters_in_a_padded_batch_are_those_of_a_plain_forward_pass(folder):
    backend = make_backend(folder)
    replies = backend.letters([LetterRequest(turns, LETTERS) for turns in PROMPTS])
    for turns, reply in zip(PROMPTS, replies, strict=True):
        assert reply.logprobs == pytest.approx([plain_logprob(backend, turns, letter) for letter in LETTERS], abs=1e-4)
        assert reply.prompt_tokens == len(encode_prompt(backend._tokenizer, turns))
        assert turns[1].text in reply.prompt


def test_candidates_of_several_tokens_and_the_end_are_added_up_along_the_reply(folder):
    backend = make_backend(folder)
    request = LetterRequest(PROMPTS[0], ("", ",A", ",BC", "x"), written="B")
    padded, _ = backend.letters([request, LetterRequest(PROMPTS[1], LETTERS)])
    end = torch.logsumexp(torch.tensor([plain_logprob_ids(backend, PROMPTS[0], "B", stop) for stop in stop_ids(backend._tokenizer)]), 0)
    expected = [float(end), *(plain_logprob(backend, PROMPTS[0], f"B{text}") for text in (",A", ",BC", "x"))]
    assert padded.logprobs == pytest.approx(expected, abs=1e-4)


def plain_logprob_ids(backend, turns, text, last):
    prompt = [*encode_prompt(backend._tokenizer, turns), *backend._tokenizer.encode(text, add_special_tokens=False)]
    with torch.no_grad():
        table = torch.log_softmax(backend._model(torch.tensor([prompt])).logits[0, -1], -1)
    return plain_logprob(backend, turns, text) + float(table[last])


def test_rows_are_shared_where_candidates_begin_alike():
    assert _longest_prefixes([[(1,)], [(2,)]]) == [()]
    assert _longest_prefixes([[(1, 9)], [(1, 5, 2)], [(1, 5, 3)]]) == [(1, 5)]
    assert _longest_prefixes([[(1, 2)], [(3, 4)]]) == [(1,), (3,)]


@pytest.mark.parametrize("batch_tokens", [1, 400, 100_000])
def test_batches_change_nothing(folder, batch_tokens, monkeypatch):
    backend, reference = make_backend(folder, batch_tokens=batch_tokens), make_backend(folder)
    requests = [LetterRequest(turns, LETTERS) for turns in PROMPTS]
    expected = reference.letters(requests)
    assert backend.letters(requests) == expected  # to the last bit: the machine's budget does not choose these batches
    monkeypatch.setattr("medglot.models.backends.hf._CACHE_TOKENS", batch_tokens)
    for one, other in zip(backend.letters(requests), expected, strict=True):
        assert one.logprobs == pytest.approx(other.logprobs, abs=1e-4)
    assert backend.generate(PROMPTS, max_tokens=12) == reference.generate(PROMPTS, max_tokens=12)


def test_greedy_texts_are_those_of_transformers(folder):
    backend = make_backend(folder)
    tokenizer, model = backend._tokenizer, backend._model
    for turns, ours in zip(PROMPTS, backend.generate(PROMPTS, max_tokens=24), strict=True):
        prompt = encode_prompt(tokenizer, turns)
        ids = model.generate(
            torch.tensor([prompt]), max_new_tokens=24, do_sample=False, eos_token_id=stop_ids(tokenizer), pad_token_id=tokenizer.pad_token_id
        )[0, len(prompt) :].tolist()
        assert ours.text == tokenizer.decode(ids, skip_special_tokens=True)
        assert ours.usage == {"prompt": len(prompt), "completion": len(ids)}
        assert ours.finish_reason == ("stop" if ids[-1] in stop_ids(tokenizer) else "length")


def test_a_row_that_has_ended_leaves_its_batch_and_the_others_go_on(folder):
    backend = make_backend(folder)
    alone = [backend.generate([turns], max_tokens=24)[0] for turns in PROMPTS]
    token = alone[0].text[:2]
    ended = backend.generate(PROMPTS, max_tokens=24, stop=[token])
    assert ended[0].text == ""
    for one, other in zip(alone, ended, strict=True):
        assert other.text == one.text.partition(token)[0]


def test_a_stream_put_together_is_the_generated_text(folder):
    backend = make_backend(folder)
    for turns, generated in zip(PROMPTS, backend.generate(PROMPTS, max_tokens=24), strict=True):
        pieces, result = whole(backend.stream(turns, max_tokens=24))
        assert "".join(pieces) == result.text == generated.text
        assert result == generated
        assert all(pieces)


def test_a_character_of_several_tokens_is_shown_whole(folder):
    backend = make_backend(folder)
    backend._stops = []
    text = "доза 熱 é"
    ids = iter(backend._tokenizer.encode(text, add_special_tokens=False))
    backend._forward = lambda *_, **__: forced(next(ids, 0), len(backend._tokenizer))
    pieces, result = whole(backend.stream(PROMPTS[0], max_tokens=len(text.encode())))
    assert pieces == list(text)
    assert result.text == text


def forced(token, size):
    logits = torch.zeros(1, 1, size)
    logits[0, 0, token] = 1
    return SimpleNamespace(logits=logits, past_key_values=None)


def test_a_seed_fixes_a_drawn_reply(folder):
    backend = make_backend(folder)
    texts = {seed: whole(backend.stream(PROMPTS[0], max_tokens=16, temperature=3.0, seed=seed))[1].text for seed in (1, 2)}
    assert texts[1] != texts[2]
    assert whole(backend.stream(PROMPTS[0], max_tokens=16, temperature=3.0, seed=1))[1].text == texts[1]


def test_closing_a_stream_ends_it_and_leaves_autograd_as_it_was(folder):
    stream = make_backend(folder).stream(PROMPTS[0], max_tokens=200, temperature=2.0)
    next(stream)
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()
    stream.close()
    assert next(stream, None) is None


def test_a_prompt_longer_than_the_context_is_not_cut_but_marked(folder):
    backend = make_backend(folder)
    long = (Turn("user", "x" * 600),)
    letters = backend.letters([LetterRequest(long, LETTERS), LetterRequest(PROMPTS[0], LETTERS)])
    assert [(len(reply.logprobs), reply.finish_reason) for reply in letters] == [(0, "context"), (4, "stop")]
    generated = backend.generate([long, PROMPTS[0]], max_tokens=4)
    assert (generated[0].text, generated[0].finish_reason, generated[0].usage["completion"]) == ("", "context", 0)
    assert generated[1].finish_reason != "context"
    assert whole(backend.stream(long, max_tokens=4)) == ([], generated[0])


def test_writing_ends_where_the_context_does(folder):
    backend = make_backend(folder)
    backend._stops = []
    prompt = (Turn("user", "x" * 500),)
    (one,) = backend.generate([prompt], max_tokens=100)
    assert one.usage["prompt"] + one.usage["completion"] == 512
    assert one.finish_reason == "length"


def test_the_head_works_in_float32_and_its_input_embeddings_stay_as_they_are(folder):
    backend = make_backend(folder, dtype="bfloat16")
    model = backend._model
    assert model.get_output_embeddings().weight.dtype == torch.float32
    assert model.get_input_embeddings().weight.dtype == torch.bfloat16
    (reply,) = backend.letters([LetterRequest(PROMPTS[1], tuple("ABCDEFGHIJ"))])
    assert len(set(reply.logprobs)) == 10
    assert backend.generate(PROMPTS[:1], max_tokens=3)[0].usage["completion"] > 0


def test_identity_changes_with_weights_and_precision_but_not_with_the_place(tmp_path):
    one = save(tmp_path / "one", LlamaForCausalLM, llama, seed=3)
    (tmp_path / "node").mkdir()
    again = save(tmp_path / "node" / "model", LlamaForCausalLM, llama, seed=3).parent
    other = save(tmp_path / "other", LlamaForCausalLM, llama, seed=4)
    identity = make_backend(one).identity
    assert identity == make_backend(again).identity
    assert identity not in (make_backend(other).identity, make_backend(one, dtype="bfloat16").identity)


def test_what_it_cannot_use_is_refused():
    with pytest.raises(RecipeError, match="needs a model"):
        Hf(None, machine=Machine())
    with pytest.raises(RecipeError, match="takes no options"):
        Hf(None or PathSource(path="x"), machine=Machine(), options={"url": "http://localhost"})
