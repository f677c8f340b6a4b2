"""Streams of labelled questions, and what a cache in front of them would have done."""
import hashlib
import random
import re
from dataclasses import dataclass

import numpy as np

NEIGHBOURS = 48  # earlier texts that are looked at for each request
CANDIDATES = 8   # entries that Relay's decision looks at
FLOOR = 0.75     # no entry below this cosine is looked at: the default of cache.threshold


def read_rows(file):
    with open(file, encoding="utf-8") as lines:
        return [line.rstrip("\n").split("\t") for line in lines][1:]


def classes_of_pairs(rows):
    """{text: class} by joining the two texts of every positive pair."""
    up = {}

    def find(t):
        while up.setdefault(t, t) != t:
            up[t] = up[up[t]]
            t = up[t]
        return t

    for left, right, label, *_ in rows:
        a, b = find(left), find(right)
        if label == "1":
            up[b] = a
    return {t: find(t) for t in up}


def template(text, code):
    """What a sentence is made from: names and numbers out, so that both halves of a split share none."""
    plain = re.sub(r"(?<!^)\b[A-Z][\w'-]*", "N", text)
    return code + " " + re.sub(r"\d+", "0", plain).lower()


def in_half(text, seed):
    """One of two halves, by a hash that is the same everywhere."""
    return hashlib.blake2b(f"{seed} {text}".encode()).digest()[0] & 1


@dataclass
class Stream:
    texts: list
    labels: list
    cosines: np.ndarray    # of every request to NEIGHBOURS earlier ones, best first; -1 where there are none
    neighbours: np.ndarray


def make_stream(items, vectors, seed):
    """A shuffled stream of (text, class), each text once."""
    items = list(dict(items).items())
    random.Random(seed).shuffle(items)
    texts = [t for t, _ in items]
    table = vectors.of(texts)
    count = len(texts)
    width = min(NEIGHBOURS, count)
    cosines = np.full((count, width), -1, np.float32)
    neighbours = np.zeros((count, width), np.int32)
    for at in range(0, count, 1024):
        to = min(at + 1024, count)
        block = table[at:to] @ table[:to].T
        for row in range(at, to):
            block[row - at, row:] = -1
        some = min(width, to)
        best = np.argpartition(-block, some - 1, axis=1)[:, :some]
        value = np.take_along_axis(block, best, 1)
        order = np.argsort(-value, axis=1)
        cosines[at:to, :some] = np.take_along_axis(value, order, 1)
        neighbours[at:to, :some] = np.take_along_axis(best, order, 1)
    return Stream(texts, [c for _, c in items], cosines, neighbours)


@dataclass
class Outcome:
    requests: int
    hits: int
    wrong: int
    bypassed: int = 0

    def line(self):
        hit, wrong = self.hits / self.requests, self.wrong / self.requests
        each = self.wrong / self.hits if self.hits else 0.0
        return f"{100 * hit:6.2f} % {100 * wrong:7.3f} % {100 * each:7.2f} %"


def add(outcomes):
    outcomes = list(outcomes)
    return Outcome(*[sum(getattr(o, f) for o in outcomes) for f in ("requests", "hits", "wrong", "bypassed")])


def run_threshold(stream, level):
    """Serve the nearest entry from a cosine on; every miss is stored."""
    stored = np.zeros(len(stream.texts), bool)
    hits = wrong = 0
    for i, label in enumerate(stream.labels):
        near = stream.neighbours[i][stream.cosines[i] >= level]
        near = near[stored[near]]
        if len(near):
            hits += 1
            wrong += stream.labels[near[0]] != label
        else:
            stored[i] = True
    return Outcome(len(stream.texts), hits, wrong)


class Pairs:
    """Vetoes and softs of every pair that may be asked for, made once a stream."""

    def __init__(self, stream, guards, bypass):
        self.rows, self.columns = np.nonzero(stream.cosines >= FLOOR)
        left = [stream.texts[i] for i in self.rows]
        right = [stream.texts[stream.neighbours[i, j]] for i, j in zip(self.rows, self.columns)]
        self.vetoes, self.softs = guards.compare(left, right)
        self.first = np.searchsorted(self.rows, np.arange(len(stream.texts) + 1))
        self.bypass = np.array([guards.traits(t) & bypass != 0 for t in stream.texts], bool)


def run_relay(stream, pairs, score, level):
    """Of the nearest stored entries the one with the best score, where no guard speaks against it.

    score(softs, cosines, margins) is the C function or one that is being trained."""
    stored = np.zeros(len(stream.texts), bool)
    hits = wrong = 0
    for i, label in enumerate(stream.labels):
        if pairs.bypass[i]:
            continue
        some = np.arange(pairs.first[i], pairs.first[i + 1])
        entry = stream.neighbours[i][pairs.columns[some]]
        some, entry = some[stored[entry]][:CANDIDATES + 1], entry[stored[entry]][:CANDIDATES + 1]
        served = choose(stream, pairs, score, level, i, some, entry)
        if served is None:
            stored[i] = True
        else:
            hits += 1
            wrong += stream.labels[served] != label
    return Outcome(len(stream.texts), hits, wrong, int(pairs.bypass.sum()))


def margins(cosines):
    """Of each candidate, best first: its cosine less the best other's."""
    out = cosines.copy()
    if len(cosines) > 1:
        out[0] = cosines[0] - cosines[1]
        out[1:] = cosines[1:] - cosines[0]
    return out


def choose(stream, pairs, score, level, i, some, entry):
    """The entry to serve, or None."""
    if len(some) == 0:
        return None
    cosine = stream.cosines[i][pairs.columns[some]]
    good = np.nonzero(pairs.vetoes[some][:CANDIDATES] == 0)[0]
    if len(good) == 0:
        return None
    scores = score(pairs.softs[some[good]], cosine[good], margins(cosine)[good])
    best = int(np.argmax(scores))
    return entry[good[best]] if scores[best] >= level else None
