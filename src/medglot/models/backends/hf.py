"""Any causal language model of `transformers`, in this process.

The head that turns the last hidden state into logits always works in float32, whatever the precision of the model: in bfloat16 two options would
often tie. Requests run in batches of similar length, padded on the left. The batch a request falls into moves the last bits of its log-probabilities,
so on a CPU no machine file chooses the batches of letters; those of written replies, and all on a GPU, keep within the machine's token budget.
"""

from __future__ import annotations

import functools
import inspect
import itertools
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from medglot.core.artifact import model_folder
from medglot.core.config import HubSource, Machine, PathSource
from medglot.core.errors import RecipeError
from medglot.core.files import file_digest, json_digest, list_files
from medglot.core.records import Turn
from medglot.models.base import Dtype, FinishReason, Generation, LetterReply, LetterRequest, Reply
from medglot.models.chat import encode_prompt, end_id, stop_ids
from medglot.models.weights import load_causal_lm, load_tokenizer, local_folder

_CACHE_TOKENS = 2048
"""Tokens of a batch on a CPU when nothing is generated, whatever the machine. With a small model 16,384 took 1.8 times the CPU time, presumably for
want of cache."""


@dataclass(frozen=True, slots=True)
class _Row:
    """One sequence of a batch: the request it belongs to, its prompt, and reply ids that are given rather than sampled."""

    request: int
    prompt: tuple[int, ...]
    given: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.prompt) + len(self.given)


@dataclass(slots=True)
class _Batch:
    """Left-padded rows: `ids` and `mask` are (rows, longest)."""

    ids: torch.Tensor
    mask: torch.Tensor


class Hf:
    """A model folder (or one on the Hub, pinned) as a backend."""

    def __init__(
        self, source: HubSource | PathSource | None, *, machine: Machine, dtype: Dtype = "float32", options: Mapping[str, Any] | None = None
    ) -> None:
        if source is None:
            raise RecipeError('the hf backend needs a model: an input `model`, or base = { hub = "org/name", revision = "..." }')
        if options:
            raise RecipeError(f"the hf backend takes no options (found {', '.join(options)}); remove them")
        self._folder = model_folder(local_folder(source))
        self._dtype, self._budget = dtype, machine.batch_tokens
        self._device = _device(machine)
        torch.set_num_threads(machine.thread_count)
        self._tokenizer = load_tokenizer(self._folder)
        self._model: Any = load_causal_lm(self._folder, dtype=dtype, device=self._device)
        _use_float32_head(self._model)
        self._end, self._stops = end_id(self._tokenizer), stop_ids(self._tokenizer)
        self._takes = set(inspect.signature(self._model.forward).parameters)
        self._context: float = getattr(self._model.config.get_text_config(), "max_position_embeddings", None) or float("inf")

    @functools.cached_property
    def identity(self) -> str:
        """The digest of the folder's files and the precision."""
        files = [[path.relative_to(self._folder).as_posix(), file_digest(path)] for path in list_files(self._folder)]
        return f"hf:{self._dtype}:{json_digest(files)}"

    @torch.inference_mode()
    def letters(self, requests: Sequence[LetterRequest]) -> list[LetterReply]:
        """One forward pass a request, the last positions only; a second row only where candidates of several tokens begin differently."""
        prompts = [tuple(encode_prompt(self._tokenizer, request.turns)) for request in requests]
        wanted = [self._continuations(request) for request in requests]
        rows = [_Row(number, prompts[number], given) for number, candidates in enumerate(wanted) for given in _longest_prefixes(candidates)]
        fitting = [row for row in rows if len(row) < self._context]
        too_long = {row.request for row in rows} - {row.request for row in fitting}
        found: dict[tuple[int, tuple[int, ...]], float] = {}
        for batch in self._batches(fitting, budget=self._budget if self._device == "cuda" else _CACHE_TOKENS):
            for row, table in zip(batch, self._tables(batch), strict=True):
                for ids in itertools.chain(*wanted[row.request]):
                    if ids[:-1] == row.given[: len(ids) - 1]:
                        found[row.request, ids] = float(sum(table[place, token] for place, token in enumerate(ids)))
        replies = []
        for number, candidates in enumerate(wanted):
            whole = number not in too_long
            logprobs = tuple(_log_sum([found[number, ids] for ids in ways]) for ways in candidates) if whole else ()
            prompt = self._tokenizer.decode(prompts[number])
            replies.append(LetterReply(logprobs, prompt, len(prompts[number]), "stop" if whole else "context"))
        return replies

    @torch.inference_mode()
    def generate(self, requests: Sequence[Sequence[Turn]], *, max_tokens: int, stop: Sequence[str] = ()) -> list[Generation]:
        """Greedy decoding with a key-value cache; a row that has ended leaves its batch."""
        rows = [_Row(number, tuple(encode_prompt(self._tokenizer, turns))) for number, turns in enumerate(requests)]
        done = {row.request: self._too_long(row) for row in rows if len(row) >= self._context}
        for batch in self._batches([row for row in rows if row.request not in done], budget=self._budget, reserve=max_tokens):
            writings = [_Writing(self._tokenizer, stop, self._stops, self._room(row, max_tokens)) for row in batch]
            for _ in self._write(batch, writings, choose=_likeliest):
                pass
            done |= {row.request: self._finish(row, writing) for row, writing in zip(batch, writings, strict=True)}
        return [done[number] for number in range(len(rows))]

    def stream(
        self, turns: Sequence[Turn], *, max_tokens: int, temperature: float = 0.0, seed: int = 0, stop: Sequence[str] = ()
    ) -> Generator[str, None, Generation]:
        """One reply in pieces; see `Backend.stream`. Above temperature 0 the tokens are drawn from the tempered distribution."""
        row = _Row(0, tuple(encode_prompt(self._tokenizer, turns)))
        if len(row) >= self._context:
            return self._too_long(row)
        writing = _Writing(self._tokenizer, stop, self._stops, self._room(row, max_tokens))
        steps = self._write([row], [writing], choose=_sampler(temperature, seed) if temperature > 0 else _likeliest)
        while True:
            with torch.inference_mode():  # entered for each step: a generator must not hold it while it waits
                if next(steps, None) is None:
                    break
            if piece := writing.take():
                yield piece
        if piece := writing.end():
            yield piece
        return self._finish(row, writing)

    def _continuations(self, request: LetterRequest) -> list[list[tuple[int, ...]]]:
        """For each candidate the ways to write it as ids, all from the reply's first token: the end may be any of several tokens."""
        written = self._encode(request.written)
        return [[self._encode(request.written + text)] if text else [(*written, token) for token in self._stops] for text in request.candidates]

    def _encode(self, text: str) -> tuple[int, ...]:
        """Ids of a reply's text, by the same call as in training (`encode_sample`)."""
        return tuple(self._tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)) if text else ()

    def _tables(self, rows: Sequence[_Row]) -> Iterator[torch.Tensor]:
        """For each row the log-probabilities (given + 1, vocabulary) of the tokens from the reply's first on, on the CPU in float32."""
        keep = max(len(row.given) for row in rows) + 1
        logits = self._forward(self._pad(rows), keep=keep, use_cache=False).logits
        tables = torch.log_softmax(logits.float(), dim=-1)
        for number, row in enumerate(rows):
            yield tables[number, keep - len(row.given) - 1 :].cpu()

    def _write(self, rows: Sequence[_Row], writings: Sequence[_Writing], *, choose: _Choose) -> Iterator[bool]:
        """Writes one token to every open writing at each step, until all are done."""
        batch, active = self._pad(rows), list(writings)
        output = self._forward(batch, keep=1, use_cache=True)
        while True:
            tokens = choose(output.logits[:, -1].float())
            for writing, token in zip(active, tokens.tolist(), strict=True):
                writing.add(token)
            yield True
            still = [place for place, writing in enumerate(active) if not writing.done]
            if not still:
                return
            cache = output.past_key_values
            if len(still) < len(active):
                kept = torch.tensor(still, device=self._device)
                cache.batch_select_indices(kept)
                active, tokens, batch.mask = [active[place] for place in still], tokens[kept], batch.mask[kept]
            batch = _Batch(tokens[:, None], torch.cat([batch.mask, batch.mask.new_ones(len(active), 1)], dim=1))
            output = self._forward(batch, keep=1, use_cache=True, past_key_values=cache)

    def _forward(self, batch: _Batch, *, keep: int, **more: Any) -> Any:
        arguments = {"input_ids": batch.ids, "attention_mask": batch.mask, **more}
        if "position_ids" in self._takes:
            arguments["position_ids"] = (batch.mask.cumsum(-1) - 1).clamp(min=0)[:, -batch.ids.shape[1] :]
        if "logits_to_keep" in self._takes:
            arguments["logits_to_keep"] = keep
        output = self._model(**arguments)
        output.logits = output.logits[:, -keep:]
        return output

    def _pad(self, rows: Sequence[_Row]) -> _Batch:
        longest = max(len(row) for row in rows)
        ids = torch.zeros(len(rows), longest, dtype=torch.long)
        mask = torch.zeros(len(rows), longest, dtype=torch.long)
        for number, row in enumerate(rows):
            ids[number, longest - len(row) :] = torch.tensor(row.prompt + row.given)
            mask[number, longest - len(row) :] = 1
        return _Batch(ids.to(self._device), mask.to(self._device))

    def _batches(self, rows: Sequence[_Row], *, budget: int, reserve: int = 0) -> Iterator[list[_Row]]:
        """Rows sorted by length, the longest first so that lack of memory shows at once; rows x longest stays within `budget` tokens."""
        batch: list[_Row] = []
        for row in sorted(rows, key=lambda row: (-len(row), row.request, row.given)):
            if batch and (len(batch) + 1) * (len(batch[0]) + reserve) > budget:
                yield batch
                batch = []
            batch.append(row)
        if batch:
            yield batch

    def _room(self, row: _Row, max_tokens: int) -> int:
        return int(min(max_tokens, self._context - len(row)))

    def _finish(self, row: _Row, writing: _Writing) -> Generation:
        writing.end()
        usage = {"prompt": len(row), "completion": len(writing.ids)}
        return Generation(self._tokenizer.decode(row.prompt), writing.text, writing.reason, usage)

    def _too_long(self, row: _Row) -> Generation:
        return Generation(self._tokenizer.decode(row.prompt), "", "context", {"prompt": len(row), "completion": 0})


_Choose = Callable[[torch.Tensor], torch.Tensor]
"""From logits (rows, vocabulary) to one token a row."""


class _Writing:
    """One reply being written, token by token. Text is decoded in a window that ends at a whole character, since a token may be half of one."""

    def __init__(self, tokenizer: Any, stop: Sequence[str], stops: Sequence[int], limit: int) -> None:
        self.ids: list[int] = []
        self.reason: FinishReason = "length"
        self.done = False
        self._decode = functools.partial(tokenizer.decode, skip_special_tokens=True)
        self._reply, self._stops, self._limit = Reply(stop), frozenset(stops), limit
        self._from = self._read = 0
        self._pieces: list[str] = []

    @property
    def text(self) -> str:
        """The reply so far, without end token and stop text."""
        return self._reply.text

    def add(self, token: int) -> None:
        """Takes the next token."""
        self.ids.append(token)
        if token in self._stops:
            self.reason, self.done = "stop", True
            return
        self._pieces.append(self._reply.add(self._new_text(whole=True)))
        if self._reply.stopped:
            self.reason, self.done = "stop", True
        self.done = self.done or len(self.ids) >= self._limit

    def take(self) -> str:
        """What may be shown and was not taken yet."""
        piece = "".join(self._pieces)
        self._pieces.clear()
        return piece

    def end(self) -> str:
        """What is left to show when nothing more is written."""
        if not self._reply.stopped:
            self._pieces.append(self._reply.add(self._new_text(whole=False)) + self._reply.rest())
        return self.take()

    def _new_text(self, *, whole: bool) -> str:
        before, now = self._decode(self.ids[self._from : self._read]), self._decode(self.ids[self._from :])
        if len(now) <= len(before) or (whole and now.endswith("\ufffd")):
            return ""
        self._from, self._read = self._read, len(self.ids)
        return str(now[len(before) :])


def _likeliest(logits: torch.Tensor) -> torch.Tensor:
    return logits.argmax(dim=-1)


def _sampler(temperature: float, seed: int) -> _Choose:
    generator = torch.Generator().manual_seed(seed)  # on the CPU, so that a seed means the same on every device

    def choose(logits: torch.Tensor) -> torch.Tensor:
        weights = torch.softmax(logits / temperature, dim=-1).cpu()
        return torch.multinomial(weights, 1, generator=generator)[:, 0].to(logits.device)

    return choose


def _longest_prefixes(candidates: Sequence[Sequence[tuple[int, ...]]]) -> list[tuple[int, ...]]:
    """The rows that candidates need: everything before their last tokens, less what another row begins with."""
    prefixes = {ids[:-1] for ids in itertools.chain(*candidates)}
    return sorted(one for one in prefixes if not any(one != other and other[: len(one)] == one for other in prefixes))


def _log_sum(values: Sequence[float]) -> float:
    return float(torch.logsumexp(torch.tensor(values, dtype=torch.float64), dim=0))


def _device(machine: Machine) -> str:
    if machine.device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if machine.device == "cuda" and not torch.cuda.is_available():
        raise RecipeError("the machine file says device = cuda, but torch sees no GPU; write cpu or auto")
    return machine.device


def _use_float32_head(model: Any) -> None:
    head = model.get_output_embeddings()
    if head is None or head.weight.dtype == torch.float32:
        return
    head.weight = torch.nn.Parameter(head.weight.detach().float(), requires_grad=False)  # its own copy, even where tied to the input embeddings
    if getattr(head, "bias", None) is not None:
        head.bias = torch.nn.Parameter(head.bias.detach().float(), requires_grad=False)
    head.register_forward_pre_hook(lambda _, inputs: (inputs[0].float(), *inputs[1:]))
