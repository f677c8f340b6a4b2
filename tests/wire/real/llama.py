"""Starts llama-server. RELAY_LLAMA is the command (scripts/llama.sh prints it)."""

import os

import httpx

from support import ROOT, free_port, wait_for

LLAMA = os.environ.get("RELAY_LLAMA", str(ROOT / "build/llama/llama-server"))
SECRET = "llama-key-0123456789"


def user(text):
    return [{"role": "user", "content": text}]


class Llama:
    """One llama-server; `slots` answers at a time, `context` tokens for each."""

    def __init__(self, start, model, name, slots, context, *more):
        self.maker, self.name, port = start, name, free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.command = [
            LLAMA, "-m", str(model), "--alias", name, "--host", "127.0.0.1", "--port", str(port),
            "-c", str(slots * context), "-np", str(slots), "-t", "1", "-tb", "1", "-fit", "off",
            "--jinja", "--offline", "--no-ui", "--metrics", "--slots", "--api-key", SECRET, *more]
        self.start()

    def start(self):
        self.process = self.maker.process(self.command, self.name)
        self.client = httpx.Client(base_url=self.url, trust_env=False, timeout=10,
                                   headers={"authorization": f"Bearer {SECRET}"})
        wait_for(self._is_ready, 30, lambda: f"llama-server did not start: {self.process.log()[-3000:]}")

    def _is_ready(self):
        assert self.process.is_running(), self.process.log()[-3000:]
        try:
            return self.client.get("/health").status_code == 200
        except httpx.TransportError:
            return False

    def busy_slots(self):
        return sum(slot["is_processing"] for slot in self.client.get("/slots").json())

    def counted(self, name):
        for line in self.client.get("/metrics").text.splitlines():
            if line.startswith(f"llamacpp:{name} "):
                return float(line.split()[1])
        raise AssertionError(name)

    def provider(self, **more):
        return {"kind": "openai", "base_url": self.url + "/v1", "api_key": SECRET, **more}
