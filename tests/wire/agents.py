"""A client of each door that asks with tools, by the official SDK, and gives the results back.

Each keeps its conversation in its own dialect, as the SDK's users do: the answers go back as the SDK
has them."""

import functools
import json
from collections import namedtuple

import anthropic
import openai

Call = namedtuple("Call", "id name arguments")
Turn = namedtuple("Turn", "text calls finish prompt completion")

PARAMETERS = {"get_weather": {"type": "object", "required": ["city"], "properties": {
                  "city": {"type": "string"}, "unit": {"type": "string"}}},
              "get_time": {"type": "object", "required": ["zone"],
                           "properties": {"zone": {"type": "string"}}}}


@functools.cache
def client_of(sdk, base_url, key):
    """One for all agents of a gateway: to make one takes longer than to ask with it."""
    return sdk(base_url=base_url, api_key=key, max_retries=0, _strict_response_validation=True)


class Agent:
    def __init__(self, relay, key, model, streamed, tag):
        self.client = client_of(self.sdk, relay.base_url if self.sdk is openai.OpenAI else relay.url, key)
        self.tagged = {"extra_headers": {"x-relay-tags": f"loop={tag}"}}
        self.model, self.streamed, self.items = model, streamed, []

    def ask(self, text):
        """The question; the model's first turn."""
        self.items.append({"role": "user", "content": text})
        return self.turn()


class ChatAgent(Agent):
    sdk = openai.OpenAI
    endpoint = "/v1/chat/completions"

    def turn(self):
        body = {**self.tagged, "model": self.model, "messages": self.items, "tools": [
            {"type": "function", "function": {"name": n, "parameters": p}} for n, p in PARAMETERS.items()]}
        chats = self.client.chat.completions
        if self.streamed:
            with chats.stream(stream_options={"include_usage": True}, **body) as s:
                s.until_done()
                done = s.get_final_completion()
        else:
            done = chats.create(**body)
        message = done.choices[0].message
        self.items.append(message.to_dict())
        calls = [Call(c.id, c.function.name, json.loads(c.function.arguments))
                 for c in message.tool_calls or []]
        return Turn(message.content or "", calls, done.choices[0].finish_reason,
                    done.usage.prompt_tokens, done.usage.completion_tokens)

    def give(self, results):
        self.items += [{"role": "tool", "tool_call_id": id, "content": text} for id, text in results]
        return self.turn()


class MessagesAgent(Agent):
    sdk = anthropic.Anthropic
    endpoint = "/v1/messages"

    def turn(self):
        body = {**self.tagged, "model": self.model, "max_tokens": 1000, "messages": self.items, "tools": [
            {"name": n, "input_schema": p} for n, p in PARAMETERS.items()]}
        if self.streamed:
            with self.client.messages.stream(**body) as s:
                done = s.get_final_message()
        else:
            done = self.client.messages.create(**body)
        self.items.append({"role": "assistant", "content": done.content})
        calls = [Call(b.id, b.name, b.input) for b in done.content if b.type == "tool_use"]
        return Turn("".join(b.text for b in done.content if b.type == "text"), calls,
                    {"end_turn": "stop", "tool_use": "tool_calls"}[done.stop_reason],
                    done.usage.input_tokens + (done.usage.cache_read_input_tokens or 0),
                    done.usage.output_tokens)

    def give(self, results):
        self.items.append({"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": id, "content": text} for id, text in results]})
        return self.turn()


class ResponsesAgent(Agent):
    sdk = openai.OpenAI
    endpoint = "/v1/responses"

    def turn(self):
        body = {**self.tagged, "model": self.model, "input": self.items, "store": False, "tools": [
            {"type": "function", "name": n, "parameters": p, "strict": False}
            for n, p in PARAMETERS.items()]}
        if self.streamed:
            with self.client.responses.stream(**body) as s:
                done = s.get_final_response()
        else:
            done = self.client.responses.create(**body)
        assert done.status == "completed"
        self.items += [o.model_dump(exclude_none=True, exclude={"parsed_arguments"}) for o in done.output]
        calls = [Call(o.call_id, o.name, json.loads(o.arguments)) for o in done.output
                 if o.type == "function_call"]
        return Turn(done.output_text, calls, "tool_calls" if calls else "stop",
                    done.usage.input_tokens, done.usage.output_tokens)

    def give(self, results):
        self.items += [{"type": "function_call_output", "call_id": id, "output": text}
                       for id, text in results]
        return self.turn()


AGENTS = {"chat": ChatAgent, "messages": MessagesAgent, "responses": ResponsesAgent}


# ---- the same conversation as a provider got it: [(the call's id, name, arguments, its result)] ----

def _of_openai(body):
    calls = [c for m in body["messages"] for c in m.get("tool_calls") or []]
    results = {m["tool_call_id"]: m["content"] for m in body["messages"] if m["role"] == "tool"}
    assert [m["role"] for m in body["messages"]] == ["user", "assistant", *["tool"] * len(calls)]
    return [(c["id"], c["function"]["name"], json.loads(c["function"]["arguments"]), results[c["id"]])
            for c in calls]


def _of_anthropic(body):
    assert [m["role"] for m in body["messages"]] == ["user", "assistant", "user"]
    calls = [b for b in body["messages"][1]["content"] if b["type"] == "tool_use"]
    results = {b["tool_use_id"]: b["content"] for b in body["messages"][2]["content"]}
    texts = {id: c if isinstance(c, str) else "".join(b["text"] for b in c) for id, c in results.items()}
    return [(c["id"], c["name"], c["input"], texts[c["id"]]) for c in calls]


def _of_gemini(body):
    assert [c["role"] for c in body["contents"]] == ["user", "model", "user"]
    calls = [p["functionCall"] for p in body["contents"][1]["parts"] if "functionCall" in p]
    results = [p["functionResponse"] for p in body["contents"][2]["parts"]]
    assert [(c["name"], c.get("id")) for c in calls] == [(r["name"], r.get("id")) for r in results]
    # A result that is a JSON object is the response; a text is wrapped, for the field takes objects only.
    texts = [r["response"].get("output") or json.dumps(r["response"]) for r in results]
    return [(c.get("id"), c["name"], c["args"], text) for c, text in zip(calls, texts)]


def _of_ollama(body):
    calls = [c["function"] for m in body["messages"] for c in m.get("tool_calls") or []]
    results = [m for m in body["messages"] if m["role"] == "tool"]
    assert [m["role"] for m in body["messages"]] == ["user", "assistant", *["tool"] * len(calls)]
    assert [c["name"] for c in calls] == [r["tool_name"] for r in results]
    return [(None, c["name"], c["arguments"], r["content"]) for c, r in zip(calls, results)]


seen_by = {"openai": _of_openai, "anthropic": _of_anthropic, "gemini": _of_gemini, "ollama": _of_ollama}
