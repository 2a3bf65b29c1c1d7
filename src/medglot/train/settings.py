"""What a person writes about tokens and training. Imports neither torch nor transformers, so that planning stays fast."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from medglot import languages as language_files
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
    vocabulary_bytes: int = Field(5_000_000, ge=1, description="text that the BPE is trained on, at most, bytes a language")
    heldout_share: float = Field(0.01, ge=0, lt=0.5, description="share of each language's documents that is held out")
    heldout_minimum: int = Field(50, ge=0, description="documents held out of each language at least (never more than a half of it)")
    limit_bytes: int | None = Field(None, ge=1, description="text that is turned into training tokens, at most, bytes a language")


class Architecture(Strict):
    """The shape of a model trained from scratch. The defaults make about 7 million parameters at a vocabulary of 8,192."""

    kind: Literal["llama", "mistral", "qwen2", "qwen3"] = "llama"
    hidden_size: int = Field(default=256, ge=8)
    layers: int = Field(default=6, ge=1)
    heads: int = Field(default=8, ge=1)
    kv_heads: int = Field(default=4, ge=1)
    intermediate_size: int = Field(default=768, ge=8)
    tie_embeddings: bool = True
    context_length: int = Field(default=2048, ge=8, description="longest text that the model is said to handle")
    rope_theta: float = Field(default=10_000.0, gt=0)

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
        self._check_batch()

    def _check_batch(self) -> None:
        if self.batch_tokens < self.context_length:
            raise RecipeError(f"batch_tokens {self.batch_tokens} is less than context_length {self.context_length}: not one row fits into a batch")


class PretrainSettings(TrainingSettings):
    """Pre-training: from scratch with `architecture`, or continued from `base` or a model input.

    `mixture` weighs the tokens inputs by the name of their node, and `languages` the languages within each; either names all or none of them. By
    default every token weighs the same. `language_temperature` t makes the share of a language within a node proportional to tokens^(1/t): 1 leaves
    it as it is, a larger one makes the shares more even.
    """

    architecture: Architecture | None = None
    mixture: Mapping[str, Weight] = Field(default_factory=dict)
    languages: Mapping[str, Weight] = Field(default_factory=dict)
    language_temperature: float = Field(1.0, ge=1)
    heldout_tokens: int = Field(20_000, ge=0, description="held-out tokens measured, at most, of each input and language")
    evaluate_steps: int | None = Field(None, ge=1, description="also measure the held-out loss every so many steps")

    def check(self) -> None:
        """Also refuses a base together with an architecture."""
        super().check()
        if self.base is not None and self.architecture is not None:
            raise RecipeError("`base` and `architecture` exclude one another: a base brings its own architecture; remove one")


class LoraSettings(Strict):
    """Low-rank adapters (Hu et al. 2021): to a frozen weight is added ``alpha / rank`` times a product of two thin matrices, which are trained.

    There is no dropout, here as elsewhere: training is a function of the recipe alone, on any number of threads.
    """

    rank: int = Field(default=16, ge=1)
    alpha: float = Field(default=32.0, gt=0)
    target_modules: tuple[str, ...] = Field(default=(), description="last names of the layers with an adapter; empty: all linear ones but the head")


class FinetuneSettings(TrainingSettings):
    """Fine-tuning on conversations; only the assistant's last turn is learned. Three epochs, unless `steps` or `epochs` says otherwise.

    A batch is `batch_samples` conversations, or as many as fit into `batch_tokens`. One that is longer than `context_length` is left out and counted,
    never cut. Schedule, warm-up, decay and length are those of MMedBench's authors, who took 128 samples a step and a learning rate of 1e-6.
    """

    method: Literal["full", "lora"] = "full"
    lora: LoraSettings = LoraSettings()
    context_length: int = Field(2048, ge=8, description="tokens of the longest conversation that is used")
    batch_samples: int | None = Field(None, ge=1, description="conversations an optimiser step, in place of `batch_tokens`")
    learning_rate: float = Field(2e-5, gt=0)
    final_learning_rate: float = Field(0.0, ge=0, le=1, description="where the schedule ends, as a share of `learning_rate`")
    warmup: float = Field(0.03, ge=0, lt=1, description="share of the steps over which the learning rate rises")
    weight_decay: float = Field(0.0, ge=0, description="of matrices; vectors (norms, biases) never decay")

    @model_validator(mode="before")
    @classmethod
    def _default_length(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and data.get("steps") is None and data.get("epochs") is None:
            return {**data, "epochs": 3.0}
        return data

    def check(self) -> None:
        """Also refuses settings that the others leave without effect."""
        super().check()
        if self.method == "full" and "lora" in self.model_fields_set:
            raise RecipeError('`lora` has no effect on full weights: set method = "lora", or remove the table')

    def _check_batch(self) -> None:
        if self.batch_samples is None:
            super()._check_batch()


class ExportSettings(Settings):
    """A model as people load and upload it. `name` heads its card; `license` is an identifier that the Hugging Face Hub knows, in lower case."""

    name: str = Field("", description="empty: the node of the model")
    description: str = Field("", description="a paragraph for the card, in Markdown")
    license: str = Field("unknown", pattern=r"^[a-z0-9][a-z0-9.-]*$", description="of the weights, such as apache-2.0")
    dtype: Literal["keep", "float32", "bfloat16", "float16"] = "keep"

    def depends(self) -> Mapping[str, str]:
        """The card prints names and notices from the languages' files."""
        return language_files.digests()
