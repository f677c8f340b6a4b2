"""Which part of the data may be learnt from, which is kept for measuring, and the streams made of that.

All choices are hashes or come from a seed."""
import random
from enum import Enum

from cache_streams import classes_of_pairs, in_half, read_rows, template

PER_TEST = 200
NEAR_MISSES = 0.05  # of the requests of a stream that has them
BACK = 0.8          # exponent of Zipf's law, by which the intents are drawn


class Minimal(Enum):
    FIT = 0
    CALIBRATE = 1
    MEASURE = 2


def minimal_rows(file, per_test=PER_TEST):
    """At most so many pairs of each test; the encoder is slow, and the tests are of one pattern each."""
    tests = {}
    for row in read_rows(file):
        tests.setdefault(row[3], []).append(row)
    rng = random.Random(5)
    return [row for code in sorted(tests) for row in rng.sample(tests[code], min(per_test, len(tests[code])))]


def minimal_part(row):
    key = template(row[0], row[3])
    if in_half(key, 1):
        return Minimal.MEASURE
    return Minimal.FIT if in_half(key, 2) else Minimal.CALIBRATE


def minimal_pairs(file, per_test=PER_TEST):
    """{part: [(text, text, label, test)]}; no sentence template is in two parts."""
    parts = {part: [] for part in Minimal}
    for row in minimal_rows(file, per_test):
        parts[minimal_part(row)].append((row[0], row[1], int(row[2]), row[3]))
    return parts


def measured_sizes(file):
    """{test: how many of all its pairs are in the half that is measured}."""
    sizes = {}
    for row in read_rows(file):
        if minimal_part(row) is Minimal.MEASURE:
            sizes[row[3]] = sizes.get(row[3], 0) + 1
    return sizes


def intent_part(intent):
    if in_half(intent, 3):
        return "measure"
    return "fit" if in_half(intent, 4) else "calibrate"


def intents_of(file, part):
    return [(text, intent) for text, intent in read_rows(file) if intent_part(intent) == part]


def questions(rows, classes, count, rng):
    """Both texts of pairs, each text once, in any order: equal ones and what looks like them."""
    texts = {}
    for row in rng.sample(rows, len(rows)):
        if len(texts) >= count:
            break
        texts.update({t: classes[t] for t in row[:2]})
    items = list(texts.items())
    rng.shuffle(items)
    return items[:count]


def intents(items, count, rng):
    """Some intents come often and some seldom; texts come back."""
    by = {}
    for text, intent in items:
        by.setdefault(intent, []).append(text)
    names = sorted(by)
    rng.shuffle(names)
    drawn = rng.choices(names, [1 / (n + 1) ** BACK for n in range(len(names))], k=count)
    return [(rng.choice(by[name]), name) for name in drawn]


def with_near_misses(requests, pairs, rng):
    """A part of the requests gives way to minimal pairs, each right after what it looks like."""
    classes = classes_of_pairs([(p[0], p[1], str(p[2])) for p in pairs])
    other = [p for p in pairs if p[2] == 0]
    some = rng.sample(other, min(int(NEAR_MISSES * len(requests)), len(other)))
    kept = requests[:len(requests) - 2 * len(some)]
    places = rng.sample(range(len(kept)), len(some))
    after = dict(zip(places, some))
    out = []
    for n, request in enumerate(kept):
        out.append(request)
        if n in after:
            out += [(t, "minimal " + classes[t]) for t in after[n][:2]]
    return out


class Streams:
    """Requests of each kind, by seed, of data that nothing was learnt from."""

    NAMES = ["questions", "questions, near misses", "intents", "intents, near misses"]

    def __init__(self, folder, count):
        self.rows = read_rows(folder / "qqp.tsv")
        self.classes = classes_of_pairs(self.rows)
        self.intents = intents_of(folder / "banking77.tsv", "measure")
        self.minimal = minimal_pairs(folder / "minimal_pairs.tsv")[Minimal.MEASURE]
        self.count = count

    def make(self, name, seed):
        rng = random.Random(f"{name} {seed}")
        kind, *more = name.split(", ")
        if kind == "questions":
            requests = questions(self.rows, self.classes, self.count, rng)
        else:
            requests = intents(self.intents, self.count, rng)
        return with_near_misses(requests, self.minimal, rng) if more else requests
