#!/usr/bin/env python3
"""Makes src/guard/lexicon.inc, a sorted table, of src/guard/data/lexicon.txt. Needs only Python.

    scripts/guard_lexicon.py            writes the table
    scripts/guard_lexicon.py --check    fails if the committed table is not what the text gives
    scripts/guard_lexicon.py --groups   prints which words count as one, to be read by a person
"""
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TEXT = ROOT / "src/guard/data/lexicon.txt"
TABLE = ROOT / "src/guard/lexicon.inc"
WORD_BYTES_MAX = 19

# The bits of `kinds`, in the order of enum guard_kind in src/guard/lexicon.h.
KINDS = ["stop", "light", "neg", "flip", "more", "limit", "he", "she", "poss", "first", "second", "when",
         "fresh", "month", "weekday", "num", "ord", "scale", "unit", "task", "format", "place", "both",
         "join", "head"]
LANGUAGES = ["", "en", "de", "fr", "es", "it", "pt", "nl"]


class Groups:
    """Words that count as one, with a sign between groups that are opposites (a union-find with parity)."""

    def __init__(self):
        self.up = {}

    def find(self, word):
        above, sign = self.up.setdefault(word, (word, 0))
        if above == word:
            return word, 0
        top, rest = self.find(above)
        self.up[word] = (top, sign ^ rest)
        return self.up[word]

    def join(self, a, b, opposite, where):
        (top_a, sign_a), (top_b, sign_b) = self.find(a), self.find(b)
        if top_a == top_b:
            if sign_a ^ sign_b != opposite:
                sys.exit(f"{where}: {a} and {b} are already {'the same' if opposite else 'opposites'}")
            return
        self.up[top_b] = (top_a, sign_a ^ sign_b ^ opposite)


def read():
    """{word: {"kinds", "value", "lang"}} and the groups."""
    words, groups, units = {}, Groups(), {}

    def entry(word):
        return words.setdefault(word, {"kinds": 0, "value": 0, "lang": set()})

    for number, line in enumerate(TEXT.read_text(encoding="utf-8").splitlines(), 1):
        line = line.split("#")[0].strip()
        if not line:
            continue
        where = f"{TEXT.name}:{number}"
        kind, rest = line.split(": ", 1)
        if kind in ("syn", "irr"):
            first, *others = rest.split()
            entry(first)
            for word in others:
                entry(word)
                groups.join(first, word, 0, where)
        elif kind == "ant":
            left, right = (side.split() for side in rest.split("|"))
            for word in left + right:
                entry(word)
                groups.join(left[0], word, int(word in right), where)
        elif kind.startswith("lang."):
            for word in rest.split():
                entry(word)["lang"].add(LANGUAGES.index(kind[5:]))
        else:
            for item in rest.split():
                word, _, value = item.partition("=")
                got = entry(word)
                got["kinds"] |= 1 << KINDS.index(kind)
                if kind == "unit":
                    got["value"] = units.setdefault(value or word, len(units) + 1)
                elif value:
                    got["value"] = int(value)
    return words, groups


def number_groups(words, groups):
    """Every group of two words and more gets a number and every word its sign; a word alone has 0."""
    members = {}
    for word in words:
        top, sign = groups.find(word) if word in groups.up else (word, 0)
        members.setdefault(top, []).append((word, sign))
    numbered = {}
    for top in sorted(members):
        if len(members[top]) > 1:
            signed = {sign for _, sign in members[top]}
            numbered[top] = (len(numbered) + 1, members[top], len(signed) > 1)
    return numbered


def table(words, groups):
    group, polar = {}, set()
    for number, members, signed in number_groups(words, groups).values():
        for word, sign in members:
            group[word] = (number, sign)
            if signed:
                polar.add(word)
    for phrase in [w for w in words if "_" in w]:
        words.setdefault(phrase.split("_")[0], {"kinds": 0, "value": 0, "lang": set()})["kinds"] |= \
            1 << KINDS.index("head")
    rows = []
    for word in sorted(words, key=lambda w: w.encode()):
        if len(word.encode()) > WORD_BYTES_MAX:
            sys.exit(f"{word} is longer than {WORD_BYTES_MAX} bytes")
        what = words[word]
        number, sign = group.get(word, (0, 0))
        lang = sum(1 << n for n in what["lang"])
        escaped = "".join(chr(b) if b < 128 else f"\\{b:03o}" for b in word.encode())
        rows.append(f'{{"{escaped}", {what["kinds"]:#x}, {number}, {what["value"]}, {lang}, {sign}, '
                    f'{int(word in polar)}}},')
    return ("/* Made by scripts/guard_lexicon.py of src/guard/data/lexicon.txt: word, kinds, group, value,\n"
            " * languages, sign, polar. */\n" + "\n".join(rows) + "\n")


def main():
    words, groups = read()
    if "--groups" in sys.argv:
        for number, members, _ in number_groups(words, groups).values():
            print(number, " ".join(w for w, s in members if not s), "|", " ".join(w for w, s in members if s))
        return
    made = table(words, groups)
    if "--check" in sys.argv:
        if not TABLE.is_file() or TABLE.read_text(encoding="utf-8") != made:
            sys.exit(f"{TABLE.relative_to(ROOT)} is not what {TEXT.name} gives: run scripts/guard_lexicon.py")
        return
    TABLE.write_text(made, encoding="utf-8")
    print(f"{made.count(chr(10)) - 2} words")


if __name__ == "__main__":
    main()
