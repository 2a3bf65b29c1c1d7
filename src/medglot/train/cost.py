"""What training will cost: parameters, floating-point operations and memory, from sizes alone.

Everything here is arithmetic, so that a plan can show it without torch, weights or a network. Parameters and operations are exact for the
architectures in `FAMILIES`; memory is what the tensors need, without what allocator, kernels and Python take for themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from medglot.core.config import Machine
from medglot.train.portions import CPU_TOKENS, RECOMPUTED, head_tokens
from medglot.train.settings import Architecture, FinetuneSettings, TrainingSettings

FAMILIES = ("llama", "mistral", "qwen2", "qwen3")
"""The `model_type`s that `Shape` describes exactly."""

_BYTES = {"float32": 4, "bfloat16": 2}
_LOGIT_BYTES = {"float32": (8, 12), "bfloat16": (10, 16)}
"""Bytes a logit of the head's chunk, with its slopes: in the only chunk, and where parts of the chunk before are still held; both as measured."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of a Llama-like decoder: RMSNorm, rotary positions, grouped-query attention, gated MLP.

    `attention_bias` tells whether the query, key and value projections have biases (Qwen 2), `head_norms` whether queries and keys are normalised
    (Qwen 3), `tied` whether the output head is the input embedding.
    """

    vocabulary: int
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_size: int
    intermediate: int
    tied: bool = False
    attention_bias: bool = False
    head_norms: bool = False

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Shape | None:
        """The shape that a Hugging Face ``config.json`` describes; None for an architecture outside `FAMILIES`, whose sizes are never guessed."""
        family = config.get("model_type")
        if family not in FAMILIES or config.get("mlp_bias") or (family != "qwen2" and config.get("attention_bias")):
            return None
        heads = config["num_attention_heads"]
        return cls(
            vocabulary=config["vocab_size"],
            hidden=config["hidden_size"],
            layers=config["num_hidden_layers"],
            heads=heads,
            kv_heads=config.get("num_key_value_heads") or heads,
            head_size=config.get("head_dim") or config["hidden_size"] // heads,
            intermediate=config["intermediate_size"],
            tied=bool(config.get("tie_word_embeddings", False)),
            attention_bias=family == "qwen2",
            head_norms=family == "qwen3",
        )

    @classmethod
    def from_architecture(cls, architecture: Architecture, *, vocabulary: int) -> Shape:
        """The shape of a model trained from scratch."""
        return cls(
            vocabulary=vocabulary,
            hidden=architecture.hidden_size,
            layers=architecture.layers,
            heads=architecture.heads,
            kv_heads=architecture.kv_heads,
            head_size=architecture.hidden_size // architecture.heads,
            intermediate=architecture.intermediate_size,
            tied=architecture.tie_embeddings,
            attention_bias=architecture.kind == "qwen2",
            head_norms=architecture.kind == "qwen3",
        )

    @property
    def queries(self) -> int:
        """The width of all queries together."""
        return self.heads * self.head_size

    @property
    def keys(self) -> int:
        """The width of all keys together, which is that of the values."""
        return self.kv_heads * self.head_size

    @property
    def multiplied(self) -> int:
        """The weights that every token is multiplied with: all matrices and the output head, not the embedding, which is looked up."""
        attention = 2 * self.hidden * self.queries + 2 * self.hidden * self.keys
        return self.layers * (attention + 3 * self.hidden * self.intermediate) + self.vocabulary * self.hidden

    @property
    def parameters(self) -> int:
        """All parameters; a tied head counts once."""
        vectors = 2 * self.hidden
        vectors += self.queries + 2 * self.keys if self.attention_bias else 0
        vectors += 2 * self.head_size if self.head_norms else 0
        embedding = 0 if self.tied else self.vocabulary * self.hidden
        return self.multiplied + embedding + self.layers * vectors + self.hidden


LAYER_MATRICES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
"""The seven matrices of a layer, by the names that transformers gives them."""


def lora_parameters(shape: Shape, *, rank: int, target_modules: tuple[str, ...]) -> int:
    """The parameters of LoRA adapters: for a matrix of m by n, ``rank * (m + n)`` (Hu et al. 2021, arXiv 2106.09685, section 4.1).

    Raises KeyError on a module that is none of `LAYER_MATRICES`.
    """
    other_side = (shape.queries, shape.keys, shape.keys, shape.queries, shape.intermediate, shape.intermediate, shape.intermediate)
    sizes = {name: shape.hidden + width for name, width in zip(LAYER_MATRICES, other_side, strict=True)}
    return shape.layers * rank * sum(sizes[name] for name in target_modules)


def flops_per_token(shape: Shape, *, attended: float, adapters: int = 0, recompute: bool = False) -> float:
    """Floating-point operations of one training token, forward and backward.

    ``6 N + 12 L h a`` with N weights that are multiplied, L layers and queries of width h (Chowdhery et al. 2022, PaLM, arXiv 2204.02311, appendix
    B). `attended` is a, the mean number of positions that a token looks at: half the length of its document. With LoRA (`adapters` parameters) the
    frozen weights need no gradient of their own: 4 N instead of 6 N. `recompute` adds the second forward pass of activation checkpointing.
    """
    weights = (4 * shape.multiplied + 6 * adapters) if adapters else 6 * shape.multiplied
    attention = 12 * shape.layers * shape.queries * attended
    again = 2 * (shape.multiplied - shape.vocabulary * shape.hidden) + attention / 3 if recompute else 0
    return weights + attention + again


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes of a training process by what they hold.

    `weights` are those that compute, with their float32 masters; `gradients` the float32 sum and one micro-batch's own for each thread; `optimiser`
    the two moments of AdamW; `activations` what the backward pass needs; `logits` a chunk of the output head's and their slopes.
    """

    weights: int
    gradients: int
    optimiser: int
    activations: int
    logits: int

    @property
    def total(self) -> int:
        """All of it. On CPU a process of 87 million parameters was seen to take 13 to 34 % more (allocator, temporaries of the backward pass)."""
        return self.weights + self.gradients + self.optimiser + self.activations + self.logits


def training_memory(
    shape: Shape,
    *,
    micro_batch_tokens: int,
    dtype: Literal["float32", "bfloat16"],
    device: Literal["cpu", "cuda"] = "cuda",
    adapters: int = 0,
    threads: int = 1,
    recompute: bool = False,
) -> Memory:
    """What a step with AdamW holds, in bytes.

    A trained parameter costs 4 bytes for its master, 4 for its gradient and 8 for the moments (Rajbhandari et al. 2020, ZeRO, arXiv 1910.02054,
    section 3.1), beside the copies that compute. Each of `threads` works on a micro-batch of its own. `recompute` keeps the input of every layer and
    one layer's activations (Chen et al. 2016, arXiv 1604.06174). Activations of adapters are small and left out.
    """
    size, trained = _BYTES[dtype], adapters or shape.parameters
    masters = 4 * trained if size < 4 else 0
    layer, ends = layer_activations(shape, dtype=dtype), (4 + 2 * size) * shape.hidden
    chunk = min(micro_batch_tokens, head_tokens(shape.vocabulary, device=device))
    per_token = shape.layers * size * shape.hidden + layer if recompute else shape.layers * layer
    return Memory(
        weights=size * (shape.parameters + adapters) + masters,
        gradients=(4 + size * threads) * trained,
        optimiser=8 * trained,
        activations=(per_token + ends) * micro_batch_tokens * threads,
        logits=_LOGIT_BYTES[dtype][micro_batch_tokens > chunk] * chunk * shape.vocabulary * threads,
    )


def layer_activations(shape: Shape, *, dtype: Literal["float32", "bfloat16"]) -> int:
    """Bytes that one layer keeps a token for its backward pass, with attention that keeps no scores (Dao et al. 2022, arXiv 2205.14135).

    Counted tensor by tensor: two norms (input in float32, normalised, scaled, one float32 factor); queries, keys, values, the attention's result
    twice and a normaliser a head; four tensors of the MLP's width (gate, activated gate, up, product).
    """
    size = _BYTES[dtype]
    norms = 2 * ((4 + 2 * size) * shape.hidden + 4)
    attention = size * (3 * shape.queries + 2 * shape.keys) + 4 * shape.heads
    return norms + attention + 4 * size * shape.intermediate


@dataclass(frozen=True, slots=True)
class Cost:
    """What a training node takes. `tokens` is None where it depends on data that are not there yet; `flops` are for one token."""

    parameters: int
    trained_parameters: int
    tokens: int | None
    flops_per_token: float
    memory: Memory

    @property
    def flops(self) -> float | None:
        """Floating-point operations of the whole node."""
        return None if self.tokens is None else self.flops_per_token * self.tokens


def training_cost(settings: TrainingSettings, shape: Shape, *, machine: Machine, data_tokens: int | None = None) -> Cost:
    """The cost of a training node on a machine. `data_tokens` is the size of one epoch, where it is known.

    Documents are taken to be as long as a row, which sets the upper bound of attention.
    """
    adapters = 0
    if isinstance(settings, FinetuneSettings) and settings.method == "lora":
        adapters = lora_parameters(shape, rank=settings.lora.rank, target_modules=settings.lora.target_modules or LAYER_MATRICES)
    tokens = None
    if settings.steps is not None and getattr(settings, "batch_samples", None) is None:
        tokens = settings.steps * settings.batch_tokens
    elif settings.epochs is not None and data_tokens is not None:
        tokens = round(settings.epochs * data_tokens)
    cuda = machine.device == "cuda"
    recompute = cuda and shape.parameters > RECOMPUTED
    micro = max(settings.context_length, machine.micro_batch_tokens if cuda else CPU_TOKENS)
    threads = 1 if cuda else machine.thread_count
    return Cost(
        parameters=shape.parameters,
        trained_parameters=adapters or shape.parameters,
        tokens=tokens,
        flops_per_token=flops_per_token(shape, attended=settings.context_length / 2, adapters=adapters, recompute=recompute),
        memory=training_memory(
            shape,
            micro_batch_tokens=micro,
            dtype=settings.dtype,
            device="cuda" if cuda else "cpu",
            adapters=adapters,
            threads=threads,
            recompute=recompute,
        ),
    )
