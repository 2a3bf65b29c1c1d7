"""Attention inside each document of a packed row, and never across.

transformers lets a model take its attention from us (AttentionInterface). Ours reads the pieces' lengths from a `Segments` that travels with the
call; it builds no mask over the row and refuses to run without segments, so that nothing (an all-ones mask, a cache) can mix documents in silence.

On CPU, pieces of similar length are computed together, the shorter ones padded at their end: under a causal mask no real token sees the padding. On
CUDA, `torch.nn.attention.varlen` takes the pieces as they are.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from transformers import AttentionInterface, PreTrainedModel

from medglot.core.errors import StageError

ATTENTION = "medglot_segments"

_KEPT_APART = {"full_attention", "sliding_attention"}
"""The kinds of layer that see other tokens through `segment_attention` alone."""

_MATMUL_LIMIT = 2048
"""Longest piece whose scores are held as one matrix: faster than SDPA in bfloat16 on CPU, but its memory grows with the square."""


@dataclass(frozen=True, slots=True)
class _Group:
    """Pieces of similar length: `gather` (pieces, width) are token places, `kept` those of the flattened gather that are no padding."""

    gather: Tensor
    kept: Tensor | None


@dataclass(frozen=True)
class Segments:
    """The lengths of the pieces that a packed sequence of sum(lengths) tokens consists of, and how to compute over them."""

    lengths: tuple[int, ...]
    device: str = "cpu"

    @functools.cached_property
    def ends(self) -> Tensor:
        """Cumulative lengths from 0, int32, as the variable-length kernels take them."""
        return torch.tensor([0, *np.cumsum(self.lengths)], dtype=torch.int32, device=self.device)

    @functools.cached_property
    def positions(self) -> Tensor:
        """Position of every token in its piece, shape (tokens,)."""
        return torch.cat([torch.arange(length) for length in self.lengths]).to(self.device)

    @functools.cached_property
    def plan(self) -> tuple[list[_Group], Tensor]:
        """Groups of pieces, and where each token's result stands when the groups' results are laid end to end."""
        starts = np.cumsum([0, *self.lengths[:-1]])
        groups, places = [], []
        for width, members in _by_width(self.lengths).items():
            lengths = np.array([self.lengths[member] for member in members])
            reach = np.arange(width)
            gather = starts[members][:, None] + np.minimum(reach, lengths[:, None] - 1)
            real = reach < lengths[:, None]
            kept = None if real.all() else torch.from_numpy(np.flatnonzero(real)).to(self.device)
            groups.append(_Group(torch.from_numpy(gather).to(self.device), kept))
            places.append(gather[real])
        back = np.empty(sum(self.lengths), dtype=np.int64)
        back[np.concatenate(places)] = np.arange(len(back))
        return groups, torch.from_numpy(back).to(self.device)


def _by_width(lengths: Sequence[int]) -> dict[int, list[int]]:
    """Places of `lengths` by the width they are padded to: the next multiple of about a quarter of the length, at least of 16.

    Few different widths also mean few different matrix shapes, and each shape costs a compilation inside oneDNN.
    """
    groups: dict[int, list[int]] = {}
    for place, length in enumerate(lengths):
        grain = max(16, 1 << max(0, length.bit_length() - 3))
        groups.setdefault(-(-length // grain) * grain, []).append(place)
    return groups


def segment_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    segments: Segments | None = None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    **rest: Any,
) -> tuple[Tensor, None]:
    """Causal attention within each piece. Called by transformers' models: query (1, heads, tokens, width) -> (1, tokens, heads, width).

    Key and value may have fewer heads. Dropout is not applied: training is a function of the recipe alone.
    """
    unknown = [name for name in ("s_aux", "position_bias") if rest.get(name) is not None]
    if segments is None or attention_mask is not None or unknown or query.shape[0] != 1 or query.shape[2] != key.shape[2]:
        reason = f"it uses {unknown[0]}" if unknown else "it was called without segments, with a mask, a cache or a batch of rows"
        raise StageError(f"{type(module).__name__}: cannot keep packed documents apart: {reason}")
    width = query.shape[-1]
    scale = scaling if scaling is not None else width**-0.5
    query, key, value = (tensor[0].transpose(0, 1) for tensor in (query, key, value))
    longest = max(segments.lengths)
    window = sliding_window if sliding_window is not None and sliding_window < longest else None
    if query.is_cuda and softcap is None and query.dtype in (torch.bfloat16, torch.float16):
        return _variable_length(query, key, value, segments, scale=scale, window=window)[None], None
    groups, back = segments.plan
    results = []
    for group in groups:
        pieces = [tensor.index_select(0, group.gather.flatten()).view(*group.gather.shape, *tensor.shape[1:]) for tensor in (query, key, value)]
        plain = softcap is None and window is None
        if plain and (query.dtype == torch.float32 or longest > _MATMUL_LIMIT):
            first, second, third = (piece.transpose(1, 2) for piece in pieces)
            result = functional.scaled_dot_product_attention(first, second, third, is_causal=True, scale=scale, enable_gqa=True).transpose(1, 2)
        else:
            result = _matmul(*pieces, scale=scale, window=window, softcap=softcap)
        flat = result.flatten(0, 1)
        results.append(flat if group.kept is None else flat.index_select(0, group.kept))
    return torch.cat(results).index_select(0, back)[None], None


def _matmul(query: Tensor, key: Tensor, value: Tensor, *, scale: float, window: int | None, softcap: float | None) -> Tensor:
    """Attention with the scores as one matrix: query (pieces, width, heads, size) -> the same shape. Heads that share a key are its rows."""
    pieces, width, heads, size = query.shape
    shared = heads // key.shape[2]
    seen = torch.ones(width, width, dtype=torch.bool, device=query.device).tril()
    if window is not None:
        seen = seen.triu(1 - window)
    mask = torch.zeros(width, width, dtype=query.dtype, device=query.device).masked_fill_(~seen, float("-inf")).repeat(shared, 1)
    rows = query.view(pieces, width, -1, shared, size).permute(0, 2, 3, 1, 4).reshape(-1, shared * width, size)
    columns, values = (tensor.transpose(1, 2).reshape(-1, width, size) for tensor in (key, value))
    if softcap is None:
        scores = torch.baddbmm(mask, rows, columns.transpose(1, 2), alpha=scale)
    else:
        scores = torch.tanh(torch.bmm(rows, columns.transpose(1, 2)) * (scale / softcap)) * softcap + mask
    result = torch.bmm(torch.softmax(scores, dim=-1), values)
    return result.view(pieces, -1, shared, width, size).permute(0, 3, 1, 2, 4).reshape(pieces, width, heads, size)


def _variable_length(query: Tensor, key: Tensor, value: Tensor, segments: Segments, *, scale: float, window: int | None) -> Tensor:
    """The same on CUDA by flash attention; its signature changed between torch 2.10 and 2.13."""
    from torch.nn.attention import varlen

    known = inspect.signature(varlen.varlen_attn).parameters
    options: dict[str, Any] = {"scale": scale}
    if "window_size" in known:
        options["window_size"] = (-1 if window is None else window - 1, 0)
    elif window is None:
        options["is_causal"] = True
    else:
        raise StageError("this torch has no sliding window in varlen_attn; install torch 2.11 or later, or use rows no longer than the window")
    if "enable_gqa" in known:
        options["enable_gqa"] = query.shape[1] != key.shape[1]
    else:
        key, value = (tensor.repeat_interleave(query.shape[1] // key.shape[1], dim=1) for tensor in (key, value))
    longest = max(segments.lengths)
    result = varlen.varlen_attn(query, key, value, segments.ends, segments.ends, longest, longest, **options)
    if not isinstance(result, Tensor):
        raise StageError("varlen_attn returned auxiliary outputs that were not asked for; this torch is not supported")
    return result


def use_segments(model: PreTrainedModel) -> None:
    """Makes `model` attend by `segment_attention`.

    Raises StageError for a model class that takes no attention from outside, and for one with layers that pass something on from token to token in
    another way (state spaces, linear attention, convolutions, chunks): there packed documents would mix without any attention call that could refuse.
    """
    AttentionInterface.register(ATTENTION, segment_attention)
    other = set(getattr(model.config.get_text_config(), "layer_types", None) or ()) - _KEPT_APART
    if other or model._is_stateful:
        what = f"has layers of {', '.join(sorted(other))}" if other else "carries a state from token to token"
        raise StageError(f"{type(model).__name__} {what}: packed documents would see one another; train a model with attention layers only")
    if not type(model)._can_set_attn_implementation():
        raise StageError(
            f"{type(model).__name__} takes no attention function from outside: packed documents would see one another; train another model"
        )
    model.set_attn_implementation(ATTENTION)
