"""OpenAI's wire format: what requests must look like, and what replies and errors do look like.

A parameter that would change the reply and is not supported is refused; one that would not is ignored. A client is never left to believe that
something was obeyed which was not.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from medglot.core.records import Turn
from medglot.models.base import Generation

DONE = "data: [DONE]\n\n"

_NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "n": (1,),
    "best_of": (1,),
    "top_p": (1,),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "logit_bias": ({},),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "response_format": ({"type": "text"},),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "functions": ([],),
    "modalities": (["text"],),
    "echo": (False,),
    "suffix": ("",),
}
"""Parameters that are not supported, with the values at which they change nothing."""


class ApiError(Exception):
    """An error as OpenAI's clients expect it."""

    def __init__(self, status: int, message: str, *, code: str, param: str | None = None, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.param, self.headers = status, message, code, param, dict(headers or {})

    @property
    def body(self) -> dict[str, Any]:
        """The error as JSON."""
        usual = "server_error" if self.status >= 500 else "invalid_request_error"
        kind = {401: "authentication_error", 429: "rate_limit_error"}.get(self.status, usual)
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}


def _encodable(text: str) -> str:
    """The text, unless it holds half a character: JSON can spell one as an escape, and no tokenizer takes it."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError("holds a surrogate without its other half") from error
    return text


Text = Annotated[str, AfterValidator(_encodable)]


class _Lenient(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")


class TextPart(_Lenient):
    """One part of a message; only text is understood."""

    type: Literal["text"]
    text: Text


class Message(_Lenient):
    """One message of a conversation."""

    role: Literal["system", "developer", "user", "assistant"]
    content: Text | list[TextPart]

    def turn(self) -> Turn:
        """The message as a record."""
        text = self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)
        return Turn("system" if self.role == "developer" else self.role, text)


class StreamOptions(_Lenient):
    """What a stream carries beside the text."""

    include_usage: bool = False


StopText = Annotated[Text, Field(min_length=1)]


class WriteRequest(BaseModel):
    """What both ways of asking share. Without `temperature` the likeliest reply is written, so that equal questions get equal replies."""

    model_config = ConfigDict(strict=True, extra="allow")

    limits: ClassVar[tuple[str, ...]] = ("max_tokens",)

    model: str
    stream: bool = False
    stream_options: StreamOptions | None = None
    temperature: float | None = Field(None, ge=0, le=2, allow_inf_nan=False)
    max_tokens: int | None = Field(None, ge=1)
    seed: int | None = Field(None, ge=-(2**63), lt=2**63)
    stop: StopText | Annotated[list[StopText], Field(max_length=4)] | None = None

    def check(self) -> None:
        """Raises ApiError when a parameter asks for something that is not supported."""
        for name, value in (self.model_extra or {}).items():
            if name in _NEUTRAL and value is not None and value not in _NEUTRAL[name]:
                raise ApiError(400, f"'{name}' is not supported with this value; leave it out", code="unsupported_parameter", param=name)

    def tokens(self, limit: int) -> int:
        """How many tokens may be written. Raises ApiError when more are asked for than `limit`."""
        name, wanted = next(((name, value) for name in self.limits if (value := getattr(self, name)) is not None), ("max_tokens", limit))
        if wanted > limit:
            raise ApiError(400, f"{name} is {wanted}, but this server writes at most {limit} tokens", code="invalid_value", param=name)
        return int(wanted)

    @property
    def stops(self) -> tuple[str, ...]:
        """The stop texts."""
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())

    @property
    def wants_usage(self) -> bool:
        """Whether a stream ends with the numbers of tokens."""
        return self.stream_options is not None and self.stream_options.include_usage


class ChatRequest(WriteRequest):
    """A request to /v1/chat/completions."""

    limits: ClassVar[tuple[str, ...]] = ("max_completion_tokens", "max_tokens")

    messages: list[Message] = Field(min_length=1)
    max_completion_tokens: int | None = Field(None, ge=1)

    def turns(self) -> tuple[Turn, ...]:
        """The messages as records."""
        return tuple(message.turn() for message in self.messages)


class CompletionRequest(WriteRequest):
    """A request to /v1/completions; the prompt becomes a user's message, since that is what the models are trained to answer."""

    prompt: Text | Annotated[list[Text], Field(min_length=1, max_length=1)]

    def turns(self) -> tuple[Turn, ...]:
        """The prompt as the only record."""
        return (Turn("user", self.prompt if isinstance(self.prompt, str) else self.prompt[0]),)


@dataclass(frozen=True, slots=True)
class Envelope:
    """What all parts of one reply share; `chat` says which of the two interfaces was asked."""

    id: str
    created: int
    model: str
    chat: bool

    def whole(self, result: Generation) -> dict[str, Any]:
        """A reply in one piece."""
        text = {"message": {"role": "assistant", "content": result.text, "refusal": None}} if self.chat else {"text": result.text}
        choice = {"index": 0, **text, "logprobs": None, "finish_reason": result.finish_reason}
        return {**self._head("chat.completion"), "choices": [choice], "usage": usage(result)}

    def opening(self) -> str:
        """The first event of a stream: who speaks."""
        return self._event({"role": "assistant", "content": ""}, None) if self.chat else ""

    def piece(self, text: str) -> str:
        """The event that carries a piece of text."""
        return self._event({"content": text} if self.chat else text, None)

    def closing(self, result: Generation, *, with_usage: bool) -> str:
        """The last events of a stream: why it ended, the numbers of tokens when they are wanted, and the end mark."""
        events = self._event({} if self.chat else "", result.finish_reason)
        if with_usage:
            events += event({**self._head("chat.completion.chunk"), "choices": [], "usage": usage(result)})
        return events + DONE

    def _event(self, content: Any, reason: str | None) -> str:
        choice = {"index": 0, "delta" if self.chat else "text": content, "logprobs": None, "finish_reason": reason}
        return event({**self._head("chat.completion.chunk"), "choices": [choice]})

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind if self.chat else "text_completion", "created": self.created, "model": self.model}


def event(data: Any) -> str:
    """A server-sent event; JSON holds no line break."""
    return f"data: {json.dumps(data, ensure_ascii=False, separators=(',', ':'))}\n\n"


def usage(result: Generation) -> dict[str, int]:
    """The numbers of tokens."""
    prompt, completion = result.usage.get("prompt", 0), result.usage.get("completion", 0)
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
