"""Conversations as token ids: the same ids in training and in use.

A sample is the prompt's ids, then the reply's ids, then the end of turn, put together as ids. What is learned is therefore known exactly; it is never
found again by searching in a string, nor by tokenising the prompt alone and hoping that the ids agree at the seam.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jinja2.exceptions import TemplateError
from transformers import PreTrainedTokenizerBase

from medglot.core.errors import StageError
from medglot.core.records import Conversation, Turn

BEGIN, END, PAD = "<|begin|>", "<|end|>", "<|pad|>"
SYSTEM, USER, ASSISTANT = "<|system|>", "<|user|>", "<|assistant|>"
SPECIAL_TOKENS = (BEGIN, END, PAD, SYSTEM, USER, ASSISTANT)
"""The special tokens of the tokenizers we train, in the order of their ids. `END` ends a document and an assistant's turn alike."""

CHAT_TEMPLATE = (
    "{{ '<|begin|>' }}"
    "{% for message in messages %}"
    "{% if message['role'] == 'system' %}{{ '<|system|>' + message['content'] }}"
    "{% elif message['role'] == 'user' %}{{ '<|user|>' + message['content'] }}"
    "{% elif message['role'] == 'assistant' %}{{ '<|assistant|>' + message['content'] + '<|end|>' }}"
    "{% else %}{{ raise_exception('unknown role: ' + message['role']) }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)

_FIXED_DATE = "{% macro strftime_now(format) %}26 Jul 2024{% endmacro %}"
"""Put before a template: some print today's date, and equal runs must be equal (the day is Llama's own default)."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A conversation as training sees it: token `ids` and, for each, whether it is learned. The two have equal lengths."""

    ids: tuple[int, ...]
    supervised: tuple[bool, ...]


def encode_prompt(tokenizer: PreTrainedTokenizerBase, turns: Sequence[Turn]) -> list[int]:
    """The ids after which the assistant speaks.

    Uses the tokenizer's chat template; without one, the texts of the turns with blank lines between, ending in a line break. Special tokens that
    stand in the turns' texts are encoded as plain text. A template that knows no system turn gets its text before the first user turn's.
    """
    if tokenizer.chat_template is None:
        return list(tokenizer.encode("\n\n".join(turn.text for turn in turns) + "\n", split_special_tokens=True))
    try:
        return _apply(tokenizer, turns, reply=True)
    except TemplateError as error:
        folded = _fold_system(turns)
        if folded == tuple(turns):
            raise StageError(f"the tokenizer's chat template refuses the turns {[turn.role for turn in turns]}: {error}") from error
        return _apply(tokenizer, folded, reply=True)


def encode_sample(tokenizer: PreTrainedTokenizerBase, conversation: Conversation, *, end: int | None = None) -> Sample:
    """The ids of prompt, reply and end of turn; the reply and its end are learned. Raises StageError unless the last turn is the assistant's.

    `end` is `end_id(tokenizer)`: who encodes many conversations asks once.
    """
    *before, last = conversation.turns
    if last.role != "assistant" or not before:
        raise StageError(f"conversation '{conversation.id}': it must end with an assistant's turn that answers an earlier one")
    prompt = encode_prompt(tokenizer, before)
    text = tokenizer.encode(last.text, add_special_tokens=False, split_special_tokens=True)
    reply = [*text, end_id(tokenizer) if end is None else end]
    return Sample(tuple(prompt + reply), (False,) * len(prompt) + (True,) * len(reply))


def end_id(tokenizer: PreTrainedTokenizerBase) -> int:
    """The token that ends an assistant's turn.

    The chat template is asked: it is the first special token after the reply (``<|eot_id|>``, ``<end_of_turn>``), which need not be the
    tokenizer's EOS. Without a template it is the EOS.
    """
    if tokenizer.chat_template is not None:
        turn = Turn("user", "A")
        prompt = _apply(tokenizer, [turn], reply=True)
        whole = _apply(tokenizer, [turn, Turn("assistant", "A")], reply=False)
        special = set(tokenizer.all_special_ids) | {key for key, token in tokenizer.added_tokens_decoder.items() if token.special}
        after = next((token for token in whole[len(prompt) :] if token in special), None)
        if whole[: len(prompt)] == prompt and after is not None:
            return after
    if tokenizer.eos_token_id is None:
        raise StageError("the tokenizer has neither a chat template that ends its turns nor an EOS token: a model could never stop")
    return int(tokenizer.eos_token_id)


def stop_ids(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The tokens at which writing stops: the end of an assistant's turn and the EOS, sorted."""
    eos = [] if tokenizer.eos_token_id is None else [int(tokenizer.eos_token_id)]
    return sorted({end_id(tokenizer), *eos})


def _apply(tokenizer: PreTrainedTokenizerBase, turns: Sequence[Turn], *, reply: bool) -> list[int]:
    ids: Any = tokenizer.apply_chat_template(
        [{"role": turn.role, "content": turn.text} for turn in turns],
        chat_template=_FIXED_DATE + tokenizer.get_chat_template(),
        add_generation_prompt=reply,
        tokenize=True,
        return_dict=False,
        sanitize_control_tokens=True,
    )
    return list(ids)


def _fold_system(turns: Sequence[Turn]) -> tuple[Turn, ...]:
    """The turns with the system's text put before the first user turn's."""
    system = [turn.text for turn in turns if turn.role == "system"]
    rest = [turn for turn in turns if turn.role != "system"]
    if not system or not rest or rest[0].role != "user":
        return tuple(turns)
    return (Turn("user", "\n\n".join([*system, rest[0].text])), *rest[1:])
