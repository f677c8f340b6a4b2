"""Four providers on one simulator, one for each dialect that Relay speaks upstream."""

import json

from support import model, wait_for

# dialect: (where its base_url is on a simulator, a model's name, what the path of a question has)
DIALECTS = {
    "openai": ("/v1", "gpt-small", "/chat/completions"),
    "anthropic": ("/v1", "claude-opus-5", "/messages"),
    "gemini": ("/v1beta", "gemini-3-flash", "enerateContent"),
    "ollama": ("", "qwen3", "/api/chat"),
}
INPUT, CACHED, OUTPUT = 1, 0.1, 2  # USD per million tokens


def provider_of(dialect):
    return f"{dialect}-sim"


def model_of(dialect):
    return f"{provider_of(dialect)}/{DIALECTS[dialect][1]}"


def four_dialects(url):
    """The configuration of a gateway before the four, which all live at this address."""
    return {
        "providers": {provider_of(d): {"kind": d, "base_url": url + base, "api_key": f"k-{d}-0123456789"}
                      for d, (base, _, _) in DIALECTS.items()},
        "models": [model(model_of(d), input=INPUT, output=OUTPUT, cached_input=CACHED,
                         cache_write=1.25, capabilities=["tools", "json", "vision", "reasoning"])
                   for d in DIALECTS]}


def questions(sim, dialect, word):
    """What this provider was asked with the word in it, oldest first: the requests' JSON."""
    found = [r for r in sim.requests(path=None)
             if word in r.get("body", "") and DIALECTS[dialect][2] in r["path"]]
    return [json.loads(r["body"]) for r in found]


def wait_closed(sim, text, count=1):
    """Waits until the provider has seen those who asked with this text leave in the middle."""
    wait_for(lambda: [r["outcome"] for r in sim.find(text, None)] == ["client_closed"] * count,
             why="the provider goes on talking to nobody")
