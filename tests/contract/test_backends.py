"""What every backend in the folder must hold. A backend that needs a server or weights gets them in `SOURCES`."""

import inspect

import pytest

from medglot.core.config import Machine, PathSource
from medglot.core.find import find, names
from medglot.core.records import Turn
from medglot.models.base import Backend, LetterRequest

FOLDER = "medglot.models.backends"
TURNS = [(Turn("user", text),) for text in ("Which dose?", "A longer question about the dose of a drug that is taken in the evening?", "x")]
METHODS = ("__init__", "letters", "generate", "stream")


def tiny_model(folder):
    """A random byte-level Llama with its tokenizer."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    from medglot.models.chat import CHAT_TEMPLATE, SPECIAL_TOKENS
    from medglot.models.weights import save_causal_lm

    vocabulary = {token: number for number, token in enumerate([*SPECIAL_TOKENS, *sorted(pre_tokenizers.ByteLevel.alphabet())])}
    core = Tokenizer(models.BPE(vocabulary, []))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    core.add_special_tokens(list(SPECIAL_TOKENS))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<|end|>", pad_token="<|pad|>", chat_template=CHAT_TEMPLATE)
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    save_causal_lm(LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), max_position_embeddings=256, **sizes)), tokenizer, folder)
    return PathSource(path=folder)


SOURCES = {"hf": tiny_model}


@pytest.fixture(scope="module", params=names(FOLDER))
def backend(request, tmp_path_factory) -> Backend:
    source = SOURCES[request.param](tmp_path_factory.mktemp("model")) if request.param in SOURCES else None
    return find(FOLDER, request.param)(source, machine=Machine(threads=1, device="cpu", batch_tokens=256))


def whole(stream):
    pieces = []
    while True:
        try:
            pieces.append(next(stream))
        except StopIteration as end:
            return "".join(pieces), end.value


@pytest.mark.parametrize("name", names(FOLDER))
@pytest.mark.parametrize("method", METHODS)
def test_its_methods_take_what_the_protocol_says(name, method):
    expected = inspect.signature(getattr(Backend, method)).parameters
    found = inspect.signature(getattr(find(FOLDER, name), method)).parameters
    assert {key: (value.kind, value.default) for key, value in found.items()} == {key: (value.kind, value.default) for key, value in expected.items()}


def test_replies_come_in_the_order_of_the_requests(backend):
    requests = [LetterRequest(turns, ("A", "B")) for turns in TURNS]
    for replies in (backend.letters(requests), backend.generate(TURNS, max_tokens=4)):
        assert [turns[0].text in reply.prompt for turns, reply in zip(TURNS, replies, strict=True)] == [True] * 3


def test_letters_are_log_probabilities_of_beginnings(backend):
    (first,) = backend.letters([LetterRequest(TURNS[0], ("A", "B", "C"))])
    assert all(value < 0 for value in first.logprobs)
    (longer,) = backend.letters([LetterRequest(TURNS[0], ("", ",B", ",C"), written="A")])
    assert len(longer.logprobs) == 3
    assert backend.letters([]) == []


def test_a_request_is_answered_alike_alone_and_among_others(backend):
    together = backend.generate(TURNS, max_tokens=6)
    assert together == [backend.generate([turns], max_tokens=6)[0] for turns in TURNS]
    assert backend.generate(TURNS, max_tokens=6) == together


def test_a_stream_ends_with_what_generate_gives(backend):
    for turns in TURNS:
        (generated,) = backend.generate([turns], max_tokens=6)
        assert whole(backend.stream(turns, max_tokens=6)) == (generated.text, generated)


def test_no_reply_is_longer_than_allowed(backend):
    for reply in backend.generate(TURNS, max_tokens=2):
        assert reply.usage["completion"] <= 2
        assert reply.finish_reason in ("stop", "length")


def test_identity_is_text_and_stays(backend):
    assert isinstance(backend.identity, str)
    assert backend.identity == backend.identity
