"""Models and tokenizers in folders of the Hugging Face layout: fetched once and pinned, then read and written without a network.

Only safetensors are read and no code of a model's repository is ever run.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging

from medglot.core.config import HubSource, PathSource
from medglot.core.errors import RecipeError, StageError
from medglot.core.files import write_json
from medglot.core.hub import snapshot
from medglot.models.base import Dtype

_FILES = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja"]


def local_folder(source: HubSource | PathSource) -> Path:
    """The folder that holds a model or tokenizer, downloaded at its pinned revision when it is on the Hub. Raises RecipeError."""
    if isinstance(source, PathSource):
        if not source.path.is_dir():
            raise RecipeError(f"{source.path}: no such folder; `path` must name a folder in the Hugging Face layout (config.json, *.safetensors)")
        return source.path
    return snapshot(source, kind="model", patterns=_FILES)


def load_causal_lm(folder: Path, *, dtype: Dtype = "float32", device: str = "cpu") -> PreTrainedModel:
    """The causal language model of a folder, in evaluation mode. Raises StageError that names the folder, also when weights are missing in it."""
    _no_bars()
    model: PreTrainedModel
    try:
        model, loaded = AutoModelForCausalLM.from_pretrained(
            folder, dtype=getattr(torch, dtype), local_files_only=True, trust_remote_code=False, use_safetensors=True, output_loading_info=True
        )
    except Exception as error:  # a damaged file makes safetensors, torch or transformers raise errors of any kind
        raise StageError(f"{folder}: cannot load a causal language model: {error}; restore the folder or make it again") from error
    if missing := sorted(loaded["missing_keys"]):  # transformers would leave them random
        raise StageError(f"{folder}: {len(missing)} weights are missing, such as {missing[0]}; config.json and the weights do not belong together")
    return model.to(device).eval()


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a folder. Raises StageError that names the folder."""
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # tokenizers raises plain Exception for a damaged file
        raise StageError(f"{folder}: cannot load a tokenizer: {error}; restore the folder or make it again") from error
    return tokenizer


def save_tokenizer(tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Writes a tokenizer with its chat template in `tokenizer_config.json`; the same bytes wherever it was loaded from."""
    tokenizer.save_pretrained(folder, save_jinja_files=False)
    file = folder / "tokenizer_config.json"
    config: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    origin = {"is_local", "local_files_only", "name_or_path"}
    write_json(file, {key: value for key, value in sorted(config.items()) if key not in origin})


def save_causal_lm(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Writes a complete model folder: configuration, safetensors, generation settings and tokenizer."""
    _no_bars()
    model.save_pretrained(folder)
    save_tokenizer(tokenizer, folder)


def _no_bars() -> None:
    """A local folder is read in a moment; transformers' bars over it would only break into our own progress."""
    logging.disable_progress_bar()
