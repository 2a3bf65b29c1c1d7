"""Which folder to serve, found and checked before anything heavy is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from medglot.core.artifact import BUILDING, model_folder, read_artifact
from medglot.core.errors import RecipeError


@dataclass(frozen=True, slots=True)
class ServedModel:
    """`name` is what clients call the model, `folder` a folder in the Hugging Face layout, `created` its time as Unix seconds."""

    name: str
    folder: Path
    created: int


def find_model(path: Path) -> ServedModel:
    """The model of a node such as ``runs/demo/export`` (called ``demo/export``) or of a Hugging Face folder (called by its name).

    Raises RecipeError that says why the folder cannot be served.
    """
    if not path.is_dir():
        raise RecipeError(f"{path}: no such folder; name a node such as runs/demo/export, or a folder with config.json and *.safetensors")
    artifact = read_artifact(path)
    place = path.resolve()
    if artifact is None:
        if (path / BUILDING).exists():
            raise RecipeError(f"{path}: this node is not finished; finish it with medglot run")
        return _checked(path, place.name)
    if artifact.manifest.makes != "model":
        raise RecipeError(f"{path}: this node holds {artifact.manifest.makes}, not a model; name a pretrain, finetune or export node")
    return _checked(model_folder(path), f"{place.parent.name}/{place.name}")


def _checked(folder: Path, name: str) -> ServedModel:
    config = folder / "config.json"
    if not config.is_file():
        raise RecipeError(f"{folder}: holds no model (there is no config.json); name a node or a folder in the Hugging Face layout")
    if not any(folder.glob("*.safetensors")):
        raise RecipeError(f"{folder}: holds no *.safetensors; other formats are not read, so convert the weights first")
    return ServedModel(name, folder, int(config.stat().st_mtime))
