"""The rows of translation: what it costs that door and provider speak different dialects.

One Relay before two simulators, one that answers in OpenAI's dialect, one in Gemini's; the model is
named, so that nothing is chosen. Three kinds of work take turns in short slices: OpenAI's door to
OpenAI's dialect (the bytes go through), Anthropic's door to OpenAI's dialect, OpenAI's door to Gemini's.
Each asks the same question of 600 bytes and gets the same words, plain, or as a stream of 31 deltas."""

import http.client
import json
import random
import subprocess

from programs import LOAD_CORE, Process, Relay, free_port
from table import Row

DELTAS = 31
MARK = "#" * 16
BODY_BYTES = 600
TARGET = 1.3
WORDS = ("Please tell me in a few sentences what a gateway between an application and its language "
         "models is good for. ") * 9


class Gemini(Process):
    """relay-sim with one plain answer and one stream in Gemini's dialect."""

    def __init__(self, sim, folder):
        self.port = free_port()
        usage = {"promptTokenCount": 24, "candidatesTokenCount": 31, "totalTokenCount": 55}

        def response(text, **more):
            return {"candidates": [{"content": {"parts": [{"text": text}], "role": "model"}, "index": 0, **more}],
                    "usageMetadata": usage, "modelVersion": "sim-bench", "responseId": "sim00000000000000bench"}
        deltas = [response(f" bench {i:02d}") for i in range(DELTAS - 1)]
        deltas.append(response(f" bench {DELTAS - 1:02d}", finishReason="STOP"))
        stream = "".join(f"data: {json.dumps(d, separators=(',', ':'))}\r\n\r\n" for d in deltas)
        plain = response("the answer of the bench " * 10, finishReason="STOP")
        path = "/v1beta/models/bench:"
        config = folder / "gemini.json"
        config.write_text(json.dumps({"rules": [
            {"match": {"path": path + "s*"}, "then": {"body": stream}},
            {"match": {"path": path + "g*"}, "then": {"body": json.dumps(plain, separators=(",", ":"))}}]}))
        super().__init__([sim, "--config", str(config), "--listen", f"127.0.0.1:{self.port}", "--with-parent"],
                         folder / "gemini.log", LOAD_CORE)
        self.wait_ready(self.port)


def request(front):
    back = '"}],"temperature":0.7,"max_tokens":200}'
    front += MARK + " "
    return front + WORDS[:BODY_BYTES - len(front) - len(back)] + back


def openai(model, stream):
    extra = '"stream":true,"stream_options":{"include_usage":true},' if stream else ""
    return request('{"model":"' + model + '",' + extra + '"messages":[{"role":"system","content":"You are a '
                   'helpful assistant."},{"role":"user","content":"')


def anthropic(model, stream):
    return request('{"model":"' + model + '",' + ('"stream":true,' if stream else "") + '"system":"You are a '
                   'helpful assistant.","messages":[{"role":"user","content":"')


# name, path, its body, the model, what its stream ends with, and events in it
KINDS = (
    ("OpenAI to OpenAI", "/v1/chat/completions", openai, "openai/bench", "data: [DONE]"),
    ("Anthropic's door to OpenAI", "/v1/messages", anthropic, "openai/bench", 'message_stop"}'),
    ("OpenAI's door to Gemini", "/v1/chat/completions", openai, "gemini/bench", "data: [DONE]"),
)


class Translation:
    def __init__(self, bench):
        self.bench, self.folder = bench, bench.folder
        self.gemini = Gemini(bench.options.sim, bench.folder)
        price = {"input": 1, "output": 2, "capabilities": ["tools", "json"]}
        self.relay = Relay(bench.options.relay, bench.folder, bench.mock.url, name="relay-translation", more={
            "providers": {"gemini": {"base_url": f"http://localhost:{self.gemini.port}/v1beta", "api_key": "bench"}},
            "models": [{"id": "openai/bench", **price}, {"id": "gemini/bench", **price}]})

    def prepare(self, kind, stream):
        """The arguments of relay-load for it: one answer is read to know what right answers are."""
        name, path, write, model, end = kind
        stem = f"translation-{KINDS.index(kind)}-{'stream' if stream else 'plain'}"
        body = self.folder / f"{stem}.json"
        body.write_text(write(model, stream))
        talk = http.client.HTTPConnection("127.0.0.1", self.relay.port, timeout=10)
        talk.request("POST", path, body.read_bytes(), {"authorization": "Bearer " + self.relay.key,
                                                       "content-type": "application/json"})
        answer = talk.getresponse()
        text = answer.read()
        talk.close()
        if answer.status != 200 or " bench 30" not in text.decode() and "of the bench" not in text.decode():
            raise SystemExit(f"bench: {name}: {answer.status} {text[:300]!r}")
        self.bench.answered[self.relay] = self.bench.answered.get(self.relay, 0) + 1
        (self.folder / f"{stem}.expected").write_bytes(text)
        expect = ([f"--expect-events={text.count(chr(10).encode() * 2)}", f"--end={end}"] if stream else
                  [f"--expect-body={self.folder / f'{stem}.expected'}", "--own-id"])
        return [f"--path={path}", f"--body={body}", *expect]

    def slice(self, arguments, seconds, what):
        before = self.relay.cpu_ns()
        command = [self.bench.options.load, "--port", str(self.relay.port), "--key", self.relay.key,
                   "--seconds", str(seconds), *arguments]
        done = subprocess.run(command, capture_output=True, text=True)
        result = json.loads(done.stdout.strip().splitlines()[-1])
        after = self.relay.cpu_ns()
        self.bench.note(self.relay, what, result)
        spent = sum(after[name] - before.get(name, 0) for name in after) / 1000
        return spent / max(1, result["answered"])

    def costs(self, stream, rounds, seconds):
        """CPU per answer of each kind, round by round; the first round does not count."""
        arguments = {kind: self.prepare(kind, stream) for kind in KINDS}
        costs = {kind: [] for kind in KINDS}
        for number in range(rounds + 1):
            for kind in random.sample(KINDS, len(KINDS)):
                cost = self.slice(arguments[kind], seconds, kind[0])
                if number > 0:
                    costs[kind].append(cost)
        return costs

    def rows(self):
        rounds, seconds = (3, 0.5) if self.bench.quick else (self.bench.options.rounds, 1)
        plain, streamed = self.costs(False, rounds, seconds), self.costs(True, rounds, seconds)
        same = KINDS[0]
        for kind in KINDS[1:]:
            yield Row(f"{kind[0]}, plain, CPU per request, beside the same dialect", "µs", plain[kind], plain[same],
                      TARGET)
            yield Row(f"{kind[0]}, {DELTAS} deltas at once, CPU per delta, beside the same dialect", "µs",
                      [c / DELTAS for c in streamed[kind]], [c / DELTAS for c in streamed[same]], TARGET)
        self.bench.say("translation")
        self.bench.check_log(self.relay)
        self.gemini.stop()
