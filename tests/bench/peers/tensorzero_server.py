"""TensorZero's gateway as its package starts it, an HTTP server on a free port of loopback, which is
printed: tensorzero_server.py CONFIG"""

import signal
import sys
import warnings

import tensorzero


class Client:
    """In the place of OpenAI's client, which the package would make talk to the gateway."""

    base_url = None


warnings.simplefilter("ignore", DeprecationWarning)
client = tensorzero.patch_openai_client(Client(), config_file=sys.argv[1], async_setup=False)  # keeps it running
print("listening:", client.base_url, flush=True)
signal.pause()
