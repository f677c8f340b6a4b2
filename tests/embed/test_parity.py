"""src/embed beside the tokenizers package and a float64 forward in numpy, on the real model's files.

Where they are comes from the environment: RELAY_EMBED (the program), RELAY_MODEL (the folder)."""
import os
import random
import struct
import subprocess

import numpy as np
import pytest

import texts
from reference import Reference

MODEL = os.environ["RELAY_MODEL"]
PROGRAM = os.environ["RELAY_EMBED"]


def ask(mode, precision, lines, kernels="-"):
    """The program's answers to the lines, as bytes."""
    data = b"".join(struct.pack("<I", len(raw)) + raw for raw in (line.encode() for line in lines))
    run = subprocess.run([PROGRAM, MODEL, precision, kernels, mode], input=data, capture_output=True, check=False)
    assert run.returncode == 0, run.stderr.decode()
    return run.stdout


def vectors(precision, lines, kernels="-"):
    return np.frombuffer(ask("vectors", precision, lines, kernels), np.float32).reshape(-1, 384).astype(np.float64)


def token_ids(lines):
    raw, at = ask("tokens", "f32", lines), 0
    while at < len(raw):
        count = struct.unpack_from("<I", raw, at)[0]
        yield list(struct.unpack_from(f"<{count}H", raw, at + 4))
        at += 4 + 2 * count


@pytest.fixture(scope="session")
def reference():
    return Reference(MODEL)


def assert_same_ids(reference, lines):
    ours, count = token_ids(lines), 0
    for start in range(0, len(lines), 20000):
        for line, theirs in zip(lines[start:start + 20000],
                                reference.tokenizer.encode_batch_fast(lines[start:start + 20000])):
            got = next(ours)
            assert got == theirs.ids, f"{line!r} ({' '.join(f'{ord(c):04x}' for c in line[:40])})"
            count += 1
    assert count == len(lines) and next(ours, None) is None


def test_token_ids_of_known_texts():
    assert list(token_ids(["", "Crème brûlée — naïve façade №5 東京"])) == [
        [101, 102],
        [101, 13675, 21382, 7987, 9307, 2063, 1517, 15743, 8508, 1578, 2629, 1879, 1755, 102]]


def test_token_ids_of_every_code_point(reference):
    """In groups of 16, so that [UNK] of one does not hide another: each is between blanks."""
    chars = list(texts.every_code_point())
    assert_same_ids(reference, ["\n".join(chars[at:at + 16]) for at in range(0, len(chars), 16)])


def test_token_ids_of_a_hundred_thousand_lines(reference):
    words = [word for word, _ in sorted(reference.tokenizer.get_vocab().items(), key=lambda item: item[1])]
    rng = random.Random(5)
    lines = [texts.jumble(rng, words) if n % 4 else texts.sentence(rng) for n in range(100_000)]
    assert len(set(lines)) > 75_000
    assert_same_ids(reference, lines)


def sentences():
    rng = random.Random(11)
    long = [" ".join(texts.sentence(rng) for _ in range(n)) for n in (2, 3, 5, 8, 12, 20, 40)]
    return ["", "a", "[UNK]"] + long + [texts.sentence(rng) for _ in range(40)]


def test_f32_agrees_with_the_reference(reference):
    lines = sentences()
    expected = np.array([reference.encode(line) for line in lines])
    got = vectors("f32", lines)
    assert np.allclose(np.linalg.norm(got, axis=1), 1, atol=1e-6)
    assert (got * expected).sum(1).min() >= 0.99999
    assert np.abs(got - expected).max() < 1e-5


def test_int8_stays_close_to_f32():
    pairs = texts.sample(7, 400, texts.near_pair)
    lines = [line for pair in pairs for line in pair]
    exact, rounded = vectors("f32", lines), vectors("int8", lines)
    cosines = (exact * rounded).sum(1)
    moved = np.abs((exact[::2] * exact[1::2]).sum(1) - (rounded[::2] * rounded[1::2]).sum(1))
    print(f"int8 to f32: median {np.median(cosines):.5f}, worst {cosines.min():.5f}; "
          f"a pair moves by {np.median(moved):.4f}, p99 {np.quantile(moved, .99):.4f}")
    assert np.median(cosines) >= 0.996 and cosines.min() >= 0.98
    assert np.quantile(moved, 0.99) <= 0.015


# In int8 the least difference, and attention on 16 bits is one, moves some numbers to their next byte.
@pytest.mark.parametrize("precision,least", [("f32", 0.99999), ("int8", 0.998)])
def test_portable_kernels_give_the_same(precision, least):
    lines = sentences()[10:16]
    assert (vectors(precision, lines) * vectors(precision, lines, "portable")).sum(1).min() > least
