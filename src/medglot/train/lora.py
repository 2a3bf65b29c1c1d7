"""Low-rank adapters on a model: put in, written in peft's layout, and merged into the weights.

Adapters stand inside the plain transformers model, so that the training loop trains what has `requires_grad` and knows nothing of them.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import PreTrainedModel

from medglot.core.errors import RecipeError
from medglot.core.files import atomic_path, write_json
from medglot.train.settings import LoraSettings


def add_adapters(model: PreTrainedModel, settings: LoraSettings, *, seed: int) -> PeftModel:
    """Freezes `model` and puts adapters into it; their start is a function of `seed` and changes nothing that the model says.

    Raises RecipeError when a target module is no linear layer of the model.
    """
    linear = _linear_layers(model)
    targets = settings.target_modules or tuple(linear)
    if not targets or (unknown := sorted(set(targets) - set(linear))):
        named = ", ".join(unknown) if targets else "none"
        raise RecipeError(f"lora.target_modules: {named} are no linear layers of this {type(model).__name__}; it has {', '.join(linear) or 'none'}")
    config = LoraConfig(r=settings.rank, lora_alpha=settings.alpha, target_modules=sorted(targets), bias="none", task_type="CAUSAL_LM")
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)  # peft asks transformers by an old name
        torch.manual_seed(seed)
        return get_peft_model(model, config)


def _linear_layers(model: PreTrainedModel) -> list[str]:
    """The last names of the linear layers, without the output head."""
    head = model.get_output_embeddings()
    return sorted({name.rpartition(".")[2] for name, module in model.named_modules() if isinstance(module, nn.Linear) and module is not head})


@torch.no_grad()
def use_masters(adapted: PeftModel, masters: Mapping[str, Tensor]) -> None:
    """Puts the float32 values that were trained in the place of the copies that computed."""
    parameters = dict(adapted.get_base_model().named_parameters())
    for name, master in masters.items():
        parameters[name].data = master.detach().to("cpu", copy=True)


def save_adapters(adapted: PeftModel, folder: Path, *, base: str | None) -> None:
    """Writes ``adapter_model.safetensors`` and ``adapter_config.json``; `base` names the model on the Hub that they belong to."""
    folder.mkdir(exist_ok=True)
    with atomic_path(folder / "adapter_model.safetensors") as path:
        state = {name: tensor.detach().contiguous() for name, tensor in get_peft_model_state_dict(adapted).items()}
        save_file(state, path, metadata={"format": "pt"})
    config: dict[str, Any] = adapted.peft_config["default"].to_dict() | {"base_model_name_or_path": base, "inference_mode": True}
    plain = {key: sorted(value) if isinstance(value, set) else value for key, value in sorted(config.items())}  # a set has no order of its own
    write_json(folder / "adapter_config.json", plain)


def merged(adapted: PeftModel) -> PreTrainedModel:
    """The plain model with the adapters added to its weights; computed in float32 and rounded once to the weights' own type."""
    model: PreTrainedModel = adapted.merge_and_unload()
    return model
