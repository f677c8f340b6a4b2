"""Texts that the tests make themselves: ordinary sentences from templates, and every oddity of Unicode."""
import random

PEOPLE = ["Anna Fischer", "the plumber", "Dr. Okonkwo", "my neighbour", "a customer", "José", "they", "we"]
ACTS = ["cancel", "renew", "translate", "explain", "repair", "compare", "refund", "summarise", "encrypt"]
THINGS = ["the subscription", "a PostgreSQL index", "this contract", "the ASCII table", "my flight to Oslo",
          "the third chapter", "an API key", "the recipe for crème brûlée", "two invoices", "the heat pump"]
ENDS = ["before Friday?", "without losing data", "in 3 steps.", "for $1,250.50", "as soon as possible!",
        "(version 2.4.1)", "— and why?", "on the 14th of March 2026", "instead of the old one", ""]
FORMS = ["How do I {a} {t} {e}", "Can {p} {a} {t} {e}", "{p} wants to {a} {t} {e}",
         "Please {a} {t} for {p} {e}", "Why did {p} not {a} {t}? {e}", "Is it safe to {a} {t} {e}"]


def sentence(rng):
    return rng.choice(FORMS).format(a=rng.choice(ACTS), t=rng.choice(THINGS), p=rng.choice(PEOPLE),
                                    e=rng.choice(ENDS)).strip()


def near_pair(rng):
    """Two sentences of which the second is the first with a part exchanged, or another one."""
    first = sentence(rng)
    pool = rng.choice([PEOPLE, ACTS, THINGS, ENDS])
    found = [part for part in pool if part and part in first]
    if not found:
        return first, sentence(rng)
    return first, first.replace(found[0], rng.choice(pool) or "now")


def every_code_point():
    """Each scalar value between letters, before a mark and behind a capital: three contexts a line."""
    for code in range(0x110000):
        if not 0xD800 <= code < 0xE000:
            char = chr(code)
            yield f"a{char}b {char}\u0301 E{char}"


def jumble(rng, vocabulary):
    """A line of words, word pieces, letters, marks, controls, blanks and special tokens."""
    parts = []
    for _ in range(rng.randrange(1, 30)):
        kind = rng.randrange(12)
        if kind < 4:
            parts.append(rng.choice(vocabulary).removeprefix("##"))
        elif kind == 4:
            parts.append("".join(chr(rng.randrange(0x20, 0x250)) for _ in range(rng.randrange(1, 12))))
        elif kind == 5:
            start = rng.choice([0x300, 0x370, 0x590, 0x900, 0x1100, 0x1D00, 0x2000, 0x3000, 0x4E00, 0xA000, 0xAC00,
                                0xF900, 0xFB00, 0xFE00, 0x10000, 0x11000, 0x1D100, 0x1E900, 0x1F300, 0x20000, 0xE0000])
            parts.append("".join(chr(start + rng.randrange(0x100)) for _ in range(rng.randrange(1, 8))))
        elif kind == 6:
            parts.append(rng.choice(["[CLS]", "[SEP]", "[MASK]", "[PAD]", "[UNK]", "[unused1]", "[cls]", "[[SEP]]", "[SEP"]))
        elif kind == 7:
            parts.append(rng.choice("\t\n\r\0\x0b\x0c\x1b\x85\xa0\xad\u200b\u200d\u2028\u3000\ufeff\ufffd"))
        elif kind == 8:
            parts.append(rng.choice("aéQ9ßıİΣ") * rng.choice([1, 2, 99, 100, 101, 130]))
        elif kind == 9:
            parts.append("".join(rng.choice("eoAİ") + chr(rng.randrange(0x300, 0x370)) * rng.randrange(3) for _ in range(5)))
        elif kind == 10:
            parts.append(rng.choice(["don't", "e-mail", "##ing", "C++", "🙂", "👩‍👩‍👧", "ﬁn", "Å", "한국어", "東京", "…", "№5"]))
        else:
            parts.append(sentence(rng))
        if rng.randrange(3):
            parts.append(" ")
    return "".join(parts)


def sample(seed, count, make):
    rng = random.Random(seed)
    return [make(rng) for _ in range(count)]
