import socket
from pathlib import Path

import pytest

from medglot.core.artifact import Manifest, write_manifest
from medglot.core.errors import RecipeError
from medglot.serve.guard import Token
from medglot.serve.model import find_model
from medglot.serve.server import serve


def model_folder(path: Path) -> Path:
    path.mkdir(parents=True)
    (path / "config.json").write_text("{}")
    (path / "model.safetensors").write_bytes(b"")
    return path


def node(path: Path, makes: str) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    write_manifest(path, Manifest("export", makes, 1, "f", {}, {}, {}, {}, None, {}))
    return path


def test_a_node_is_called_by_recipe_and_name_and_a_folder_by_its_own(tmp_path):
    model_folder(tmp_path / "runs" / "demo" / "export" / "model")
    found = find_model(node(tmp_path / "runs" / "demo" / "export", "model"))
    assert (found.name, found.folder.name) == ("demo/export", "model")
    assert find_model(model_folder(tmp_path / "llama")).name == "llama"


def test_a_folder_that_holds_no_model_is_refused_with_the_reason(tmp_path):
    with pytest.raises(RecipeError, match="no such folder"):
        find_model(tmp_path / "absent")
    with pytest.raises(RecipeError, match=r"no config\.json"):
        find_model(tmp_path)
    with pytest.raises(RecipeError, match="holds documents, not a model"):
        find_model(node(tmp_path / "clean", "documents"))
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(RecipeError, match="safetensors"):
        find_model(tmp_path)


def test_an_unfinished_node_is_refused_with_the_remedy(tmp_path):
    (tmp_path / ".building.json").write_text("{}")
    with pytest.raises(RecipeError, match="not finished; finish it with medglot run"):
        find_model(tmp_path)


@pytest.mark.parametrize("host", ["0.0.0.0", "", "::", "example.org"])
def test_other_machines_are_served_only_with_a_token(tmp_path, host):
    with pytest.raises(RecipeError, match="--token-file"):
        serve(str(model_folder(tmp_path / "m")), host=host, port=0)


def test_a_taken_port_is_named_before_the_model_is_loaded(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(RecipeError, match=rf"port {port}: .*--port"):
            serve(str(model_folder(tmp_path / "m")), port=port)


def test_a_port_that_is_none_is_refused(tmp_path):
    with pytest.raises(RecipeError, match="99999"):
        serve(str(model_folder(tmp_path / "m")), port=99999)


def test_a_token_is_kept_as_a_digest_only(tmp_path):
    file = tmp_path / "token"
    file.write_text("  correct-horse-battery\n")
    token = Token.read(file)
    assert token.admits(b"Bearer correct-horse-battery")
    assert not token.admits(b"Bearer correct-horse-batter")
    assert not token.admits(b"")
    assert "correct" not in repr(vars(token))


@pytest.mark.parametrize("content", [b"", b"short", b"two words of some length", "п".encode() * 30, b"\xff" * 30])
def test_a_token_that_is_weak_or_unusable_is_refused(tmp_path, content):
    file = tmp_path / "token"
    file.write_bytes(content)
    with pytest.raises(RecipeError, match="token"):
        Token.read(file)
    with pytest.raises(RecipeError, match="cannot be read"):
        Token.read(tmp_path / "absent")


def test_a_waiting_line_of_less_than_none_is_refused(tmp_path):
    with pytest.raises(RecipeError, match="--waiting -1"):
        serve(str(model_folder(tmp_path / "m")), port=0, waiting=-1)
