"""The vector index among 100,000 entries, beside faiss-cpu's exact and HNSW indexes in the same run."""
import subprocess
import time

import numpy as np

from cache_streams import FLOOR, read_rows
from vectors import ROOT

PROGRAM = ROOT / "build/release/bench/relay-nearest"
ENTRIES = 100_000
QUERIES = 2000
SLOW_QUERIES = 200  # of the exact scan, which takes milliseconds
CANDIDATES = 8


def texts_of(folder):
    """All texts of the data, each once, in an order that mixes the files."""
    texts = {}
    for name, columns in (("qqp.tsv", 2), ("banking77.tsv", 1), ("minimal_pairs.tsv", 2), ("sts.tsv", 2)):
        for row in read_rows(folder / name):
            texts.update(dict.fromkeys(row[:columns]))
    order = np.random.default_rng(7).permutation(len(texts))
    texts = list(texts)
    return [texts[i] for i in order]


def relay(entries, queries):
    """(microseconds of each query, nearest entry or -1)."""
    data = np.concatenate([entries, queries]).astype(np.float32).tobytes()
    run = subprocess.run([PROGRAM, str(len(entries)), str(len(queries)), str(FLOOR)], input=data,
                         capture_output=True, check=True)
    rows = np.array([line.split() for line in run.stdout.decode().splitlines()], float)
    return rows[:, 0] / 1000, rows[:, 1].astype(int)


def timed(index, queries):
    took, found = [], []
    for query in queries:
        start = time.thread_time()
        _, nearest = index.search(query[None], CANDIDATES)
        took.append(1e6 * (time.thread_time() - start))
        found.append(nearest[0, 0])
    return np.array(took), np.array(found)


def line(name, took, found, best, near):
    right = found == best[:len(found)]
    some = near[:len(found)]
    print(f"  {name:22} {np.median(took):9.0f} {np.percentile(took, 99):9.0f}"
          f" {right[some].mean():12.4f}   ({some.sum()} of {len(found)} queries)", flush=True)


def report(folder, vectors):
    import faiss
    faiss.omp_set_num_threads(1)
    texts = texts_of(folder)
    queries = min(QUERIES, len(texts) // 10)
    texts = texts[:ENTRIES + queries]
    table = vectors.of(texts)
    vectors.save()
    entries, asked = np.ascontiguousarray(table[:-queries]), np.ascontiguousarray(table[-queries:])
    cosine = np.concatenate([asked[n:n + 256] @ entries.T for n in range(0, queries, 256)])
    best, near = cosine.argmax(1), cosine.max(1) >= FLOOR
    print(f"\nlookup among {len(entries)} entries, one thread, us of the processor; recall where the best reaches {FLOOR}")
    print(f"  {'':22} {'median':>9} {'p99':>9} {'recall@1':>12}")
    took, found = relay(entries, asked)
    line("Relay", took, found, np.where(near, best, -1), near)
    for name, make, count in (("faiss IndexFlatIP", lambda: faiss.IndexFlatIP(384), SLOW_QUERIES),
                              ("faiss HNSWFlat 16, 64", lambda: hnsw(faiss), queries)):
        index = make()
        index.add(entries)
        took, found = timed(index, asked[:count])
        line(name, took, found, best, near)


def hnsw(faiss):
    index = faiss.IndexHNSWFlat(384, 16, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efSearch = 64
    return index
