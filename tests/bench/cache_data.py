"""Which part of the data may be learnt from, and which is kept for measuring. All choices are hashes."""
import random
from enum import Enum

from cache_streams import in_half, read_rows, template

PER_TEST = 200


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
