#!/usr/bin/env python3
"""Trains the score behind the guards and calibrates its levels: writes src/guard/score.inc.

    scripts/build.sh release relay-embed && scripts/model.sh
    python3 -m venv .venv && .venv/bin/pip install -r tests/bench/requirements.txt
    .venv/bin/python scripts/guard_train.py DATA [--work FOLDER]

DATA is a folder with minimal_pairs.tsv (text1, text2, label, test; from CheckList, MIT) and banking77.tsv
(text, intent; CC BY 4.0). Half of the sentence templates and half of the intents are left to
tests/bench/cache.py; of the other half a part fits the model and the rest calibrates. Every feature comes
from src/guard itself, compiled into a library. The same input gives the same file: all choices are hashes
and fixed seeds.
"""
import argparse
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests/bench"), str(ROOT / "scripts")]

import guard_pairs  # noqa: E402
from cache_data import Minimal, intents_of, minimal_pairs  # noqa: E402
from cache_streams import Pairs, classes_of_pairs, make_stream, margins, run_relay, shuffled  # noqa: E402
from guards import Guards, build  # noqa: E402
from vectors import Vectors  # noqa: E402

ERRORS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1]
OWN_PAIRS = 2000
RIDGE = 3.0
# What each part weighs. Intents are coarse (two questions of one intent may want two answers), so less.
SHARES = {"minimal pairs": 2000, "own pairs": 2000, "banking77": 300}
LEVELS = 1 / (1 + np.exp(-np.arange(-4, 10.01, 0.1)))
NO_MARGIN = 0.1  # of a pair that stands alone
# Of each input of guard_inputs() the sign that makes sense; 0: not used by itself, since length, names and
# kind of question tell the parts of the training apart rather than right from wrong.
SIGNS = [-1, -1, -1, 1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 1, 1, 1, -1, -1, -1, -1, -1]


def fit_free(x, y, weight):
    """Weighted logistic regression with a ridge, by Newton's method on standardised inputs."""
    mean = np.average(x, axis=0, weights=weight)
    spread = np.sqrt(np.average((x - mean) ** 2, axis=0, weights=weight)) + 1e-6
    z = np.c_[np.ones(len(x)), (x - mean) / spread]
    b = np.zeros(z.shape[1])
    ridge = np.r_[0, np.full(x.shape[1], RIDGE)]
    for _ in range(50):
        p = 1 / (1 + np.exp(-z @ b))
        step = np.linalg.solve((z * (weight * p * (1 - p))[:, None]).T @ z + np.diag(ridge + 1e-9),
                               z.T @ (weight * (p - y)) + ridge * b)
        b -= step
        if np.abs(step).max() < 1e-9:
            break
    weights = b[1:] / spread
    return b[0] - weights @ mean, weights


def fit(x, y, weight):
    """The same, without inputs whose weight has a sign that cannot be right: a difference never speaks for
    two texts, nor nearness against them. What the data say otherwise is an accident of how they were made."""
    used = np.array(SIGNS) != 0
    while True:
        bias, some = fit_free(x[:, used], y, weight)
        weights = np.zeros(len(SIGNS))
        weights[used] = some
        wrong = [s * w * x[:, n].std() for n, (s, w) in enumerate(zip(SIGNS, weights))]
        if min(wrong) >= 0:
            return bias, weights
        used[int(np.argmin(wrong))] = False  # one at a time: the others may come right without it


def pair_inputs(guards, vectors, pairs):
    """(inputs, labels, open) of pairs that stand alone; open is where no guard speaks."""
    left, right = [p[0] for p in pairs], [p[1] for p in pairs]
    cosine = (vectors.of(left) * vectors.of(right)).sum(1)
    vetoes, softs = guards.compare(left, right)
    margin = np.full(len(pairs), NO_MARGIN)
    return guards.inputs(softs, cosine, margin), np.array([p[2] for p in pairs], float), vetoes == 0


def stream_inputs(guards, stream, pairs):
    """The same for each text's nearest three in a stream."""
    label = (stream.labels[pairs.row] == stream.labels[pairs.other]).astype(float)
    margin = np.concatenate([margins(pairs.cosine[at:to]) for at, to in zip(pairs.first, pairs.first[1:])])
    column = np.arange(len(pairs.row)) - pairs.first[pairs.row]
    near = (column < 3) & (pairs.vetoes == 0)
    return guards.inputs(pairs.softs[near], pairs.cosine[near], margin[near]), label[near]


def train(guards, parts):
    xs, ys, ws = [], [], []
    for name, x, y in parts:
        xs.append(x)
        ys.append(y)
        ws.append(np.full(len(y), SHARES[name] / len(y)))
        print(f"fit on {name}: {len(y)} pairs that no guard refuses, {100 * y.mean():.1f} % of them the same")
    return fit(np.concatenate(xs), np.concatenate(ys), np.concatenate(ws))


def level_of_pairs(score, wrong_open, total, error):
    """Conformal risk control: the least level with (wrong + 1) / (n + 1) <= error, each pair a request."""
    allowed = int(np.floor(error * (total + 1))) - 1
    if allowed < 0:
        return 1.0
    order = np.sort(score[wrong_open])[::-1]
    return float(np.nextafter(order[allowed], 2)) if len(order) > allowed else 0.0


def risks_of_stream(stream, pairs, score):
    """(level, bound of the risk) from the highest level down, run as the cache would: what it serves
    changes what it stores. Ends where the risk is larger than any that is asked for."""
    risks = []
    for level in LEVELS[::-1]:
        outcome = run_relay(stream, pairs, score, level)
        risks.append((level, (outcome.wrong + 1) / (outcome.requests + 1)))
        if risks[-1][1] > max(ERRORS):
            break
    return risks


def level_of_stream(risks, error):
    """The least level that holds, and every level above it does too."""
    best = 1.0
    for level, risk in risks:
        if risk > error:
            break
        best = level
    return best


def write(bias, weights, steps):
    rows = "\n".join(f"    {w!r}," for w in weights.tolist())
    table = "\n".join(f"    {{{e!r}, {level!r}}}," for e, level in steps)
    (ROOT / "src/guard/score.inc").write_text(
        "/* Made by scripts/guard_train.py. Trained on CheckList's minimal pairs (MIT), BANKING77 (CC BY 4.0,\n"
        " * PolyAI) and pairs of its own making; docs/guides/cache-safety.md has the figures. */\n"
        f"static const double score_bias = {float(bias)!r};\n\n"
        f"static const double score_weights[GUARD_INPUTS] = {{\n{rows}\n}};\n\n"
        f"static const struct guard_step score_steps[] = {{\n{table}\n}};\n", encoding="utf-8")


def main():
    args = argparse.ArgumentParser()
    args.add_argument("data", type=Path)
    args.add_argument("--work", type=Path, default=ROOT / "build/bench-cache", help="where vectors are kept")
    args = args.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    guards, vectors = Guards(build(args.work)), Vectors(args.work)

    minimal = minimal_pairs(args.data / "minimal_pairs.tsv")
    own = guard_pairs.make(OWN_PAIRS, 1)
    fit_stream = make_stream(shuffled(intents_of(args.data / "banking77.tsv", "fit"), 1), vectors)
    parts = []
    x, y, open_ = pair_inputs(guards, vectors, minimal[Minimal.FIT])
    parts.append(("minimal pairs", x[open_], y[open_]))
    fit_own = [p for p in own + guard_pairs.make_same_words(2) if p[3] == 0]
    x, y, open_ = pair_inputs(guards, vectors, fit_own)
    parts.append(("own pairs", x[open_], y[open_]))
    parts.append(("banking77", *stream_inputs(guards, fit_stream, Pairs(fit_stream, guards, 0))))
    # Rounded, so that the order in which a machine sums does not show in the file.
    bias, weights = (np.round(v, 4) for v in train(guards, parts))

    def score_inputs(x):
        return 1 / (1 + np.exp(-(bias + x @ weights)))

    def score(softs, cosine, margin):
        return score_inputs(guards.inputs(softs, cosine, margin))

    x, y, open_ = pair_inputs(guards, vectors, minimal[Minimal.CALIBRATE])
    other = y == 0
    held_own = [(p[0], p[1], str(p[2])) for p in own if p[3] == 1]
    streams = [make_stream(shuffled(classes_of_pairs(held_own).items(), 2), vectors),
               make_stream(shuffled(intents_of(args.data / "banking77.tsv", "calibrate"), 3), vectors)]
    pairs = [Pairs(s, guards, 0) for s in streams]
    vectors.save()
    risks = [risks_of_stream(s, p, score) for s, p in zip(streams, pairs)]
    steps = []
    print("levels by conformal risk control on what the model was not fitted to: minimal pairs that differ "
          f"({int(other.sum())}), a stream of own pairs ({len(streams[0].texts)}), banking77 ({len(streams[1].texts)})")
    for error in ERRORS:
        levels = [level_of_pairs(score_inputs(x), other & open_, int(other.sum()), error)]
        levels += [level_of_stream(r, error) for r in risks]
        steps.append((error, float(max(levels))))
        print(f"  {error}: " + " ".join(f"{v:.4f}" for v in levels))
    write(bias, weights, steps)
    print(f"bias {bias:.2f}, weights:", " ".join(f"{w:.2f}" for w in weights))


if __name__ == "__main__":
    main()
