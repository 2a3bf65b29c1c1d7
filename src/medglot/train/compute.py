"""Loss and gradients of a batch, bit for bit the same on any number of CPU threads.

A batch is cut into micro-batches of a fixed size, and each is computed forwards and backwards by one thread; several threads work on several of them,
and the gradients are added in the order of the batch. No sum is ever split by the number of threads, so that number cannot change a result; nor does
any thread wait for another inside an operation. On a GPU there is one thread, and the machine's `micro_batch_tokens` holds.

Weights have a float32 master copy that the optimiser works on; the computation uses a copy in the recipe's dtype, refreshed after each step.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from medglot.core.config import Machine
from medglot.train.attention import Segments, use_segments
from medglot.train.loss import loss_sum
from medglot.train.portions import CPU_TOKENS, RECOMPUTED
from medglot.train.rows import Row, micro_batches

_memory: Any = torch.utils.deterministic  # its switch is set by a property that type checkers do not see


@dataclass(frozen=True, slots=True)
class _Part:
    """What one micro-batch gives: its loss, and its gradients in the order of the trainable parameters."""

    loss: float
    gradients: tuple[Tensor | None, ...]


class Compute:
    """A model ready to be trained. Make it with `computing`."""

    def __init__(
        self,
        model: PreTrainedModel,
        masters: dict[str, torch.nn.Parameter],
        *,
        device: str,
        tokens: int,
        threads: int,
        pool: ThreadPoolExecutor | None,
    ) -> None:
        self.model, self.device = model, device
        self._tokens, self._threads, self._pool = tokens, threads, pool
        self.masters = masters
        self._trained = [parameter for parameter in model.parameters() if parameter.requires_grad]

    def loss(self, rows: Sequence[Row]) -> float:
        """The summed loss of `rows`, in nats."""
        return sum(part.loss for part in self._parts(rows, self._measure))

    def gradients(self, rows: Sequence[Row], *, scale: float) -> float:
        """The summed loss of `rows` times `scale`, in nats; leaves its gradients in the masters' `grad`."""
        for master in self.masters.values():
            master.grad = torch.zeros_like(master)
        total = 0.0
        for part in self._parts(rows, lambda group: self._differentiate(group, scale)):
            total += part.loss
            for master, gradient in zip(self.masters.values(), part.gradients, strict=True):
                if gradient is not None and master.grad is not None:
                    master.grad += gradient
        return total

    @torch.no_grad()
    def refresh(self) -> None:
        """Brings what the optimiser did to the masters into the weights that compute."""
        for parameter, master in zip(self._trained, self.masters.values(), strict=True):
            if parameter is not master:
                parameter.copy_(master)

    def _parts(self, rows: Sequence[Row], work: Callable[[list[Row]], _Part]) -> Iterator[_Part]:
        groups = micro_batches(rows, tokens=self._tokens)
        if self._pool is None:
            yield from map(work, groups)
            return
        waiting: deque[Future[_Part]] = deque()
        for group in groups:
            waiting.append(self._pool.submit(work, group))
            if len(waiting) > self._threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    def _differentiate(self, rows: list[Row], scale: float) -> _Part:
        loss = self._forward(rows, scale)
        gradients = torch.autograd.grad(loss, self._trained, allow_unused=True)
        return _Part(float(loss.detach()), gradients)

    def _measure(self, rows: list[Row]) -> _Part:
        with torch.no_grad():
            return _Part(float(self._forward(rows, 1.0)), ())

    def _forward(self, rows: list[Row], scale: float) -> Tensor:
        ids, targets = (
            torch.from_numpy(np.concatenate(parts)).to(self.device) for parts in zip(*((row.ids, row.targets) for row in rows), strict=True)
        )
        segments = Segments(tuple(length for row in rows for length in row.lengths), self.device)
        return loss_sum(self.model, ids, targets, segments, scale=scale)


@contextmanager
def computing(model: PreTrainedModel, *, dtype: Literal["float32", "bfloat16"], machine: Machine) -> Iterator[Compute]:
    """A `Compute` over `model`, which is moved to the machine's device and to `dtype`; torch's settings are put back afterwards."""
    cuda = machine.device == "cuda" or (machine.device == "auto" and torch.cuda.is_available())
    device = "cuda" if cuda else "cpu"
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    filling = _memory.fill_uninitialized_memory
    pool = (
        ThreadPoolExecutor(machine.thread_count, initializer=torch.set_num_threads, initargs=(1,)) if not cuda and machine.thread_count > 1 else None
    )
    try:
        if cuda:
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS is deterministic only with it
        else:
            torch.set_num_threads(1)
        torch.use_deterministic_algorithms(True)
        _memory.fill_uninitialized_memory = False
        masters = _prepare(model, dtype=getattr(torch, dtype), device=device)
        tokens = machine.micro_batch_tokens if cuda else CPU_TOKENS
        yield Compute(model, masters, device=device, tokens=tokens, threads=machine.thread_count, pool=pool)
    finally:
        if pool is not None:
            pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(strict)
        _memory.fill_uninitialized_memory = filling


def _prepare(model: PreTrainedModel, *, dtype: torch.dtype, device: str) -> dict[str, torch.nn.Parameter]:
    """Makes `model` ready to compute in `dtype`; gives the float32 masters of its trainable parameters by name."""
    model.to(device)
    masters = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            masters[name] = parameter if parameter.dtype == dtype == torch.float32 else torch.nn.Parameter(parameter.detach().float().clone())
        parameter.data = parameter.data.to(dtype)  # parameters only: rotary frequencies are buffers and stay exact
    use_segments(model)
    model.train()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.eval()  # no dropout: training is a function of the recipe alone
    if device == "cuda" and model.num_parameters() > RECOMPUTED:
        model.gradient_checkpointing_enable()
    return masters
