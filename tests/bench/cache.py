#!/usr/bin/env python3
"""What the semantic cache serves, and how much of it is wrong: Relay's guards and score, plain thresholds,
and vCache's published rule, on the same streams. `make bench-cache DATA=folder` runs it.

    tests/bench/cache.py DATA [--work FOLDER] [--seeds 20] [--requests 10000] [--error 0.01] [--parts ...]

DATA is a folder with minimal_pairs.tsv (text1, text2, label, test), banking77.tsv (text, intent), qqp.tsv
(text1, text2, label) and sts.tsv (text1, text2, score, source). A wrong answer is a served one whose
question has another class than the asked one, counted per request. Only templates and intents that
scripts/guard_train.py leaves alone are used; qqp.tsv and sts.tsv are for evaluation only and are nowhere
else read.
"""
import argparse
import collections
import multiprocessing
from pathlib import Path

import numpy as np

import cache_lookup
import cache_sts
from cache_data import Minimal, Streams, measured_sizes, minimal_pairs
from cache_streams import Pairs, add, make_stream, run_relay, run_thresholds
from cache_vcache import run_vcache
from guards import Guards, build
from vectors import Vectors

THRESHOLDS = [.80, .81, .82, .83, .84, .85, .86, .87, .88, .89, .90, .91, .92, .925, .93, .935, .94, .945, .95,
              .955, .96, .965, .97, .975, .98, .985, .99, .9925, .995, .9975, .999]
SHOWN = [.80, .85, .90, .92, .94, .95, .96, .97, .98, .99, .995]
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
    print(f"\nminimal pairs never learnt from ({len(pairs)} of {sum(sizes.values())}, templates apart):")
    for value, name in ((0, "another question"), (1, "harmless edit")):
        some = label == value
        print(f"  {name:17} n {some.sum():5}  refused {100 * np.average(refused[some], weights=weight[some]):6.2f} %"
              f"  by a guard alone {100 * np.average(vetoes[some] != 0, weights=weight[some]):6.2f} %"
              f"  (each pair of the sample alike: {100 * refused[some].mean():.2f} %)")
    odd = [f"{c} {100 * refused[code == c].mean():.0f} %" for c in sorted(set(code))
           if refused[code == c].mean() != (label[code == c][0] == 0)]
    print("  tests that are not all right, share refused:", ", ".join(odd))


def best_within(runs, error):
    """Of several settings, the one with most hits whose wrong answers per request stay within error."""
    good = [(add(outs).hits, key) for key, outs in runs.items()
            if add(outs).wrong <= error * add(outs).requests]
    return max(good)[1] if good else None


def plain_at_equal_error(plain, relay):
    """Outcomes of the best plain threshold, chosen for each seed on the other seeds at Relay's own error
    there; an empty one where no threshold has so few wrong answers."""
    chosen = []
    for seed in range(len(relay)):
        others = [s for s in range(len(relay)) if s != seed] or [seed]
        bound = add(relay[s] for s in others)
        key = best_within({k: [outs[s] for s in others] for k, outs in plain.items()},
                          bound.wrong / bound.requests)
        if key is not None:
            chosen.append(plain[key][seed])
    return chosen


class Seed:
    """One seed of one stream under every arm; runs in a process of its own."""

    def __init__(self, args, library):
        self.args, self.library = args, library
        self.ready = None

    def __call__(self, job):
        name, seed = job
        if self.ready is None:
            self.ready = (Guards(self.library), Vectors(self.args.work), Streams(self.args.data, self.args.requests))
        guards, vectors, streams = self.ready
        stream = make_stream(streams.make(name, seed), vectors)
        pairs = Pairs(stream, guards, BYPASS)
        relay = run_relay(stream, pairs, guards.scores, guards.level(self.args.error))
        best = pairs.first[:-1][np.diff(pairs.first) > 0]
        vetoes = {rule: int((pairs.vetoes[best] >> n & 1).sum()) for n, rule in enumerate(guards.rules)}
        vcache = run_vcache(stream, self.args.error, seed) if seed < self.args.vcache_seeds else None
        return relay, run_thresholds(stream, THRESHOLDS), vcache, vetoes, len(stream.texts)


def compare_line(total, plain, seeds):
    if len(plain) < seeds:
        return "no plain threshold up to 0.999 has so few wrong answers" + (" in every seed" if plain else "")
    other = add(plain)
    text = f"{total.hits / other.hits:.2f} times"
    if total.first != total.hits and other.first:
        text += f"; of texts asked for the first time {total.first / other.first:.2f} times"
    return text


def report_stream(name, results, args):
    relay = [r[0] for r in results]
    plain = {t: [r[1][t] for r in results] for t in THRESHOLDS}
    vcache = [r[2] for r in results if r[2]]
    vetoes = sum((collections.Counter(r[3]) for r in results), collections.Counter())
    count = len(results)
    print(f"\nstream \"{name}\": {count} seeds of {relay[0].requests} requests,"
          f" {np.mean([r[4] for r in results]):.0f} texts")
    print(f"  {'':24} {'hits':>7} {'wrong/request':>13} {'wrong/hit':>10}")
    for t in SHOWN:
        print(f"  plain threshold {t:<9}{add(plain[t]).line()}")
    if vcache:
        print(f"  vCache, delta {args.error:<10}{add(vcache).line()}   ({len(vcache)} seeds)")
    total = add(relay)
    print(f"  Relay, max_error {args.error:<7}{total.line()}   ({100 * total.bypassed / total.requests:.1f} % bypassed)")
    within = sum(o.wrong <= args.error * o.requests for o in relay)
    worst = max(o.wrong / o.requests for o in relay)
    print(f"  seeds within {100 * args.error:g} % wrong: {within} of {count}, worst {100 * worst:.2f} %")
    print("  hits over the best plain threshold at equal error, chosen on the other seeds:",
          compare_line(total, plain_at_equal_error(plain, relay), count))
    bound = best_within(plain, args.error)
    if bound is not None:
        print(f"  hits over the best plain threshold within {args.error}:"
              f" {total.hits / max(1, add(plain[bound]).hits):.2f} times (threshold {bound})")
    print("  nearest texts refused by:", ", ".join(f"{n} {c}" for n, c in vetoes.most_common(8)), flush=True)


def report_streams(args, library, vectors):
    streams = Streams(args.data, args.requests)
    wanted = [n for n in Streams.NAMES if args.streams in n]
    vectors.of([t for row in streams.rows for t in row[:2]] + [t for t, _ in streams.intents] +
               [t for pair in streams.minimal for t in pair[:2]])
    vectors.save()
    jobs = [(name, seed) for name in wanted for seed in range(args.seeds)]
    with multiprocessing.Pool(args.jobs, initializer=start, initargs=(args, library)) as pool:
        results = pool.imap(work, jobs)
        for name in wanted:
            report_stream(name, [next(results) for _ in range(args.seeds)], args)


def start(args, library):
    work.seed = Seed(args, library)


def work(job):
    return work.seed(job)


def report_time(guards, texts):
    left = texts[:4000]
    right = left[1:] + left[:1]
    compare = min(guards.compare_us(left, right) for _ in range(5))
    features = min(guards.features_us(left) for _ in range(5))
    size = np.mean([guards.size(t) for t in left])
    print(f"\nguards: a pair is compared in {compare:.2f} us, a text's features take {features:.2f} us and {size:.0f}"
          f" bytes (mean of {np.mean([len(t.split()) for t in left]):.1f} words)")


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("data", type=Path)
    args.add_argument("--work", type=Path, default=Path("build/bench-cache"), help="where vectors are kept")
    args.add_argument("--seeds", type=int, default=20)
    args.add_argument("--vcache-seeds", type=int, default=20)
    args.add_argument("--requests", type=int, default=10000)
    args.add_argument("--error", type=float, default=0.01)
    args.add_argument("--jobs", type=int, default=multiprocessing.cpu_count())
    args.add_argument("--streams", default="", help="only streams with this in their name")
    args.add_argument("--parts", default="minimal,streams,sts,lookup,time")
    args = args.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    library = build(args.work)
    guards, vectors = Guards(library), Vectors(args.work)
    parts = minimal_pairs(args.data / "minimal_pairs.tsv")
    level = guards.level(args.error)
    print(f"max_error {args.error}: level {level:.4f}")
    if "minimal" in args.parts:
        report_minimal(guards, vectors, parts, level, measured_sizes(args.data / "minimal_pairs.tsv"))
    if "time" in args.parts:
        report_time(guards, [p[0] for p in parts[Minimal.MEASURE]])
        cache_sts.report_tokenizer(parts[Minimal.MEASURE])
    if "lookup" in args.parts:
        cache_lookup.report(args.data, vectors)
    if "sts" in args.parts:
        cache_sts.report(args.data / "sts.tsv", args.work)
    if "streams" in args.parts:
        report_streams(args, library, vectors)
    vectors.save()


if __name__ == "__main__":
    main()
