"""Vectors of texts from Relay's own encoder (relay-embed of tests/embed), kept in a file between runs."""
import hashlib
import struct
import subprocess
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "build/release/bench/relay-embed"
MODEL = ROOT / "build/models/all-MiniLM-L6-v2"
WIDTH = 384
AT_ONCE = 4096


def encode(texts, precision):
    data = b"".join(struct.pack("<I", len(raw)) + raw for raw in (text.encode() for text in texts))
    run = subprocess.run([PROGRAM, MODEL, precision, "-", "vectors"], input=data, capture_output=True, check=False)
    if run.returncode != 0:
        raise SystemExit(run.stderr.decode())
    return np.frombuffer(run.stdout, np.float32).reshape(-1, WIDTH)


class Vectors:
    """A text's vector, from the file or from the encoder; `save` keeps what was new."""

    def __init__(self, folder, precision="f32"):
        self.file, self.precision = Path(folder) / f"vectors-{precision}.npz", precision
        self.row, self.table, self.new = {}, np.zeros((0, WIDTH), np.float32), 0
        if self.file.exists():
            with np.load(self.file) as kept:
                self.table = kept["vectors"]
                self.row = {key: n for n, key in enumerate(kept["keys"].tolist())}

    @staticmethod
    def key(text):
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def of(self, texts):
        """One row a text."""
        keys = [self.key(text) for text in texts]
        missing = list({k: t for k, t in zip(keys, texts) if k not in self.row}.items())
        for at in range(0, len(missing), AT_ONCE):
            self.add(missing[at:at + AT_ONCE])
            if len(missing) > AT_ONCE:
                print(f"  encoding, {self.precision}: {min(at + AT_ONCE, len(missing))} of {len(missing)} texts", flush=True)
        return self.table[[self.row[k] for k in keys]]

    def add(self, some):
        fresh = encode([text for _, text in some], self.precision)
        for n, (key, _) in enumerate(some):
            self.row[key] = len(self.table) + n
        self.table = np.concatenate([self.table, fresh])
        self.new += len(some)

    def save(self):
        if self.new:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            np.savez(self.file, keys=np.array(list(self.row), dtype="U32"), vectors=self.table)
            self.new = 0
