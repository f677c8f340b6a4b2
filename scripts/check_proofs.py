#!/usr/bin/env python3
"""Every promise of docs/reference names the tests that prove it. Needs only Python's standard library.

    scripts/check_proofs.py            the check, and how many promises there are
    scripts/check_proofs.py --list     every promise with its number and its proofs

A promise is a sentence or a row of a table. Behind it stands a comment, which nobody sees on a page:

    <!-- proof: test_cache::test_age, unit_store_answers::bytes_are_bounded -->

`<!-- no promise -->` marks a sentence that only points elsewhere or explains a word. A comment holds for the
sentences since the comment before it, three at most. `<!-- rows: … -->` above a table names tests that walk the
whole table; it holds for the rows without a comment of their own. What a comment names must be there: wire
tests by their file, C tests by their ctest entry. Where all tests have run (scripts/test.sh leaves the names of
what passed in build/test-logs/ran), each must be among those; one that this machine skips is said.

tests/unproven.txt has the promises that no test proves, a line each. It may only get shorter: a line that is
proven is a finding, and so is a promise that is neither proven nor there.
"""
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = ROOT / "docs" / "reference"
UNPROVEN = ROOT / "tests" / "unproven.txt"
RAN = ROOT / "build" / "test-logs" / "ran"
SENTENCES_MAX = 3
COMMENT = re.compile(r"\s*<!-- (proof: |rows: )?(.*?) -->")
# A full stop ends a sentence where something begins that can begin one.
END = re.compile(r"(?:(?<=\.)|(?<=\.\*\*)|(?<=\.\)))\s+(?=<!-- |[(A-Z`*\[])|(?<=-->)\s+")


def tests_by_program():
    """The names of the tests of each program: wire tests by their file, C tests by their ctest entry."""
    known = {}
    for path in (ROOT / "tests").rglob("test_*.py"):
        known[path.stem] = set(re.findall(r"^(?:async )?def (test_\w+)\(", path.read_text(), re.M))
    for path in (ROOT / "tests").rglob("test_*.c"):
        folders = path.relative_to(ROOT / "tests").parent.parts
        text = path.read_text()
        names = known["_".join([*folders, path.stem[5:]])] = set(re.findall(r"^TEST\w*\((\w+)\)", text, re.M))
        if re.search(r"^SCENARIO_TESTS\(", text, re.M):  # tests/path/fakes/scenario.h
            names |= {"scenarios_end_as_they_must", "scenarios_survive_torture"}
    return known


class Promise:
    def __init__(self, page, line, text):
        self.page, self.line, self.text = page, line, " ".join(text.split())
        self.proofs = None  # None: none; []: no promise

    def name(self):
        return f"{self.page.name}: {self.text[:90]}"


def blocks(text):
    """(line, text, kind) of each paragraph, item, row and `rows` comment, without headings, code and heads of tables."""
    fenced, out, kept = False, [], None
    lines = text.splitlines()
    for number, line in enumerate(lines, 1):
        bare = line.strip()
        if bare.startswith("```"):
            fenced, kept = not fenced, None
            continue
        if fenced or not bare or bare.startswith("#"):
            kept = None
        elif bare.startswith("|"):
            kept = None
            following = lines[number].strip() if number < len(lines) else ""
            if not re.match(r"\|[-|: ]+\|$", bare) and not re.match(r"\|[-|: ]+\|$", following):
                out.append([number, bare, "row"])
        elif bare.startswith("<!-- rows:"):
            kept = None
            out.append([number, bare, "rows"])
        elif kept is None or re.match(r"(?:[-*]|\d+\.) ", bare):
            kept = [number, re.sub(r"^(?:[-*]|\d+\.) +", "", bare), "text"]
            out.append(kept)
        else:
            kept[1] += "\n" + bare
    return out


def named(comment):
    return [name.strip() for name in comment.split(",")]


def sentences(text):
    """(sentence, comment behind it or None) in order."""
    out, begin = [], 0
    ends = [m.start() for m in END.finditer(text)] + [len(text)]
    for end in ends:
        piece = text[begin:end]
        while True:
            comment = COMMENT.match(piece)
            if not comment:
                break
            if out:
                out[-1][1] = comment
            piece = piece[comment.end():]
        inner = COMMENT.search(piece)
        if inner and not piece[inner.end():].strip():
            out.append([piece[:inner.start()], inner])
        elif piece.strip():
            out.append([piece, None])
        begin = end
    return out


def promises(page, complain):
    out, whole = [], None
    for line, text, kind in blocks(page.read_text()):
        if kind == "rows":
            whole = named(COMMENT.match(text)[2])
            continue
        if kind == "row":
            comment = COMMENT.search(text)
            promise = Promise(page, line, COMMENT.sub("", text))
            if comment:
                promise.proofs = named(comment[2]) if comment[1] else []
            elif whole:
                promise.proofs = whole
            out.append(promise)
            continue
        whole, waiting = None, []
        for sentence, comment in sentences(text):
            waiting.append(Promise(page, line, sentence))
            out.append(waiting[-1])
            if comment:
                if len(waiting) > SENTENCES_MAX:
                    complain(page, line, f"{len(waiting)} sentences have one proof: {waiting[-1].text[:60]}")
                for promise in waiting:
                    promise.proofs = named(comment[2]) if comment[1] else []
                waiting = []
    return out


def check_tests(every, complain):
    known = tests_by_program()
    ran = {f"{path.stem}::{name}" for path in RAN.glob("*.ran") for name in path.read_text().splitlines()}
    ran |= {name.removesuffix("_on_sqlite") for name in ran}  # TEST_BOTH of tests/unit/store/backends.h
    all_ran = (RAN / "all").exists()
    if not all_ran:
        print("not all tests have run here (make test): only that they exist is checked")
    skipped = set()
    for promise in every:
        for proof in promise.proofs or ():
            program, _, test = proof.partition("::")
            if test not in known.get(program, ()):
                complain(promise.page, promise.line, f"there is no test {proof}")
            elif all_ran and f"{proof} skipped" in ran:
                skipped.add(proof)
            elif all_ran and proof not in ran:
                complain(promise.page, promise.line, f"{proof} did not run, or did not pass")
    for proof in sorted(skipped):
        print(f"{proof} was skipped on this machine")


def main():
    findings = []

    def complain(page, line, what):
        findings.append(f"{page.relative_to(ROOT)}:{line}: {what}")

    every = [p for page in sorted(REFERENCE.glob("*.md")) if page.name != "README.md"
             for p in promises(page, complain)]
    if sys.argv[1:] == ["--list"]:
        for number, p in enumerate(every):
            print(number, p.page.stem, "-" if p.proofs is None else ", ".join(p.proofs) or "no promise", "|", p.text)
        return 0
    check_tests(every, complain)
    allowed = UNPROVEN.read_text().splitlines() if UNPROVEN.exists() else []
    bare = [p for p in every if p.proofs is None]
    for p in bare:
        if p.name() not in allowed:
            complain(p.page, p.line, f"no test proves: {p.text[:90]}")
    for name in sorted(set(allowed) - {p.name() for p in bare}):
        complain(UNPROVEN, allowed.index(name) + 1, f"is proven or not there, take it out: {name}")
    for finding in findings:
        print(finding)
    proven = [p for p in every if p.proofs]
    tests = {proof for p in proven for proof in p.proofs}
    print(f"proofs: {len(proven) + len(bare)} promises, {len(proven)} proven by {len(tests)} tests, "
          f"{len(bare)} not; {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
