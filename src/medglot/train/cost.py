"""What a training node will cost: parameters, floating-point operations and memory, from sizes alone.

Everything here is arithmetic on whole numbers, so that a plan can show it without torch, weights or a network. Parameters and operations are exact for
the architectures in `FAMILIES`; memory is what the tensors need, without the allocator's and the kernels' own, so a real run takes somewhat more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

FAMILIES = ("llama", "mistral", "qwen2", "qwen3")
"""The `model_type`s that `Shape` describes exactly."""

_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}


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


def lora_parameters(shape: Shape, *, rank: int, target_modules: tuple[str, ...]) -> int:
    """The parameters of LoRA adapters: for a matrix of m by n, ``rank * (m + n)`` (Hu et al. 2021, arXiv 2106.09685, section 4.1).

    Raises KeyError on a module that is not one of the seven matrices of a layer.
    """
    sizes = {
        "q_proj": shape.hidden + shape.queries,
        "k_proj": shape.hidden + shape.keys,
        "v_proj": shape.hidden + shape.keys,
        "o_proj": shape.queries + shape.hidden,
        "gate_proj": shape.hidden + shape.intermediate,
        "up_proj": shape.hidden + shape.intermediate,
        "down_proj": shape.intermediate + shape.hidden,
    }
    return shape.layers * rank * sum(sizes[name] for name in target_modules)


def flops_per_token(shape: Shape, *, attended: float, adapters: int = 0) -> float:
    """Floating-point operations of one training token, forward and backward.

    ``6 N + 12 L h d a`` (Chowdhery et al. 2022, PaLM, arXiv 2204.02311, appendix B), where `attended` is a, the mean number of positions that a token
    attends to: half the length of its document, since attention looks back only. With LoRA the frozen weights need no gradient of their own, so that
    they cost 4 N instead of 6 N, and the `adapters` are added at full cost.
    """
    weights = 4 * shape.multiplied + 6 * adapters if adapters else 6 * shape.multiplied
    return weights + 12 * shape.layers * shape.queries * attended


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes of one training process by what they hold."""

    weights: int
    gradients: int
    optimiser: int
    activations: int
    logits: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.gradients + self.optimiser + self.activations + self.logits


def training_memory(shape: Shape, *, micro_batch_tokens: int, dtype: Literal["float32", "bfloat16", "float16"], adapters: int = 0) -> Memory:
    """The memory of a training step with AdamW at its highest, between forward and backward."""
    raise NotImplementedError
