"""The training loop: batches in, a trained model and its log out; killed at any moment, it goes on to the same bytes.

The loop knows nothing of where rows come from or which parameters are trained: pre-training, fine-tuning and LoRA are other `Batches` and other
`requires_grad`. The loss of a step is the sum over the learned tokens of its global batch divided by their number, however the batch is cut up.
"""

from __future__ import annotations

import json
import logging
import math
import resource
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from medglot.core.errors import StageError
from medglot.core.files import atomic_text
from medglot.core.progress import Progress
from medglot.train import checkpoint
from medglot.train.checkpoint import Checkpoint
from medglot.train.compute import Compute
from medglot.train.rows import Row
from medglot.train.settings import TrainingSettings

LOG = "log.jsonl"
_FALL = 0.2

Evaluate = Callable[[], Any]


class Batches(Protocol):
    """Where a run's rows come from."""

    @property
    def steps(self) -> int:
        """How many optimiser steps there are."""
        ...

    def rows(self, step: int) -> Sequence[Row]:
        """The global batch of a step, counted from 0: a pure function of it."""
        ...


@dataclass(slots=True)
class Trained:
    """The log's rows, and what was measured on the way (speed, memory, checkpoints taken up or passed over)."""

    log: list[dict[str, Any]]
    measured: dict[str, Any] = field(default_factory=dict)


def learning_rate(step: int, *, steps: int, settings: TrainingSettings) -> float:
    """The learning rate of a step (from 0): a linear rise, then the schedule's way to its final value."""
    warm = round(settings.warmup * steps)
    if step < warm:
        return settings.learning_rate * (step + 1) / warm
    done = (step - warm) / max(1, steps - 1 - warm)
    final = settings.final_learning_rate
    share = {
        "constant": 1.0,
        "cosine": final + (1 - final) * (1 + math.cos(math.pi * done)) / 2,
        "wsd": 1.0 - (1 - final) * max(0.0, (done - (1 - _FALL)) / _FALL),
    }[settings.schedule]
    return settings.learning_rate * share


def train(
    compute: Compute,
    batches: Batches,
    settings: TrainingSettings,
    *,
    out: Path,
    title: str,
    evaluate: Evaluate | None = None,
    evaluate_steps: int = 0,
) -> Trained:
    """Trains to the end, from the newest whole checkpoint under `out` if there is one.

    Writes `log.jsonl`. `evaluate()` is called every `evaluate_steps` and its plain result goes to the log. Raises StageError for a loss that is not a
    number and for a row from which nothing can be learned.
    """
    optimiser = _optimiser(compute, settings)
    log, measured = _resume(compute, optimiser, out)
    _write_log(out, log)
    begun, seen, resumed = time.monotonic(), log[-1]["tokens"] if log else 0, len(log)
    first, kept = seen, resumed
    with Progress(title, batches.steps - resumed, unit="steps") as progress, (out / LOG).open("a", encoding="utf-8", newline="\n") as live:
        for step in range(resumed, batches.steps):
            rows = batches.rows(step)
            entry = _step(compute, optimiser, rows, settings, step=step, steps=batches.steps, kept=kept)
            seen += sum(len(row.ids) for row in rows)
            log.append(entry | {"tokens": seen})
            if evaluate is not None and evaluate_steps and (step + 1) % evaluate_steps == 0:
                log[-1]["heldout"] = evaluate()
            live.write(json.dumps(log[-1]) + "\n")
            live.flush()
            if (step + 1) % settings.checkpoint_steps == 0 or step + 1 == batches.steps:
                kept = step + 1
                checkpoint.save(out, Checkpoint(kept, _tensors(compute, optimiser), log))
            progress.advance(note=f"loss {entry['loss']:.3f}")
    seconds = max(time.monotonic() - begun, 1e-9)
    measured |= {"seconds": round(seconds, 2), "tokens_per_second": round((seen - first) / seconds), "peak_memory_mb": peak_memory()}
    return Trained(log, measured)


def peak_memory() -> int:
    """The most memory this process has held, in MB: on the GPU when there is one in use, else resident."""
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated() > 0:
        return int(torch.cuda.max_memory_allocated() // 2**20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def _step(
    compute: Compute, optimiser: torch.optim.Optimizer, rows: Sequence[Row], settings: TrainingSettings, *, step: int, steps: int, kept: int
) -> dict[str, Any]:
    supervised = [row.supervised for row in rows]
    if 0 in supervised:
        row = rows[supervised.index(0)]
        raise StageError(
            f"step {step + 1}, row {supervised.index(0)}: nothing in it is learned; its {len(row.ids)} token ids begin {row.ids[:20].tolist()}"
        )
    loss = compute.gradients(rows, scale=1 / sum(supervised))
    gradients = [master.grad for master in compute.masters.values() if master.grad is not None]
    norm = float(torch.stack([torch.linalg.vector_norm(gradient, dtype=torch.float64) for gradient in gradients]).square().sum().sqrt())
    if not (math.isfinite(loss) and math.isfinite(norm)):
        raise StageError(
            f"step {step + 1}: the loss is {loss}, the gradient's norm {norm}; the weights of step {kept} are kept; lower learning_rate, "
            "lengthen warmup, or look at the rows of this step"
        )
    if norm > settings.clip:
        torch._foreach_mul_(gradients, settings.clip / norm)
    rate = learning_rate(step, steps=steps, settings=settings)
    for group in optimiser.param_groups:
        group["lr"] = rate
    optimiser.step()
    compute.refresh()
    return {"step": step + 1, "loss": loss, "learning_rate": rate, "gradient_norm": norm}


def _optimiser(compute: Compute, settings: TrainingSettings) -> torch.optim.Optimizer:
    """AdamW (Loshchilov and Hutter 2019); matrices decay, vectors do not."""
    matrices = [master for master in compute.masters.values() if master.ndim > 1]
    vectors = [master for master in compute.masters.values() if master.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": settings.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=settings.learning_rate, betas=settings.betas, fused=True)


def _tensors(compute: Compute, optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The state of a run by name: ``weight/<parameter>``, ``exp_avg/<parameter>``, ``exp_avg_sq/<parameter>``."""
    tensors = {f"weight/{name}": master.detach() for name, master in compute.masters.items()}
    for name, master in compute.masters.items():
        tensors |= {f"{kind}/{name}": optimiser.state[master][kind] for kind in ("exp_avg", "exp_avg_sq")}
    return tensors


@torch.no_grad()
def _resume(compute: Compute, optimiser: torch.optim.Optimizer, out: Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Takes up the newest whole checkpoint; gives its log and what is to be told about it."""
    found = checkpoint.newest(out)
    measured: dict[str, Any] = {}
    if found.torn:
        logging.getLogger(__name__).warning("%s: passed over torn checkpoints: %s", out.name, ", ".join(found.torn))
        measured["torn_checkpoints"] = found.torn
    if found.checkpoint is None:
        return [], measured
    step, tensors = found.checkpoint.step, found.checkpoint.tensors
    for name, master in compute.masters.items():
        master.copy_(tensors[f"weight/{name}"])
        moments = {kind: tensors[f"{kind}/{name}"].to(master.device) for kind in ("exp_avg", "exp_avg_sq")}
        optimiser.state[master] = {"step": torch.tensor(float(step), device=master.device), **moments}
    compute.refresh()
    return found.checkpoint.log, measured | {"resumed_at_step": step}


def _write_log(out: Path, log: Iterable[dict[str, Any]]) -> None:
    with atomic_text(out / LOG) as handle:
        handle.writelines(json.dumps(row) + "\n" for row in log)
