"""Stage `finetune`: a model learns the assistant's answers of conversations, with all its weights or with LoRA adapters.

What is learned is shown before it is: the first sample, taken apart by its own mask, goes to standard error and to `first_sample.txt`.
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

from peft import PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from medglot.core.artifact import MODEL, model_folder
from medglot.core.config import HubSource
from medglot.core.errors import RecipeError
from medglot.core.files import atomic_text
from medglot.core.stage import StageContext, StageResult
from medglot.models.chat import stop_ids
from medglot.models.weights import load_causal_lm, load_tokenizer, local_folder, save_causal_lm
from medglot.train.compute import Compute, computing
from medglot.train.loop import train
from medglot.train.lora import add_adapters, merged, save_adapters, use_masters
from medglot.train.samples import SampleBatches, TokenSample, read_samples
from medglot.train.settings import FinetuneSettings

ADAPTER = "adapter"
FIRST_SAMPLE = "first_sample.txt"


def build(settings: FinetuneSettings, context: StageContext) -> StageResult:
    """Runs the stage. The balance counts conversations; those that do not fit into `context_length` are dropped, never cut."""
    folder = _base_folder(settings, context)
    tokenizer = load_tokenizer(folder)
    samples = read_samples(context.all("conversations"), tokenizer, limit=settings.context_length)
    batches = SampleBatches(samples.kept, settings)
    _show(batches.samples(0)[0], tokenizer, context.out / FIRST_SAMPLE)
    model = load_causal_lm(folder, dtype=settings.dtype if settings.method == "lora" else "float32")
    _check_length(model, settings)
    adapted = add_adapters(model, settings.lora, seed=settings.seed) if settings.method == "lora" else None
    trained_parameters = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    with computing(model, dtype=settings.dtype, machine=context.machine) as compute:
        trained = train(compute, batches, settings, out=context.out, title="finetune")
        model.to("cpu")
        if adapted is not None:  # still on one thread: a product's last bits may depend on how it is shared out
            model = _merge(adapted, compute, settings, context.out)
    model.generation_config.eos_token_id = stop_ids(tokenizer)  # the end that was learned ends writing
    save_causal_lm(model, tokenizer, context.out / MODEL)
    summary = {
        "method": settings.method,
        "parameters": model.num_parameters(),
        "trained_parameters": trained_parameters,
        "steps": batches.steps,
        "epochs": round(batches.epochs, 4),
        "tokens": trained.log[-1]["tokens"],
        "learned_tokens": batches.learned,
        **samples.summary(),
        "loss": {"first": trained.log[0]["loss"], "last": trained.log[-1]["loss"]},
    }
    return StageResult(summary, samples.balance, trained.measured)


def _base_folder(settings: FinetuneSettings, context: StageContext) -> Path:
    node = context.optional("model")
    if (node is None) == (settings.base is None):
        raise RecipeError("a finetune node trains either its input `model` or its `base`: give exactly one of them")
    return model_folder(node.path) if node is not None else local_folder(settings.base)  # type: ignore[arg-type]


def _check_length(model: PreTrainedModel, settings: FinetuneSettings) -> None:
    longest = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    if longest is not None and settings.context_length > longest:
        raise RecipeError(f"context_length {settings.context_length} is more than the model's {longest} positions; lower it")


def _merge(adapted: PeftModel, compute: Compute, settings: FinetuneSettings, out: Path) -> PreTrainedModel:
    use_masters(adapted, compute.masters)
    save_adapters(adapted, out / ADAPTER, base=settings.base.hub if isinstance(settings.base, HubSource) else None)
    return merged(adapted)


def _show(sample: TokenSample, tokenizer: PreTrainedTokenizerBase, file: Path) -> None:
    """Writes the sample's stretches, learned and not learned, as the mask has them."""
    lines = [f"first sample: {sample.id}, {len(sample.ids)} tokens, {sample.learned} of them learned"]
    for learned, stretch in itertools.groupby(zip(sample.ids.tolist(), sample.supervised.tolist(), strict=True), key=lambda pair: pair[1]):
        ids = [token for token, _ in stretch]
        lines += [f"--- {'learned' if learned else 'not learned'}, {len(ids)} tokens:", tokenizer.decode(ids, skip_special_tokens=False)]
    text = "\n".join(lines) + "\n"
    with atomic_text(file) as handle:
        handle.write(text)
    sys.stderr.write(text)
