import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from medglot.core.config import Machine
from medglot.core.errors import StageError
from medglot.train.checkpoint import FOLDER
from medglot.train.compute import computing
from medglot.train.loop import learning_rate, train
from medglot.train.rows import UNSUPERVISED, Row
from medglot.train.settings import TrainingSettings


def make_model():
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
    return LlamaForCausalLM(LlamaConfig(vocab_size=64, tie_word_embeddings=True, **sizes))


def make_settings(**changes):
    return TrainingSettings(**{"steps": 7, "context_length": 16, "batch_tokens": 64, "dtype": "float32", "checkpoint_steps": 2, **changes})


class Counting:
    """Rows that count upwards, two pieces each, from a place that depends on the step."""

    def __init__(self, steps=7, *, per_step=4, spoil=None):
        self.steps, self._per_step, self._spoil = steps, per_step, spoil

    def rows(self, step):
        if step == self._spoil:
            raise KeyboardInterrupt
        return [self._row(step * 31 + place * 7) for place in range(self._per_step)]

    def _row(self, begin):
        ids = (begin + np.arange(16)) % 64
        targets = (ids + 1) % 64
        targets[[5, 15]] = UNSUPERVISED
        return Row(ids, targets, (6, 10))


def run(out, *, batches=None, threads=1, settings=None, model=None):
    out.mkdir(exist_ok=True)
    settings = settings or make_settings()
    with computing(model or make_model(), dtype=settings.dtype, machine=Machine(threads=threads, device="cpu")) as compute:
        trained = train(compute, batches or Counting(), settings, out=out, title="test")
        return trained, {name: master.detach().clone() for name, master in compute.masters.items()}


def same(first, second):
    return all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_threads_and_rows_in_flight_do_not_change_one_bit(tmp_path, monkeypatch, dtype):
    monkeypatch.setattr("medglot.train.compute.CPU_TOKENS", 32)
    batches = Counting(per_step=13)
    one, weights = run(tmp_path / "one", batches=batches, threads=1, settings=make_settings(dtype=dtype))
    three, others = run(tmp_path / "three", batches=batches, threads=3, settings=make_settings(dtype=dtype))
    assert one.log == three.log
    assert same(weights, others)
    assert (tmp_path / "one/log.jsonl").read_bytes() == (tmp_path / "three/log.jsonl").read_bytes()


def test_the_loss_does_not_depend_on_how_a_batch_is_cut(tmp_path, monkeypatch):
    whole, _ = run(tmp_path / "whole")
    monkeypatch.setattr("medglot.train.compute.CPU_TOKENS", 16)
    cut, _ = run(tmp_path / "cut")
    for first, second in zip(whole.log, cut.log, strict=True):
        assert first["loss"] == pytest.approx(second["loss"], abs=1e-5)
        assert first["gradient_norm"] == pytest.approx(second["gradient_norm"], rel=1e-4)


def test_the_model_learns(tmp_path):
    trained, _ = run(tmp_path / "run", batches=Counting(60), settings=make_settings(steps=60, learning_rate=1e-2, checkpoint_steps=100))
    assert trained.log[0]["loss"] == pytest.approx(np.log(64), abs=0.2)
    assert trained.log[-1]["loss"] < 1.0
    assert trained.log[-1]["tokens"] == 60 * 64


@pytest.mark.parametrize("stop", [1, 2, 5, 6])
def test_a_run_that_was_interrupted_goes_on_to_the_same_bytes(tmp_path, stop):
    _, weights = run(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", batches=Counting(spoil=stop))
    resumed, others = run(tmp_path / "cut")
    assert resumed.measured.get("resumed_at_step", 0) == stop // 2 * 2
    assert same(weights, others)
    assert (tmp_path / "whole/log.jsonl").read_bytes() == (tmp_path / "cut/log.jsonl").read_bytes()


def test_a_torn_checkpoint_costs_its_steps_and_nothing_else(tmp_path, caplog):
    _, weights = run(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", batches=Counting(spoil=5))
    state = tmp_path / "cut" / FOLDER / "step-000004" / "state.safetensors"
    state.write_bytes(state.read_bytes()[:1000])
    resumed, others = run(tmp_path / "cut")
    assert resumed.measured["torn_checkpoints"] == ["step-000004"]
    assert resumed.measured["resumed_at_step"] == 2
    assert "step-000004" in caplog.text
    assert same(weights, others)


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_loop import Counting, run

class Deadly(Counting):
    def rows(self, step):
        if step == 5:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().rows(step)

run(Path(sys.argv[1]), batches=Deadly())
"""


def test_a_killed_process_leaves_what_the_next_one_needs(tmp_path):
    _, weights = run(tmp_path / "whole")
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "cut"), str(Path(__file__).parent)], capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    resumed, others = run(tmp_path / "cut")
    assert resumed.measured["resumed_at_step"] == 4
    assert same(weights, others)
    assert (tmp_path / "whole/log.jsonl").read_bytes() == (tmp_path / "cut/log.jsonl").read_bytes()


def test_a_loss_that_is_no_number_stops_at_its_step_and_keeps_the_last_checkpoint(tmp_path):
    model = make_model()

    class Poisoned(Counting):
        def rows(self, step):
            if step == 4:
                with torch.no_grad():
                    model.model.norm.weight[0] = float("nan")
            return super().rows(step)

    with pytest.raises(StageError, match=r"step 5: the loss is nan.*step 4 are kept"):
        run(tmp_path / "run", batches=Poisoned(), model=model)
    _, others = run(tmp_path / "run")
    _, weights = run(tmp_path / "whole")
    assert same(weights, others)


def test_a_row_from_which_nothing_is_learned_is_shown(tmp_path):
    class Mute(Counting):
        def rows(self, step):
            rows = super().rows(step)
            return rows if step != 1 else [*rows[:2], Row(rows[2].ids, np.full(16, UNSUPERVISED), (16,)), rows[3]]

    with pytest.raises(StageError, match=r"step 2, row 2: nothing in it is learned; its 16 token ids begin \[45, 46"):
        run(tmp_path / "run", batches=Mute())


def test_frozen_parameters_stay_as_they_are(tmp_path):
    model = make_model()
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("mlp" in name)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    run(tmp_path / "run", model=model)
    changed = {name for name, parameter in model.named_parameters() if not torch.equal(parameter, before[name])}
    assert changed == {name for name in before if "mlp" in name}


def test_bfloat16_computes_in_bfloat16_and_keeps_rotary_frequencies_exact(tmp_path):
    model = make_model()
    frequencies = model.model.rotary_emb.inv_freq.clone()
    _, masters = run(tmp_path / "run", model=model, settings=make_settings(dtype="bfloat16"))
    assert model.dtype == torch.bfloat16
    assert torch.equal(model.model.rotary_emb.inv_freq, frequencies)
    assert all(master.dtype == torch.float32 for master in masters.values())
    assert torch.equal(masters["model.norm.weight"].bfloat16(), model.model.norm.weight)


def test_torchs_settings_are_put_back(tmp_path):
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        run(tmp_path / "run")
        assert torch.get_num_threads() == 2
        assert not torch.are_deterministic_algorithms_enabled()
    finally:
        torch.set_num_threads(threads)


def test_schedules_rise_stay_and_fall():
    def curve(**changes):
        settings = make_settings(steps=100, learning_rate=1.0, final_learning_rate=0.1, warmup=0.1, **changes)
        return [learning_rate(step, steps=100, settings=settings) for step in range(100)]

    for schedule in ("cosine", "constant", "wsd"):
        rates = curve(schedule=schedule)
        assert rates[:10] == pytest.approx([(step + 1) / 10 for step in range(10)])
        assert rates[-1] == pytest.approx(1.0 if schedule == "constant" else 0.1)
        assert rates[10:] == sorted(rates[10:], reverse=True)
    assert curve(schedule="wsd")[80] == 1.0
    assert curve(schedule="cosine")[54] == pytest.approx(0.55, abs=0.02)


def test_the_log_holds_no_time(tmp_path):
    run(tmp_path / "run")
    rows = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(1, 8))
    assert set(rows[0]) == {"step", "loss", "learning_rate", "gradient_norm", "tokens"}
    assert os.fspath(tmp_path) not in (tmp_path / "run/log.jsonl").read_text()
