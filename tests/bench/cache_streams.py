"""Streams of labelled questions, and what a cache in front of them would have done.

A stream is requests for texts that may come back; an answer to another text of the same class is right.
Every arm has the same exact cache in front: a text whose own answer is stored is served that."""
import hashlib
import random
import re
from dataclasses import dataclass

import numpy as np

CANDIDATES = 8   # entries that Relay's decision looks at
FLOOR = 0.75     # no entry below this cosine is looked at: the default of cache.threshold
FAR = 0.5        # below it two questions are taken to be different without asking


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
    texts: list         # each once
    labels: np.ndarray  # their classes, as numbers
    requests: list      # places in texts
    first: np.ndarray   # the neighbours of text i stand at first[i] to first[i + 1]
    other: np.ndarray   # a place in texts, best first
    cosine: np.ndarray


def make_stream(requests, vectors):
    """Of (text, class) in their order; the same text has one class."""
    place, numbers, labels = {}, {}, []
    for text, name in requests:
        if text not in place:
            place[text] = len(place)
            labels.append(numbers.setdefault(name, len(numbers)))
    texts = list(place)
    table = vectors.of(texts)
    rows, others, cosines = [], [], []
    for at in range(0, len(texts), 512):
        block = table[at:at + 512] @ table.T
        block[np.arange(len(block)), at + np.arange(len(block))] = -1  # no neighbour of its own
        row, other = np.nonzero(block >= FAR)
        cosine = block[row, other]
        order = np.lexsort((-cosine, row))
        rows.append(at + row)
        others.append(other[order].astype(np.int32))
        cosines.append(cosine[order])
    first = np.searchsorted(np.concatenate(rows), np.arange(len(texts) + 1))
    return Stream(texts, np.array(labels), [place[t] for t, _ in requests], first,
                  np.concatenate(others), np.concatenate(cosines).astype(np.float64))


@dataclass
class Outcome:
    requests: int
    hits: int = 0
    wrong: int = 0
    first: int = 0     # hits of texts that were asked for the first time
    bypassed: int = 0

    def note(self, right, first):
        self.hits += 1
        self.wrong += int(not right)
        self.first += int(first)

    def line(self):
        hit, wrong = self.hits / self.requests, self.wrong / self.requests
        each = self.wrong / self.hits if self.hits else 0.0
        return f"{100 * hit:6.2f} % {100 * wrong:8.3f} % {100 * each:8.2f} %"


def add(outcomes):
    outcomes = list(outcomes)
    return Outcome(*[sum(getattr(o, f) for o in outcomes) for f in ("requests", "hits", "wrong", "first", "bypassed")])


def run_thresholds(stream, levels):
    """{level: outcome}: serve the nearest entry from a cosine on; every miss is stored."""
    outcomes = {}
    for level in levels:
        stored, asked = np.zeros((2, len(stream.texts)), bool)
        outcome = outcomes[level] = Outcome(len(stream.requests))
        for i in stream.requests:
            entry = i if stored[i] else nearest(stream, stored, i, level)[0]
            if entry is None:
                stored[i] = True
            else:
                outcome.note(stream.labels[entry] == stream.labels[i], not asked[i])
            asked[i] = True
    return outcomes


def nearest(stream, stored, i, level):
    """(place, cosine) of the nearest that is stored, from a cosine on; or (None, 0)."""
    at, to = stream.first[i], stream.first[i + 1]
    if to > at and stream.cosine[at] >= level:
        near = stored[stream.other[at:to]]
        best = int(near.argmax())
        if near[best] and stream.cosine[at + best] >= level:
            return int(stream.other[at + best]), float(stream.cosine[at + best])
    return None, 0.0


class Pairs:
    """Vetoes and softs of every pair that may be asked for, made once a stream."""

    def __init__(self, stream, guards, bypass):
        self.near = np.nonzero(stream.cosine >= FLOOR)[0]
        row = np.repeat(np.arange(len(stream.texts)), np.diff(stream.first))[self.near]
        self.other = stream.other[self.near]
        self.cosine = stream.cosine[self.near]
        self.vetoes, self.softs = guards.compare([stream.texts[i] for i in row],
                                                 [stream.texts[i] for i in self.other])
        self.row = row
        self.first = np.searchsorted(row, np.arange(len(stream.texts) + 1))
        self.bypass = np.array([guards.traits(t) & bypass != 0 for t in stream.texts], bool)


def run_relay(stream, pairs, score, level):
    """Of the nearest stored entries the one with the best score, where no guard speaks against it.

    score(softs, cosines, margins) is the C function or one that is being trained."""
    stored, asked = np.zeros((2, len(stream.texts)), bool)
    outcome = Outcome(len(stream.requests))
    for i in stream.requests:
        entry = i if stored[i] else None
        if entry is None and pairs.bypass[i]:
            outcome.bypassed += 1
        elif entry is None:
            some = np.arange(pairs.first[i], pairs.first[i + 1])
            # What is stored of a text that steps aside serves that very text only.
            live = stored[pairs.other[some]] & ~pairs.bypass[pairs.other[some]]
            entry = choose(pairs, score, level, some[live][:CANDIDATES + 1])
        if entry is None:
            stored[i] = True
        else:
            outcome.note(stream.labels[entry] == stream.labels[i], not asked[i])
        asked[i] = True
    return outcome


def margins(cosines):
    """Of each candidate, best first: its cosine less the best other's."""
    out = cosines.copy()
    if len(cosines) > 1:
        out[0] = cosines[0] - cosines[1]
        out[1:] = cosines[1:] - cosines[0]
    return out


def choose(pairs, score, level, some):
    """The entry to serve, or None."""
    good = np.nonzero(pairs.vetoes[some][:CANDIDATES] == 0)[0]
    if len(good) == 0:
        return None
    scores = score(pairs.softs[some[good]], pairs.cosine[some[good]], margins(pairs.cosine[some])[good])
    best = int(np.argmax(scores))
    return int(pairs.other[some[good[best]]]) if scores[best] >= level else None


def shuffled(items, seed):
    items = list(dict(items).items())
    random.Random(seed).shuffle(items)
    return items
