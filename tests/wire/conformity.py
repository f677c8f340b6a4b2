"""What scripts/schemathesis.sh runs: a gateway, and schemathesis against the descriptions of its APIs."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx

from openapi import V1
from support import Relay, Sim, ask, model, provider

# Not asked for: that whatever the description allows is taken. It does not tell which two parameters exclude each
# other, nor that a time must be to come. A client's description is of what Relay reads; the rest is the provider's.
# There 503 and 504 are what a request's own bars and deadline may come to: the log's rows are looked through instead.
LEFT_OUT = {"admin": "positive_data_acceptance",
            "v1": "positive_data_acceptance,negative_data_rejection,not_a_server_error"}


def run(name, document, url, key, folder, seconds):
    path = folder / f"{name}.json"
    path.write_text(json.dumps(document))
    # A stream that never ends, and the file on the disk, are left out.
    done = subprocess.run([
        os.environ["SCHEMATHESIS"], "run", str(path), "--url", url, "-H", f"Authorization: Bearer {key}",
        "--max-time", str(seconds), "--continue-on-failure", "--suppress-health-check", "all", "--warnings", "off",
        "--exclude-checks", LEFT_OUT[name], "--exclude-path", "/requests/live", "--exclude-path", "/config/reload"],
        cwd=folder)
    return done.returncode


def main(seconds):
    folder = Path(tempfile.mkdtemp(prefix="relay-schemathesis-"))
    sim = Sim(folder)
    relay = Relay(folder / "relay", {
        "providers": {"p": provider(sim)}, "log": {"level": "info", "content": True},
        "models": [model("p/small"), model("p/vectors", capabilities=["embeddings"])]})
    try:
        with relay.http(relay.first_key) as client:
            for i in range(3):
                ask(client, "p/small", f"question {i}")
        described = httpx.get(relay.url + "/admin/v1/openapi.json", trust_env=False,
                              headers={"authorization": f"Bearer {relay.admin_key}"}).json()
        clients = json.loads(V1.read_text())
        clients["components"]["schemas"]["Model"]["enum"] = ["p/small", "p/vectors", "auto"]
        failed = run("admin", described, relay.url + "/admin/v1", relay.admin_key, folder, seconds)
        failed += run("v1", clients, relay.url + "/v1", relay.first_key, folder, seconds)
        rows = relay.query("SELECT status, count(*) AS n FROM requests GROUP BY status ORDER BY status")
        counts = {row["status"]: row["n"] for row in rows}
        print("rows by status:", counts)
        failed += any(status >= 500 and status not in (503, 504) for status in counts)
        assert relay.is_running(), relay.log()[-3000:]
    finally:
        relay.stop()
        sim.stop()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
