"""The soak's clients: one request of a random kind after the other, each with a bound on how long it may take."""

import collections
import json
import random
import re
import socket
import struct
import threading
import time

import anthropic
import httpx
import httpx2
import openai

from soak_sites import HAS_MODEL
from support import raw_request

HANG_SECONDS = 60  # the gateway's own total timeout is 20
PAUSE_SECONDS = 0.02  # of a client between two requests, on average
REVOKED_AFTER_SECONDS = 3  # one that is promised, and two for this machine's other work
TOOLS = [{"type": "function", "function": {"name": "get_weather", "parameters": {
    "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}]
MESSAGES_TOOLS = [{"name": "get_weather", "input_schema": TOOLS[0]["function"]["parameters"]}]
ALIKE = [  # each line asks for one thing in several ways
    ("How do I reset my password?", "How can I reset my password?", "Please tell me how I can reset my password."),
    ("What is the capital of France?", "Tell me the capital of France.", "What's the capital of France?"),
    ("How do I cancel my subscription?", "How can I cancel my subscription?", "I want to cancel my subscription."),
]

# What a client knows of one request. whole: it is a whole answer, not an error; ended: it, or an error, was seen to
# its end; prompt and completion: the usage that it was told, None if none; calm: nothing was broken meanwhile.
Seen = collections.namedtuple("Seen", "tag kind gateway id whole ended status prompt completion calm")

KINDS = {"plain": 16, "stream": 16, "tools": 5, "cached": 10, "leave": 12, "slow": 1, "wrong": 3, "bad": 3, "limited": 4,
         "poor": 4, "passing": 6, "revoked": 2, "sdk chat": 4, "sdk chat stream": 4, "sdk messages": 5,
         "sdk messages stream": 5, "sdk responses": 3, "sdk responses stream": 3, "sdk embeddings": 4, "sdk count": 2}
if HAS_MODEL:
    KINDS |= {"semantic": 6, "local embeddings": 3}
ALLOWED = {"bad": (400, 503), "wrong": (401,), "poor": (200, 402)}  # beside what providers' failures make of it
FAILURES = (200, 429, 502, 503, 504)


class Answer:
    """What is known so far; a request that breaks leaves it as it is."""

    def __init__(self):
        self.id = self.status = self.prompt = self.completion = None
        self.ended = self.failed = False

    def head(self, headers, status):
        self.id, self.status = headers.get("x-relay-id"), status

    def fail(self, is_end=True):
        """An error event: the end of a stream that was cut."""
        self.ended, self.failed = is_end, is_end

    def usage(self, prompt, completion):
        self.prompt, self.completion = prompt, completion


class Client(threading.Thread):
    def __init__(self, run, site, number):
        super().__init__(name=f"client {site.name} {number}", daemon=True)
        self.soak, self.site = run, site
        self.random = random.Random(f"{run.seed} {self.name}")
        self.clients, self.left = {}, {}

    def run(self):
        soak = self.soak
        while not soak.over.is_set():
            if soak.pause.is_set():
                self.close()
                time.sleep(0.02)
                continue
            with soak.lock:
                soak.working += 1
            try:
                self.one(self.random.choices(*zip(*KINDS.items()))[0])
            except Exception as error:  # a client that dies would hide what it found
                soak.complain(f"{self.name}: {type(error).__name__} {error}")
            finally:
                with soak.lock:
                    soak.working -= 1
            time.sleep(self.random.expovariate(1 / PAUSE_SECONDS))
        self.close()

    def close(self):
        for client in self.clients.values():
            client.close()
        self.clients.clear()

    def client(self, make, gateway, key, **options):
        """One that may have been used before; each lives for a random number of requests."""
        name = make, gateway, key
        if self.left.get(name, 0) == 0 or name not in self.clients:
            self.drop(name)
            self.clients[name] = make(**options)
            self.left[name] = self.random.randrange(1, 60)
        self.left[name] -= 1
        return self.clients[name]

    def drop(self, name):
        if client := self.clients.pop(name, None):
            client.close()

    # --- what is asked

    def text(self, kind, tag):
        pick = self.random
        if kind == "cached":
            return f"question {pick.randrange(25)} [[sim:prompt_tokens=100;completion_tokens=50]]"
        if kind == "semantic":
            return pick.choice(pick.choice(ALIKE))
        more = {"slow": "tokens=20000;tps=0;", "leave": "tokens=400;tps=2000;"}.get(kind, "")
        usage = f"prompt_tokens={pick.randrange(1, 3000)};completion_tokens={pick.randrange(1, 900)}"
        return f"{'get_weather ' if kind == 'tools' else ''}{tag} [[sim:{more}{usage}]]"

    def body(self, kind, tag):
        pick = self.random
        body = {"model": pick.choice(["a/am", "both", "both", "all", "c/cm", "g/gm", "auto"]), "user": tag,
                "max_tokens": 2000, "stream": pick.random() < 0.5,
                "messages": [{"role": "user", "content": self.text(kind, tag)}]}
        if kind in ("cached", "semantic"):
            body |= {"model": "both", "temperature": 0, "max_tokens": 1000}
        if kind in ("plain", "stream", "slow"):
            body["stream"] = kind != "plain"
        if kind == "slow":  # their simulators write as fast as they are read
            body["model"] = "both"
        if body["stream"] and pick.random() < 0.5:
            body["stream_options"] = {"include_usage": True}
        if kind == "tools":
            body["tools"] = TOOLS
        if kind == "bad":
            body["max_tokens"] = -1
        return body

    def key(self, kind):
        """(key, True if it may be one that is refused)"""
        site = self.site
        if kind == "wrong":
            return site.keys["steady"][:-1] + ("A" if site.keys["steady"][-1] != "A" else "B"), True
        if kind == "passing":
            return site.passing, True
        if kind == "revoked":
            old = [key for key, when in site.revoked if self.is_old(when)]
            return (self.random.choice(old) if old else None), True
        return site.keys.get(kind, site.keys["steady"]), False

    def is_old(self, when):
        """Whether every gateway must know by now what was changed then: one may not have been told in a fault."""
        calm = self.site.calm_since
        return calm is not None and time.monotonic() - max(when, calm) > REVOKED_AFTER_SECONDS

    def one(self, kind):
        soak, site = self.soak, self.site
        tag, gateway = soak.new_tag(), self.random.choice(site.gateways)
        calm, began, answer = site.calm_since, time.monotonic(), Answer()
        key, may_refuse = self.key(kind)
        if key is None:
            return
        self.try_to_ask(kind, gateway, key, tag, answer)
        seconds = time.monotonic() - began
        if seconds > HANG_SECONDS and gateway.still_until < began:
            soak.complain(f"a request hangs for {seconds:.0f} s: {kind} {tag} {answer.id} {gateway.name}")
        self.check_status(kind, gateway, may_refuse, tag, answer.status, calm)
        if kind == "sdk count":  # has no row
            answer.id = None
        whole = answer.ended and answer.status == 200 and not answer.failed
        calm = calm is not None and calm == site.calm_since
        with soak.lock:
            soak.seen.append(Seen(tag, kind, gateway.name, answer.id, whole, answer.ended, answer.status, answer.prompt,
                                  answer.completion, calm))
            soak.statuses[gateway.name, answer.status if answer.ended else None] += 1

    def check_status(self, kind, gateway, may_refuse, tag, status, calm):
        """calm: since when nothing was broken as it began."""
        if status is None or kind == "leave":
            return
        if kind == "revoked":
            if status not in (401, 503) and calm is not None and calm == self.site.calm_since:
                self.soak.complain(f"a revoked key got {status}: {tag} {gateway.name}")
            return
        if status == 401 and not may_refuse:
            self.soak.complain(f"a good key got 401: {kind} {tag} {gateway.name}")
        # One that was about to be revoked may have been picked up.
        if kind == "passing" and status == 401:
            return
        if status not in ALLOWED.get(kind, ()) + FAILURES * (kind not in ("bad", "wrong")):
            if not (kind == "wrong" and status == 503):
                self.soak.complain(f"status {status}: {kind} {tag} {gateway.name}")

    def try_to_ask(self, kind, gateway, key, tag, answer):
        ask = {"slow": self.read_slowly, "leave": self.leave}.get(kind, self.ask)
        if kind.startswith("sdk") or kind == "local embeddings":
            ask = self.ask_sdk
        try:
            ask(kind, gateway, key, tag, answer)
        except (httpx.TransportError, httpx2.TransportError, openai.APIConnectionError,
                anthropic.APIConnectionError, OSError):
            self.close()  # cut, refused, too late, or the gateway is being killed
            if answer.id is None:
                time.sleep(0.05)

    # --- with a plain HTTP client

    def ask(self, kind, gateway, key, tag, answer):
        body, data = self.body(kind, tag), b""
        client = self.client(httpx.Client, gateway, None, base_url=gateway.url, trust_env=False, timeout=HANG_SECONDS)
        try:
            with client.stream("POST", "/v1/chat/completions", json=body,
                               headers={"authorization": f"Bearer {key}"}) as got:
                answer.head(got.headers, got.status_code)
                is_stream = got.headers["content-type"].startswith("text/event-stream")
                for block in got.iter_raw():
                    data = data[-8192:] + block
        except httpx.TransportError:
            answer.fail(b'data: {"error"' in data and data.endswith(b"\n\n"))
            raise
        answer.ended = True
        if is_stream and not data.rstrip().endswith(b"data: [DONE]"):
            self.soak.complain(f"a stream ended properly without [DONE]: {tag} {data[-300:]}")
        found = [re.findall(rb'"%s_tokens": ?(\d+)' % what, data) for what in (b"prompt", b"completion")]
        if answer.status == 200 and all(found):
            answer.usage(int(found[0][-1]), int(found[1][-1]))

    # --- on a bare connection

    def send(self, kind, gateway, key, tag):
        s = socket.create_connection((gateway.host, gateway.port), HANG_SECONDS)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
        return s, raw_request(key, self.body(kind, tag), "Connection: close\r\n")

    def leave(self, kind, gateway, key, tag, answer):
        """After some byte of the question, or of the answer; with a good-bye or without one."""
        s, data = self.send(kind, gateway, key, tag)
        with s:
            if self.random.random() < 0.25:
                s.sendall(data[:self.random.randrange(len(data))])
            else:
                s.sendall(data)
                left, head = int(self.random.expovariate(1 / 3000)), b""
                while left > 0 and (block := s.recv(min(left, 4096))):
                    left -= len(block)
                    head += block
                self.take_head(head, answer)
            if self.random.random() < 0.5:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def read_slowly(self, kind, gateway, key, tag, answer):
        head = data = b""
        s, request = self.send(kind, gateway, key, tag)
        with s:
            s.sendall(request)
            while block := s.recv(65536):
                data = data[-65536:] + block
                if not head:
                    head = data
                    time.sleep(1)
                time.sleep(0.01)
        self.take_head(head, answer)
        is_stream = b"text/event-stream" in head
        answer.ended = is_stream and b"data: [DONE]" in data[-200:]
        if not answer.ended:
            answer.fail(is_stream and b'data: {"error"' in data)

    @staticmethod
    def take_head(head, answer):
        id, status = re.search(rb"x-relay-id: (\S+)\r\n", head), re.match(rb"HTTP/1.1 (\d+)", head)
        if id and status:
            answer.head({"x-relay-id": id[1].decode()}, int(status[1]))

    # --- with the official SDKs

    def ask_sdk(self, kind, gateway, key, tag, answer):
        kit, _, rest = kind.partition(" ")
        is_messages = rest.startswith(("messages", "count"))
        make, base, http = ((anthropic.Anthropic, gateway.url, httpx2) if is_messages else
                            (openai.OpenAI, gateway.url + "/v1", httpx))
        sdk = anthropic if is_messages else openai
        client = self.client(make, gateway, key, base_url=base, api_key=key, max_retries=0, timeout=HANG_SECONDS)
        how = {"chat": self.sdk_chat, "messages": self.sdk_messages, "responses": self.sdk_responses,
               "embeddings": self.sdk_embeddings, "count": self.sdk_count}[rest.split()[0]]
        try:
            how(client, rest.endswith("stream"), tag, answer, kit == "local")
            answer.ended = True
        except sdk.APIStatusError as error:  # Anthropic's SDK also makes one of an error event
            answer.head(error.response.headers, error.response.status_code)
            answer.fail()
        except sdk.APIConnectionError:
            raise
        except sdk.APIError:  # an error event
            answer.fail()

    def create(self, create, answer, **body):
        raw = create(**body)
        answer.head(raw.headers, raw.status_code)
        return raw.parse()

    def no_end(self, tag, what):
        self.soak.complain(f"a stream looks whole without {what}: {tag}")

    def sdk_chat(self, client, streamed, tag, answer, _):
        body = self.body("sdk", tag)
        body.pop("stream_options", None)
        body["stream"] = streamed
        if streamed:
            body["stream_options"] = {"include_usage": True}
        got = self.create(client.chat.completions.with_raw_response.create, answer, **body)
        usage, finish = getattr(got, "usage", None), streamed
        if streamed:
            finish = None
            for chunk in got:
                usage = chunk.usage or usage
                finish = (chunk.choices and chunk.choices[0].finish_reason) or finish
            if not finish:
                self.no_end(tag, "finish_reason")
        answer.usage(usage.prompt_tokens, usage.completion_tokens)

    def sdk_messages(self, client, streamed, tag, answer, _):
        tools = self.random.random() < 0.2
        body = {"model": self.random.choice(["a/am", "c/cm", "all", "auto"]), "max_tokens": 2000,
                "metadata": {"user_id": tag}, "stream": streamed,
                "messages": [{"role": "user", "content": self.text("tools" if tools else "sdk", tag)}]}
        if tools:
            body["tools"] = MESSAGES_TOOLS
        got = self.create(client.messages.with_raw_response.create, answer, **body)
        if not streamed:
            answer.usage(got.usage.input_tokens, got.usage.output_tokens)
            return
        kinds = [event.type for event in got]
        if "message_stop" not in kinds:
            self.no_end(tag, "message_stop")

    def sdk_responses(self, client, streamed, tag, answer, _):
        got = self.create(client.responses.with_raw_response.create, answer, stream=streamed, user=tag, store=False,
                         model=self.random.choice(["a/am", "c/cm", "g/gm", "all"]), max_output_tokens=2000,
                         input=self.text("sdk", tag))
        end = got
        if streamed:
            events = list(got)
            end = getattr(events[-1], "response", None) if events else None
            if not events or events[-1].type not in ("response.completed", "response.failed", "error"):
                self.no_end(tag, "response.completed")
        if end is not None and end.status == "completed":
            answer.usage(end.usage.input_tokens, end.usage.output_tokens)
        else:
            answer.failed = True

    def sdk_embeddings(self, client, _, tag, answer, local):
        got = self.create(client.embeddings.with_raw_response.create, answer, user=tag, input=[f"one {tag}", f"two {tag}"],
                         model="relay/all-MiniLM-L6-v2" if local else "a/ae")
        answer.usage(got.usage.prompt_tokens, 0)

    def sdk_count(self, client, _, tag, answer, __):
        self.create(client.messages.with_raw_response.count_tokens, answer, model="c/cm",
                   messages=[{"role": "user", "content": "how long is this"}])
