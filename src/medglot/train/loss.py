"""Cross-entropy of a language model's head without ever holding all logits.

At a vocabulary of 8,192 and more the logits of a micro-batch are its largest tensor. Here they are made chunk by chunk, and the gradients of hidden
states and head are computed in the forward pass, while a chunk is at hand: a sum's gradient needs nothing that comes later.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedModel

from medglot.train.attention import Segments
from medglot.train.portions import head_tokens
from medglot.train.rows import UNSUPERVISED

_SMALLEST = torch.finfo(torch.float32).tiny
_TRANSFORMED = ("final_logit_softcapping", "logits_scaling", "logit_scale")


class _LinearCrossEntropy(torch.autograd.Function):
    """Sum over tokens of the cross-entropy of softmax(hidden @ weight.T), in nats, times `scale`.

    Where a gradient is wanted, a target less likely than 1e-38 counts as that likely in the loss (its gradient is exact).
    """

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, scale: float) -> Tensor:
        """Takes hidden (tokens, size), weight (vocabulary, size), targets (tokens,) and gives a float32 scalar."""
        wants_hidden, wants_weight = ctx.needs_input_grad[:2]
        loss = torch.zeros((), dtype=torch.float32, device=hidden.device)
        hidden_gradient = torch.empty_like(hidden) if wants_hidden else None
        # Chunks are added in float32: in bfloat16 each addition would lose the small terms.
        weight_gradient = torch.zeros_like(weight, dtype=torch.float32) if wants_weight else None
        chunk = head_tokens(len(weight), device=hidden.device.type)
        for part in range(0, len(hidden), chunk):
            states, answers = hidden[part : part + chunk], targets[part : part + chunk, None]
            logits = (states @ weight.T).float()
            if not (wants_hidden or wants_weight):
                loss -= torch.log_softmax(logits, dim=-1).gather(1, answers).sum()
                continue
            slope = torch.softmax(logits, dim=-1)
            loss -= slope.gather(1, answers).clamp_min(_SMALLEST).log().sum()
            slope.scatter_add_(1, answers, slope.new_full(answers.shape, -1.0))
            error = slope.mul_(scale).to(hidden.dtype)
            if hidden_gradient is not None:
                hidden_gradient[part : part + chunk] = error @ weight
            if weight_gradient is not None:
                weight_gradient += error.T @ states
        ctx.save_for_backward(hidden_gradient, None if weight_gradient is None else weight_gradient.to(weight.dtype))
        return loss * scale

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        """The gradients made in the forward pass, times the slope of what followed."""
        hidden, weight = (None if made is None else made * slopes[0].to(made.dtype) for made in ctx.saved_tensors)
        return hidden, weight, None, None


def loss_sum(model: PreTrainedModel, ids: Tensor, targets: Tensor, segments: Segments, *, scale: float = 1.0) -> Tensor:
    """The summed cross-entropy in nats of a packed sequence, times `scale`: ids and targets of shape (tokens,), result a float32 scalar.

    Only supervised places reach the head. Models that transform their logits (soft caps, scales) compute them in their own way.
    """
    places = torch.nonzero(targets != UNSUPERVISED).flatten()
    inputs = {"input_ids": ids[None], "position_ids": segments.positions[None], "use_cache": False, "segments": segments}
    head = model.get_output_embeddings()
    if getattr(head, "bias", None) is not None or any(getattr(model.config, name, None) for name in _TRANSFORMED):
        logits = model(**inputs, logits_to_keep=places).logits[0].float()
        return functional.cross_entropy(logits, targets[places], reduction="sum") * scale
    hidden = model.base_model(**inputs).last_hidden_state[0]
    if len(places) < len(ids):
        hidden = hidden.index_select(0, places)
    loss: Tensor = _LinearCrossEntropy.apply(hidden, head.weight, targets[places], scale)  # type: ignore[no-untyped-call]
    return loss
