"""The encoder's agreement with people (STS) and the tokenizer's time, through relay-embed."""
import subprocess

import numpy as np

from cache_streams import read_rows
from vectors import MODEL, PROGRAM, Vectors

# Spearman x 100 of the float64 reference, all pairs of a year together.
REFERENCE = {"13": 80.600, "14": 75.600, "15": 85.390, "16": 78.986}
TOKENS = 16


def ranks(x):
    """Equal values share the mean of their ranks."""
    _, inverse, counts = np.unique(x, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return ((last - counts + 1 + last) / 2)[inverse]


def spearman(x, y):
    return float(np.corrcoef(ranks(np.asarray(x)), ranks(np.asarray(y)))[0, 1])


def report(file, work):
    rows = read_rows(file)
    print("\nSTS, Spearman x 100 (reference: the float64 forward of all-MiniLM-L6-v2)")
    print(f"  {'':10}" + "".join(f"{'STS' + year:>10}" for year in REFERENCE))
    print(f"  {'reference':10}" + "".join(f"{value:10.3f}" for value in REFERENCE.values()))
    for precision in ("f32", "int8"):
        vectors = Vectors(work, precision)
        cosine = (vectors.of([r[0] for r in rows]) * vectors.of([r[1] for r in rows])).sum(1)
        vectors.save()
        line = f"  {precision:10}"
        for year in REFERENCE:
            of_year = [n for n, r in enumerate(rows) if f"/20{year}/" in r[3]]
            found = 100 * spearman(cosine[of_year], [float(rows[n][2]) for n in of_year]) if of_year else float("nan")
            line += f"{found:10.3f}"
        print(line, flush=True)


def report_tokenizer(pairs):
    """Microseconds of the processor for a text of 16 tokens."""
    texts = sorted({p[0] for p in pairs}, key=lambda t: (abs(len(t) - 60), t))[:400]
    counts = token_counts(texts)
    some = [t for t, n in zip(texts, counts) if n == TOKENS][:20]
    if not some:
        print("tokenizer: no text of 16 tokens here")
        return
    data = b"".join(f"text {len(raw)}\n".encode() + raw for raw in (t.encode() for t in some))
    run = subprocess.run([PROGRAM, MODEL, "f32", "-", "time"], input=data, capture_output=True, check=True)
    times = [float(ns) / 1000 for ns in run.stdout.split()]
    print(f"tokenizer: a text of {TOKENS} tokens takes {np.median(times):.2f} us"
          f" (median of {len(times)} times 1,000 runs, {len(some)} texts; least {min(times):.2f})")


def token_counts(texts):
    data = b"".join(len(raw).to_bytes(4, "little") + raw for raw in (t.encode() for t in texts))
    raw = subprocess.run([PROGRAM, MODEL, "f32", "-", "tokens"], input=data, capture_output=True, check=True).stdout
    counts, at = [], 0
    while at < len(raw):
        counts.append(int.from_bytes(raw[at:at + 4], "little"))
        at += 4 + 2 * counts[-1]
    return counts
