import pytest
import torch

from medglot.train.checkpoint import FOLDER, Checkpoint, newest, remove, save


def make(step):
    return Checkpoint(
        step, {"weight/a": torch.full((3,), float(step)), "weight/b": torch.arange(4)}, [{"step": number + 1} for number in range(step)]
    )


def test_a_checkpoint_comes_back_as_it_was(tmp_path):
    save(tmp_path, make(3))
    found = newest(tmp_path)
    assert found.torn == []
    assert found.checkpoint.step == 3
    assert found.checkpoint.log == [{"step": 1}, {"step": 2}, {"step": 3}]
    assert torch.equal(found.checkpoint.tensors["weight/a"], torch.full((3,), 3.0))


def test_only_the_last_two_are_kept(tmp_path):
    for step in (2, 4, 6, 8):
        save(tmp_path, make(step))
    assert sorted(path.name for path in (tmp_path / FOLDER).iterdir()) == ["step-000006", "step-000008"]


def test_the_newest_is_found_beyond_a_million_steps(tmp_path):
    for step in (999_998, 999_999, 1_000_000):
        save(tmp_path, Checkpoint(step, {"weight/a": torch.zeros(1)}, []))
    assert newest(tmp_path).checkpoint.step == 1_000_000


@pytest.mark.parametrize("harm", ["no marker", "short state", "no state", "half marker", "changed state"])
def test_a_torn_checkpoint_is_passed_over_and_named(tmp_path, harm):
    save(tmp_path, make(2))
    save(tmp_path, make(4))
    folder = tmp_path / FOLDER / "step-000004"
    state, marker = folder / "state.safetensors", folder / "done.json"
    data = state.read_bytes()
    match harm:
        case "no marker":
            marker.unlink()
        case "short state":
            state.write_bytes(data[:-5])
        case "no state":
            state.unlink()
        case "half marker":
            marker.write_text(marker.read_text()[:20])
        case "changed state":
            state.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    found = newest(tmp_path)
    assert found.torn == ["step-000004"]
    assert found.checkpoint.step == 2
    save(tmp_path, make(4))
    assert newest(tmp_path).checkpoint.step == 4


def test_without_checkpoints_there_is_nothing_to_take_up(tmp_path):
    assert newest(tmp_path).checkpoint is None
    save(tmp_path, make(1))
    remove(tmp_path)
    assert newest(tmp_path).checkpoint is None
