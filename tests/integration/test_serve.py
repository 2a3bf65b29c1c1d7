"""The server as a process, with a real (tiny, random) model: what only a socket and signals can show."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from medglot.models.chat import BEGIN, CHAT_TEMPLATE, END, PAD, SPECIAL_TOKENS
from medglot.models.weights import save_causal_lm

HELLO = [{"role": "user", "content": "Quelle dose ?"}]


def write_model(folder: Path) -> Path:
    """A random model of 25 thousand parameters, one token a byte."""
    core = Tokenizer(models.BPE({token: number for number, token in enumerate([*SPECIAL_TOKENS, *sorted(pre_tokenizers.ByteLevel.alphabet())])}, []))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.add_special_tokens(list(SPECIAL_TOKENS))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, bos_token=BEGIN, eos_token=END, pad_token=PAD, chat_template=CHAT_TEMPLATE)
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2, "max_position_embeddings": 512}
    save_causal_lm(
        LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), bos_token_id=0, eos_token_id=1, pad_token_id=2, **sizes)), tokenizer, folder
    )
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / "tiny")


def start(folder: Path, *words: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "medglot.cli", "serve", str(folder), "--port", "0", *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)


@pytest.fixture(scope="module")
def server(folder) -> Iterator[tuple[subprocess.Popen, str]]:
    """A running server and its address."""
    process = start(folder)
    address = next((found[0] for line in process.stderr if (found := re.search(r"http://[\d.]+:\d+", line))), None)
    assert address, "the server ended before it served"
    yield process, address
    if process.poll() is None:
        process.kill()
    process.wait()


def events(lines: Iterator[str]) -> Iterator[dict]:
    for line in lines:
        if line.startswith("data: {"):
            yield json.loads(line.removeprefix("data: "))


def test_a_reply_streams_and_equal_seeds_give_equal_replies(server):
    body = {"model": "tiny", "messages": HELLO, "max_tokens": 12, "temperature": 1.0, "seed": 7}
    with httpx.Client(base_url=server[1], timeout=60) as client:
        with client.stream("POST", "/v1/chat/completions", json={**body, "stream": True}) as response:
            assert response.headers["content-type"].startswith("text/event-stream")
            lines = list(response.iter_lines())
        whole = client.post("/v1/chat/completions", json=body).json()
    pieces = [event["choices"][0]["delta"].get("content", "") for event in events(iter(lines))]
    assert [line for line in lines if line][-1] == "data: [DONE]"
    assert "".join(pieces) == whole["choices"][0]["message"]["content"] != ""
    assert len([piece for piece in pieces if piece]) > 1


def test_a_prompt_beyond_the_context_and_ten_megabytes_are_refused_and_the_server_lives(server):
    with httpx.Client(base_url=server[1], timeout=60) as client:
        long = {"model": "tiny", "messages": [{"role": "user", "content": "x" * 1000}]}
        assert client.post("/v1/chat/completions", json=long).json()["error"]["code"] == "context_length_exceeded"
        assert client.post("/v1/chat/completions", content=b"x" * 10_000_000).status_code == 413
        assert client.get("/health").json() == {"status": "ok", "model": "tiny", "open": 0}


def test_a_client_that_hangs_up_frees_the_model(server):
    body = {"model": "tiny", "messages": HELLO, "max_tokens": 400, "temperature": 2.0, "seed": 1, "stream": True}
    with httpx.Client(base_url=server[1], timeout=60) as client:
        with client.stream("POST", "/v1/chat/completions", json=body) as response:
            next(events(response.iter_lines()))
        until = time.monotonic() + 10
        while client.get("/health").json()["open"] and time.monotonic() < until:
            time.sleep(0.01)
        assert client.get("/health").json()["open"] == 0


def test_interrupting_ends_it_cleanly(server):
    process, _ = server
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 0
    assert said.strip().endswith("ended")
    assert "Traceback" not in said
    assert "dose" not in said


def test_a_folder_without_a_model_ends_with_a_message_and_exit_code_2(tmp_path):
    process = start(tmp_path)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 2
    assert said.startswith(f"medglot: {tmp_path}: holds no model")
    assert "Traceback" not in said
