"""src/guard for Python: builds tests/bench/guard_library.c with the compiler of the machine and calls it."""
import ctypes
import os
import subprocess
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
BASE = ["arena.c", "mem.c", "str.c", "str_utf8.c"]


def build(folder=None):
    folder = Path(folder or tempfile.mkdtemp(prefix="relay-guards-"))
    library = folder / "libguards.so"
    sources = [ROOT / "tests/bench/guard_library.c", *sorted((ROOT / "src/guard").glob("*.c")),
               *[ROOT / "src/base" / name for name in BASE]]
    subprocess.run([os.environ.get("CC", "cc"), "-std=c17", "-O2", "-g", "-fPIC", "-shared", "-D_GNU_SOURCE",
                    f"-I{ROOT / 'src'}", "-o", library, *sources, "-lm"], check=True)
    return library


class Guards:
    """Features are made once a text; vetoes are bits, softs rows of floats."""

    def __init__(self, library=None):
        self.c = ctypes.CDLL(str(library or build()))
        for name, result in (("features", ctypes.c_void_p), ("name", ctypes.c_char_p), ("level", ctypes.c_double),
                             ("size", ctypes.c_size_t), ("compare_us", ctypes.c_double),
                             ("features_us", ctypes.c_double), ("traits", ctypes.c_uint32)):
            getattr(self.c, "bench_" + name).restype = result
        self.c.bench_features.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
        self.c.bench_level.argtypes = [ctypes.c_double]
        self.softs = self.c.bench_softs()
        self.rules = [self.c.bench_name(n).decode() for n in range(self.c.bench_rules())]
        self.kept = {}

    def features(self, text):
        if text not in self.kept:
            data = text.encode()
            self.kept[text] = self.c.bench_features(data, len(data))
        return self.kept[text]

    def traits(self, text):
        return self.c.bench_traits(ctypes.c_void_p(self.features(text)))

    def size(self, text):
        return self.c.bench_size(ctypes.c_void_p(self.features(text)))

    def pointers(self, texts):
        return (ctypes.c_void_p * len(texts))(*[self.features(t) for t in texts])

    def compare(self, left, right):
        """(vetoes as uint32, softs as float32 rows) of every pair."""
        vetoes = np.zeros(len(left), np.uint32)
        softs = np.zeros((len(left), self.softs), np.float32)
        self.c.bench_compare(self.pointers(left), self.pointers(right), ctypes.c_size_t(len(left)),
                             vetoes.ctypes.data_as(ctypes.c_void_p), softs.ctypes.data_as(ctypes.c_void_p))
        return vetoes, softs

    def scores(self, softs, cosine, margin):
        softs = np.ascontiguousarray(softs, np.float32)
        cosine = np.ascontiguousarray(cosine, np.float64)
        margin = np.ascontiguousarray(margin, np.float64)
        out = np.zeros(len(cosine))
        self.c.bench_scores(softs.ctypes.data_as(ctypes.c_void_p), cosine.ctypes.data_as(ctypes.c_void_p),
                            margin.ctypes.data_as(ctypes.c_void_p), ctypes.c_size_t(len(cosine)),
                            out.ctypes.data_as(ctypes.c_void_p))
        return out

    def inputs(self, softs, cosine, margin):
        softs = np.ascontiguousarray(softs, np.float32)
        cosine = np.ascontiguousarray(cosine, np.float64)
        margin = np.ascontiguousarray(margin, np.float64)
        out = np.zeros((len(cosine), self.c.bench_input_count()))
        self.c.bench_inputs(softs.ctypes.data_as(ctypes.c_void_p), cosine.ctypes.data_as(ctypes.c_void_p),
                            margin.ctypes.data_as(ctypes.c_void_p), ctypes.c_size_t(len(cosine)),
                            out.ctypes.data_as(ctypes.c_void_p))
        return out

    def level(self, max_error):
        return self.c.bench_level(max_error)

    def compare_us(self, left, right):
        return self.c.bench_compare_us(self.pointers(left), self.pointers(right), ctypes.c_size_t(len(left)))

    def features_us(self, texts):
        array = (ctypes.c_char_p * len(texts))(*[t.replace("\0", " ").encode() for t in texts])
        return self.c.bench_features_us(array, ctypes.c_size_t(len(texts)))

    def names(self, bits):
        return [name for n, name in enumerate(self.rules) if bits >> n & 1]
