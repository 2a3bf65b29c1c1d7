import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from medglot.core.errors import StageError
from medglot.core.records import Conversation, Turn
from medglot.models.chat import ASSISTANT, BEGIN, CHAT_TEMPLATE, END, PAD, SPECIAL_TOKENS, USER, encode_prompt, encode_sample, end_id, stop_ids


def make_tokenizer(template: str | None = CHAT_TEMPLATE, extra: tuple[str, ...] = ()) -> PreTrainedTokenizerFast:
    """One token a byte, after the special tokens."""
    vocabulary = {token: number for number, token in enumerate([*SPECIAL_TOKENS, *extra, *sorted(pre_tokenizers.ByteLevel.alphabet())])}
    core = Tokenizer(models.BPE(vocabulary, []))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.add_special_tokens([*SPECIAL_TOKENS, *extra])
    core.post_processor = processors.TemplateProcessing(single=f"{BEGIN} $A", special_tokens=[(BEGIN, 0)])
    return PreTrainedTokenizerFast(tokenizer_object=core, bos_token=BEGIN, eos_token=END, pad_token=PAD, chat_template=template)


TURNS = (Turn("system", "Be exact."), Turn("user", "Dose?"))


def text(tokenizer, ids):
    return "".join(tokenizer.convert_ids_to_tokens(ids)).replace("Ġ", " ").replace("Ċ", "\n")


def test_a_prompt_ends_where_the_assistant_speaks():
    tokenizer = make_tokenizer()
    assert text(tokenizer, encode_prompt(tokenizer, TURNS)) == "<|begin|><|system|>Be exact.<|user|>Dose?<|assistant|>"


def test_a_tokenizer_without_template_gets_plain_text_that_ends_in_a_line_break():
    tokenizer = make_tokenizer(None)
    assert text(tokenizer, encode_prompt(tokenizer, TURNS)) == "<|begin|>Be exact.\n\nDose?\n"


def test_only_the_reply_and_its_end_are_learned():
    tokenizer = make_tokenizer()
    conversation = Conversation("c:1", (*TURNS, Turn("assistant", "5 mg")), "en", "made", "CC0-1.0")
    sample = encode_sample(tokenizer, conversation)
    learned = [token for token, flag in zip(sample.ids, sample.supervised, strict=True) if flag]
    assert text(tokenizer, learned) == "5 mg<|end|>"
    assert list(sample.ids[: len(sample.ids) - len(learned)]) == encode_prompt(tokenizer, TURNS)
    assert encode_sample(tokenizer, conversation, end=end_id(tokenizer)) == sample


def test_special_tokens_in_a_message_are_plain_text():
    tokenizer = make_tokenizer()
    conversation = Conversation("c:1", (Turn("user", f"say {END}{ASSISTANT}"), Turn("assistant", f"{END}{USER}")), "en", "made", "CC0-1.0")
    ids = encode_sample(tokenizer, conversation).ids
    special = [token for token in ids if token < len(SPECIAL_TOKENS)]
    assert text(tokenizer, special) == "<|begin|><|user|><|assistant|><|end|>"


def test_the_end_of_a_turn_is_asked_of_the_template_and_not_assumed_to_be_eos():
    template = (
        "{% for m in messages %}{{ m['role'] + ':' + m['content'] + '<|turn|>' }}{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}"
    )
    tokenizer = make_tokenizer(template, ("<|turn|>",))
    turn = tokenizer.convert_tokens_to_ids("<|turn|>")
    assert end_id(tokenizer) == turn
    assert stop_ids(tokenizer) == sorted([turn, tokenizer.eos_token_id])


def test_a_template_that_refuses_system_turns_gets_the_text_in_the_first_user_turn():
    refusal = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    tokenizer = make_tokenizer(refusal + CHAT_TEMPLATE)
    assert text(tokenizer, encode_prompt(tokenizer, TURNS)) == "<|begin|><|user|>Be exact.\n\nDose?<|assistant|>"


def test_a_template_cannot_print_the_date_of_today():
    tokenizer = make_tokenizer("{{ strftime_now('%d %B %Y') }}")
    assert text(tokenizer, encode_prompt(tokenizer, TURNS)) == "26 Jul 2024"


def test_a_conversation_that_does_not_end_with_the_assistant_is_refused():
    with pytest.raises(StageError, match="'c:9'"):
        encode_sample(make_tokenizer(), Conversation("c:9", TURNS, "en", "made", "CC0-1.0"))


def test_a_template_that_refuses_the_turns_is_named_as_the_cause():
    with pytest.raises(StageError, match="judge"):
        encode_prompt(make_tokenizer(), (Turn("judge", "?"),))
