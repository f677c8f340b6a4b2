"""llama-server's /v1/messages as a provider of `kind: anthropic`: Anthropic's dialect as others wrote
it. Clients speak OpenAI's. The server's bias keeps it from ending, so every answer has its length."""

from decimal import Decimal

import pytest
from openai import OpenAI

from real import tiny_model
from real.llama import SECRET, Llama, user
from support import ask, error_of, usd, wait_for

pytestmark = pytest.mark.real

INPUT, CACHED, OUTPUT = Decimal("0.25"), Decimal("0.025"), Decimal("1.5")
TOOLS = [{"type": "function", "function": {
    "name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}},
                                          "required": ["city"]}}}]


@pytest.fixture(scope="module")
def llama(start_once, tmp_path_factory):
    file = tiny_model.write(tmp_path_factory.mktemp("model") / "tiny.gguf")
    return Llama(start_once, file, "messages", 1, 4096, "--logit-bias", f"{tiny_model.END}-100")


@pytest.fixture(scope="module")
def relay(start_once, llama):
    claude = llama.provider(kind="anthropic")
    return start_once.relay({
        "providers": {"m": claude, "locked": {**claude, "api_key": "not-the-key-9876543210"}},
        "models": [{"id": "m/messages", "input": float(INPUT), "output": float(OUTPUT), "quality": 10,
                    "cached_input": float(CACHED), "context": 100000, "max_output": 500,
                    "capabilities": ["tools"]}]})


@pytest.fixture(scope="module")
def client(relay, key):
    with OpenAI(base_url=relay.base_url, api_key=key, max_retries=0, timeout=60) as c:
        yield c


def check_row(relay, raw, usage):
    """Anthropic counts cached tokens beside the input, OpenAI inside it."""
    row = relay.row(raw.headers["x-relay-id"])
    cached = usage.prompt_tokens_details.cached_tokens if usage.prompt_tokens_details else 0
    assert (row["prompt_tokens"], row["cached_tokens"] or 0, row["completion_tokens"]) == (
        usage.prompt_tokens, cached, usage.completion_tokens)
    assert usd(row["cost_usd"]) == ((usage.prompt_tokens - cached) * INPUT + cached * CACHED
                                    + usage.completion_tokens * OUTPUT) / 1000000 > 0
    assert (row["provider"], row["usage_source"], row["finish_reason"]) == ("m", "provider", "length")


def test_plain(client, relay, word):
    messages = [{"role": "system", "content": "the island"}, *user(f"{word} " + "river music " * 20)]
    for n in (1, 2):  # the second time the server finds the beginning in its own cache
        raw = client.chat.completions.with_raw_response.create(
            model="m/messages", messages=messages + user(f"{n}"), max_tokens=12)
        res = raw.parse()
        assert res.choices[0].message.content and res.choices[0].finish_reason == "length"
        assert res.usage.completion_tokens == 12
        check_row(relay, raw, res.usage)
    assert res.usage.prompt_tokens_details.cached_tokens > 40


def test_streamed(client, relay, word):
    raw = client.chat.completions.with_raw_response.create(
        model="m/messages", messages=user(word), max_tokens=40, stream=True,
        stream_options={"include_usage": True})
    chunks = list(raw.parse())
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text and "\ufffd" not in text
    assert [c for c in chunks if c.choices][-1].choices[0].finish_reason == "length"
    check_row(relay, raw, chunks[-1].usage)


def test_a_conversation_with_tools(client, word):
    """The history of a call and its result is taken; a random model makes none by itself."""
    call = {"id": "call_1", "type": "function",
            "function": {"name": "get_weather", "arguments": '{"city": "Oslo"}'}}
    res = client.chat.completions.create(
        model="m/messages", max_tokens=8, tools=TOOLS, tool_choice="auto",
        messages=user(word) + [{"role": "assistant", "content": None, "tool_calls": [call]},
                               {"role": "tool", "tool_call_id": "call_1", "content": "21 degrees"}])
    assert res.choices[0].message.content and res.usage.prompt_tokens > 50


def test_refusals(relay, http, word):
    answer = ask(http, "m/messages", word + " forest" * 900, max_tokens=8)
    error = error_of(answer, 400, "context_length_exceeded")
    assert "context" in error["message"]
    answer = ask(http, "locked/messages", word, max_tokens=8)
    error_of(answer, 502, "upstream_error")
    assert "Invalid API Key" not in answer.text and SECRET not in relay.log()


def test_leaving_frees_the_slot(relay, key, llama, word):
    body = {"model": "m/messages", "messages": user(word), "stream": True, "max_tokens": 3500}
    with relay.http(key) as c, c.stream("POST", "/v1/chat/completions", json=body) as answer:
        assert next(answer.iter_raw()) and llama.busy_slots() == 1
    wait_for(lambda: llama.busy_slots() == 0, why="the slot is still busy")
    assert relay.row(answer.headers["x-relay-id"])["status"] == 499
