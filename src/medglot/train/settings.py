"""What a person writes about tokens and training. Imports neither torch nor transformers, so that planning stays fast."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from medglot.core.config import HubSource, PathSource, Settings, Strict
from medglot.core.errors import RecipeError

Base = Annotated[HubSource | PathSource | None, Field(description="a model or tokenizer from outside the recipe")]
Weight = Annotated[float, Field(gt=0)]


class TokensSettings(Settings):
    """Documents as token ids. With `vocabulary_size` a byte-level BPE is trained; else the tokenizer of an input or of `base` is used.

    Documents are chosen by a hash of (seed, id): in each language those with the smallest hash are held out, and those next in order are kept until
    `limit_bytes` is reached. The choice depends on nothing but the ids, so it survives a change of shards or workers.
    """

    base: Base = None
    vocabulary_size: int | None = Field(None, ge=300, description="entries of the BPE to train, special tokens and the 256 bytes included")
    vocabulary_bytes: int = Field(20_000_000, ge=1, description="text that the BPE is trained on, at most, bytes a language")
    heldout_share: float = Field(0.01, ge=0, lt=0.5, description="share of each language's documents that is held out")
    heldout_minimum: int = Field(50, ge=0, description="documents held out of each language at least (never more than a half of it)")
    limit_bytes: int | None = Field(None, ge=1, description="text that is turned into training tokens, at most, bytes a language")


class Architecture(Strict):
    """The shape of a model trained from scratch. The defaults make about 7 million parameters at a vocabulary of 8,192."""

    kind: Literal["llama", "mistral", "qwen2", "qwen3"] = "llama"
    hidden_size: int = Field(256, ge=8)
    layers: int = Field(6, ge=1)
    heads: int = Field(8, ge=1)
    kv_heads: int = Field(4, ge=1)
    intermediate_size: int = Field(768, ge=8)
    tie_embeddings: bool = True
    context_length: int = Field(2048, ge=8, description="longest text that the model is said to handle")
    rope_theta: float = Field(10_000.0, gt=0)

    @model_validator(mode="after")
    def _fits(self) -> Architecture:
        if self.hidden_size % self.heads or self.heads % self.kv_heads:
            raise ValueError(f"hidden_size {self.hidden_size} must be a multiple of heads {self.heads}, and heads one of kv_heads {self.kv_heads}")
        return self


class TrainingSettings(Settings):
    """What every kind of training shares. `steps` or `epochs` says how long: exactly one of them."""

    base: Base = None
    context_length: int = Field(512, ge=8, description="tokens a row; documents are packed into rows and never see one another")
    batch_tokens: int = Field(16_384, ge=1, description="tokens an optimiser step, over all machines")
    steps: int | None = Field(None, ge=1)
    epochs: float | None = Field(None, gt=0)
    learning_rate: float = Field(1e-3, gt=0)
    final_learning_rate: float = Field(0.1, ge=0, le=1, description="where the schedule ends, as a share of `learning_rate`")
    schedule: Literal["cosine", "constant", "wsd"] = Field("cosine", description="wsd: constant, then a linear fall over the last fifth")
    warmup: float = Field(0.02, ge=0, lt=1, description="share of the steps over which the learning rate rises")
    weight_decay: float = Field(0.1, ge=0, description="of matrices; vectors (norms, biases) never decay")
    betas: tuple[float, float] = (0.9, 0.95)
    clip: float = Field(1.0, gt=0, description="largest norm of the gradient")
    dtype: Literal["float32", "bfloat16"] = Field("bfloat16", description="of the computation; master weights and optimiser are float32")
    checkpoint_steps: int = Field(100, ge=1)

    def check(self) -> None:
        """Raises RecipeError unless exactly one of steps and epochs is given and a row fits into a batch."""
        if (self.steps is None) == (self.epochs is None):
            raise RecipeError("give `steps` or `epochs`: exactly one of the two says how long to train")
        if self.batch_tokens < self.context_length:
            raise RecipeError(f"batch_tokens {self.batch_tokens} is less than context_length {self.context_length}: not one row fits into a batch")


class PretrainSettings(TrainingSettings):
    """Pre-training: from scratch with `architecture`, or continued from `base` or a model input.

    `mixture` weighs the tokens inputs by the name of their node, `languages` the languages; what is not named keeps its share by tokens among the
    unnamed. `language_temperature` t makes the share of a language within a node proportional to tokens^(1/t) (1: as it is; larger: more even).
    """

    architecture: Architecture | None = None
    mixture: dict[str, Weight] = {}
    languages: dict[str, Weight] = {}
    language_temperature: float = Field(1.0, ge=1)
    heldout_tokens: int = Field(50_000, ge=0, description="held-out tokens measured, at most, of each input and language")
    evaluate_steps: int | None = Field(None, ge=1, description="also measure the held-out loss every so many steps")

    def check(self) -> None:
        """Also refuses a base together with an architecture."""
        super().check()
        if self.base is not None and self.architecture is not None:
            raise RecipeError("`base` and `architecture` exclude one another: a base brings its own architecture; remove one")
