import asyncio
import json
import logging

import pytest
from fastapi.testclient import TestClient

from medglot.serve.guard import BODY_LIMIT, Token

ADDRESS = "http://127.0.0.1"
CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
HELLO = [{"role": "user", "content": "one two three four"}]


def chat(**more) -> dict:
    return {"model": "demo", "messages": HELLO, **more}


def events(response) -> list:
    """The JSON of a stream's events; the end mark stands as a string."""
    parts = response.text.strip().split("\n\n")
    assert all(part.startswith("data: ") for part in parts)
    return [part[6:] if part == "data: [DONE]" else json.loads(part[6:]) for part in parts]


def test_the_model_is_listed(client):
    entry = {"id": "demo", "object": "model", "created": 1_700_000_000, "owned_by": "medglot"}
    assert client.get("/v1/models").json() == {"object": "list", "data": [entry]}
    assert client.get("/v1/models/demo").json() == entry
    assert client.get("/health").json() == {"status": "ok", "model": "demo", "open": 0}


def test_a_reply_in_one_piece(client):
    reply = client.post(CHAT, json=chat()).json()
    assert reply["object"] == "chat.completion"
    assert reply["choices"][0]["message"] == {"role": "assistant", "content": "one two three four", "refusal": None}
    assert reply["choices"][0]["finish_reason"] == "stop"
    assert reply["usage"] == {"prompt_tokens": 4, "completion_tokens": 4, "total_tokens": 8}


def test_a_stream_says_the_same_as_one_piece(client):
    *chunks, last, usage, done = events(client.post(CHAT, json=chat(stream=True, stream_options={"include_usage": True})))
    assert done == "[DONE]"
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert "".join(chunk["choices"][0]["delta"]["content"] for chunk in chunks) == "one two three four"
    assert (last["choices"][0]["delta"], last["choices"][0]["finish_reason"]) == ({}, "stop")
    assert (usage["choices"], usage["usage"]["total_tokens"]) == ([], 8)
    assert len({chunk["id"] for chunk in [*chunks, last, usage]}) == 1
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}


def test_a_stream_carries_usage_only_on_request(client):
    assert all("usage" not in chunk for chunk in events(client.post(CHAT, json=chat(stream=True)))[:-1])


def test_a_completion_in_one_piece_and_as_a_stream(client):
    reply = client.post(COMPLETIONS, json={"model": "demo", "prompt": "one two"}).json()
    assert (reply["object"], reply["choices"][0]["text"]) == ("text_completion", "one two")
    *chunks, done = events(client.post(COMPLETIONS, json={"model": "demo", "prompt": ["one two"], "stream": True}))
    assert done == "[DONE]"
    assert "".join(chunk["choices"][0]["text"] for chunk in chunks) == "one two"


def test_an_empty_reply_is_a_reply(client):
    silent = [{"role": "user", "content": ""}]
    assert client.post(CHAT, json=chat(messages=silent)).json()["choices"][0]["message"]["content"] == ""
    assert events(client.post(CHAT, json=chat(messages=silent, stream=True)))[-1] == "[DONE]"


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_the_length_limit_is_kept_and_named_as_the_reason(client, name):
    reply = client.post(CHAT, json=chat(**{name: 2})).json()
    assert (reply["choices"][0]["message"]["content"], reply["choices"][0]["finish_reason"]) == ("one two", "length")


@pytest.mark.parametrize("stop", ["three", ["never", "three"]])
def test_a_stop_text_ends_the_reply_and_is_no_part_of_it(client, stop):
    assert client.post(CHAT, json=chat(stop=stop)).json()["choices"][0]["message"]["content"] == "one two "


def test_a_message_may_come_in_parts_and_from_a_developer(client):
    parts = [{"type": "text", "text": "one "}, {"type": "text", "text": "two"}]
    messages = [{"role": "developer", "content": "Be short."}, {"role": "user", "content": parts}]
    assert client.post(CHAT, json=chat(messages=messages)).json()["choices"][0]["message"]["content"] == "one two"


WRONG = {
    "no messages": (chat(messages=[]), 400, "messages"),
    "messages of a wrong type": (chat(messages="hello"), 400, "messages"),
    "an unknown role": (chat(messages=[{"role": "wizard", "content": "x"}]), 400, "messages.0.role"),
    "no content": (chat(messages=[{"role": "user"}]), 400, "messages.0.content"),
    "an image": (chat(messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]), 400, None),
    "a lone surrogate": (chat(messages=[{"role": "user", "content": "\ud800"}]), 400, None),
    "no model": ({"messages": HELLO}, 400, "model"),
    "another model": (chat(model="gpt"), 404, "model"),
    "a temperature in words": (chat(temperature="hot"), 400, "temperature"),
    "too hot": (chat(temperature=2.5), 400, "temperature"),
    "no tokens at all": (chat(max_tokens=0), 400, "max_tokens"),
    "too many tokens": (chat(max_tokens=51), 400, "max_tokens"),
    "a truth value as a number": (chat(max_tokens=True), 400, "max_tokens"),
    "a seed beyond 64 bits": (chat(seed=2**64), 400, "seed"),
    "an empty stop text": (chat(stop=""), 400, None),
    "five stop texts": (chat(stop=list("abcde")), 400, None),
    "two replies at once": (chat(n=2), 400, "n"),
    "nucleus sampling": (chat(top_p=0.5), 400, "top_p"),
    "tools": (chat(tools=[{"type": "function"}]), 400, "tools"),
    "a list instead of an object": ([1, 2], 400, None),
    "null": (None, 400, None),
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_request_gets_an_error_that_names_the_parameter(client, what, stream):
    body, status, param = WRONG[what]
    if isinstance(body, dict) and stream:
        body = body | {"stream": True}
    response = client.post(CHAT, content=json.dumps(body), headers={"content-type": "application/json"})
    error = response.json()["error"]
    assert response.status_code == status
    assert error.keys() == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"
    assert param is None or error["param"] == param
    assert client.post(CHAT, json=chat()).status_code == 200


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b'{"model": "\xff\xfe"}', 400),
        (b"[" * 100_000, 400),
        (b'{"model": "demo", "temperature": NaN, "messages": [{"role": "user", "content": "x"}]}', 400),
        (b" " * (BODY_LIMIT + 1), 413),
        (b"x" * 10_000_000, 413),
    ],
    ids=["empty", "cut off", "not UTF-8", "nested", "NaN", "too large", "10 MB"],
)
def test_a_body_that_is_no_request_does_not_end_the_server(client, body, status):
    response = client.post(CHAT, content=body, headers={"content-type": "application/json"})
    assert response.status_code == status
    assert response.json()["error"]["message"]
    assert client.get("/health").json()["status"] == "ok"


def test_a_body_that_is_not_called_json_is_refused(client):
    response = client.post(CHAT, content=json.dumps(chat()), headers={"content-type": "text/plain"})
    assert (response.status_code, response.json()["error"]["code"]) == (415, "unsupported_media_type")


def test_unknown_pages_and_methods_get_errors_of_the_same_shape(client):
    assert client.get("/v1/nothing").status_code == 404
    assert client.get("/v1/models/other").json()["error"]["code"] == "model_not_found"
    assert client.get(CHAT).status_code == 405
    assert "error" in client.get(CHAT).json()


def test_parameters_at_their_neutral_values_are_accepted(client):
    neutral = {"n": 1, "top_p": 1.0, "presence_penalty": 0, "logprobs": False, "tools": [], "user": "x", "tool_choice": None}
    assert client.post(CHAT, json=chat(**neutral)).status_code == 200


@pytest.mark.parametrize("stream", [False, True])
def test_a_prompt_that_is_too_long_for_the_model_is_the_clients_error(app_of, short_sighted, stream):
    with TestClient(app_of(short_sighted), base_url=ADDRESS) as client:
        response = client.post(CHAT, json=chat(stream=stream))
        assert (response.status_code, response.json()["error"]["code"]) == (400, "context_length_exceeded")
        assert "5,000" in response.json()["error"]["message"]


def test_a_failing_model_gives_an_error_without_a_word_of_the_conversation(app_of, failing, caplog):
    caplog.set_level(logging.DEBUG)
    with TestClient(app_of(failing(0)), base_url=ADDRESS) as client:
        response = client.post(CHAT, json=chat())
        assert (response.status_code, response.json()["error"]["type"]) == (500, "server_error")
        assert client.get("/health").json()["open"] == 0
    assert "ValueError" in caplog.text
    assert "one two" not in caplog.text + response.text


def test_a_model_that_fails_in_the_middle_ends_the_stream_with_an_error(app_of, failing):
    with TestClient(app_of(failing(2)), base_url=ADDRESS) as client:
        *_, piece, error = events(client.post(CHAT, json=chat(stream=True)))
        assert piece["choices"][0]["delta"] == {"content": "word "}
        assert error["error"]["type"] == "server_error"


def test_the_log_says_what_was_asked_but_not_what_was_written(client, caplog):
    caplog.set_level(logging.DEBUG)
    client.post(CHAT + "?secret=one", json=chat(), headers={"authorization": "Bearer one-two"})
    client.post(CHAT, json=chat(messages="one two"))
    client.get("/one-two")
    lines = [record.getMessage() for record in caplog.records if record.name == "medglot.serve"]
    assert any(line.startswith(f"POST {CHAT} 200") for line in lines)
    assert any("read 4 tokens and wrote 4" in line for line in lines)
    assert not any("one" in line or "secret" in line for line in lines)


def test_with_a_token_only_its_holder_is_answered(app_of, echo, caplog):
    caplog.set_level(logging.DEBUG)
    secret = "correct-horse-battery"
    with TestClient(app_of(echo, token=Token(secret)), base_url="http://anywhere.example") as client:
        for wrong in ({}, {"authorization": "Bearer"}, {"authorization": f"Bearer {secret}x"}, {"authorization": f"Basic {secret}"}):
            response = client.post(CHAT, json=chat(), headers=wrong)
            assert response.status_code == 401
            assert response.json()["error"]["code"] == "invalid_api_key"
            assert response.headers["www-authenticate"] == "Bearer"
        assert client.post(CHAT, json=chat(), headers={"authorization": f"Bearer {secret}"}).status_code == 200
        assert client.get("/v1/models").status_code == 401
        assert client.get("/").status_code == 200
    assert secret not in caplog.text


def test_without_a_token_a_foreign_host_name_is_not_answered(client):
    assert client.post(CHAT, json=chat(), headers={"host": "rebound.example"}).status_code == 403
    assert client.post(CHAT, json=chat(), headers={"host": "localhost:8000"}).status_code == 200


def request(path: str, body: dict) -> tuple[dict, list[dict]]:
    """An ASGI scope and the messages that bring the body."""
    headers = [(b"host", b"127.0.0.1"), (b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b"", "headers": headers}
    return scope, [{"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}]


async def ask(app, body: dict, gone: asyncio.Event) -> int:
    """Asks until `gone`; returns the status, or 0 when there was no response."""
    scope, messages = request(CHAT, body)
    statuses = []

    async def receive():
        if messages:
            return messages.pop()
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message):
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    await app(scope, receive, send)
    return statuses[0] if statuses else 0


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_goes_stops_the_writing(app_of, endless, stream):
    async def main() -> None:
        gone = asyncio.Event()
        asking = asyncio.create_task(ask(app_of(endless), chat(stream=stream), gone))
        await asyncio.to_thread(endless.writing.wait, 5)
        gone.set()
        await asyncio.wait_for(asking, 5)
        assert await asyncio.to_thread(endless.ended.wait, 5)

    asyncio.run(main())


def test_when_the_line_is_full_others_are_sent_away_and_when_it_is_free_they_are_not(app_of, endless):
    async def main() -> None:
        app, never = app_of(endless, waiting=1), asyncio.Event()
        first, second = asyncio.Event(), asyncio.Event()
        writing = asyncio.create_task(ask(app, chat(), first))
        await asyncio.to_thread(endless.writing.wait, 5)
        waiting = asyncio.create_task(ask(app, chat(), second))
        await asyncio.sleep(0.02)
        assert await ask(app, chat(), never) == 429
        second.set()
        assert await asyncio.wait_for(waiting, 5) == 499
        first.set()
        assert await asyncio.wait_for(writing, 5) == 499

    asyncio.run(main())


def test_a_stream_that_nobody_reads_does_not_keep_others_waiting(app_of, echo):
    async def main() -> None:
        app, never = app_of(echo), asyncio.Event()
        scope, messages = request(CHAT, chat(stream=True))

        async def receive():
            return messages.pop() if messages else await never.wait()

        async def send(message):
            await never.wait()

        stuck = asyncio.create_task(app(scope, receive, send))
        await asyncio.sleep(0.02)
        assert await asyncio.wait_for(ask(app, chat(), never), 5) == 200
        stuck.cancel()

    asyncio.run(main())
