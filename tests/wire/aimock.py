"""Starts @copilotkit/aimock, a simulator of providers that is not ours."""

import httpx

from node_programs import find_node
from support import ROOT, clean_environment, free_port, wait_for


def start_aimock(start):
    """For a fixture: the process, with its url and a client of its control API."""
    node, folder = find_node()
    port = free_port()
    process = start.process(
        [node, f"{folder}/node_modules/@copilotkit/aimock/dist/cli.js", "-p", str(port), "-f",
         str(ROOT / "tests/wire/fixtures/aimock.json"), "--validate-on-load", "--log-level", "warn"],
        "aimock", env=clean_environment(), cwd=folder)
    process.url = f"http://127.0.0.1:{port}"
    process.client = httpx.Client(base_url=process.url, trust_env=False, timeout=10)

    def ready():
        assert process.is_running(), process.log()
        try:
            return process.client.get("/health").status_code == 200
        except httpx.TransportError:
            return False
    wait_for(ready, why=process.log)
    yield process
    process.client.close()
