#!/usr/bin/env python3
"""Keeps what the pages say of places in the code true. Needs only Python's standard library.

    scripts/check_places.py           every place, and every file that a page names
    scripts/check_places.py --fix     writes the line numbers that have moved anew

A place is a file, a line and what stands there, in one code span: `src/path/keys.c:12 key_check()` is where the
function is defined (in Lua: `local function name`), `src/path/upstream.c:34 t->first_ns = now` a line that has this
text. Where more than one line would do, --fix takes the nearest. A span that is a file alone has to be there too.
"""
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SPAN = re.compile(r"`((?:src|sim|scripts|tests|web|cmake)/[\w./*-]+)(?::(\d+) ([^`]+))?`")
ENDS = (".c", ".h", ".def", ".inc", ".lua", ".py", ".sh", ".ts", ".tsx", ".json", ".txt", ".md")


def pages():
    return [ROOT / "README.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").rglob("*.md"))]


def is_here(line, what):
    """True where the line has the text, or begins the definition of name()."""
    name = re.fullmatch(r"(\w+)\(\)", what)
    if name is None:
        return what in line
    begins = rf"(?:local function |def |(?:export )?(?:async )?function |[a-z][^;=]*[ *])?{name[1]}\s*\("
    return re.match(begins, line) is not None and not line.rstrip().endswith(";")


def lines_with(path, what):
    return [number for number, line in enumerate(path.read_text().splitlines(), 1) if is_here(line, what)]


def judge(name, line, what):
    """(what is wrong with a span or None, the line that is right or None)."""
    path = ROOT / name
    if line is None:
        there = any(ROOT.glob(name)) if name.endswith((*ENDS, "/")) or "*" in name else True
        return (None if there else f"{name} is not there"), None
    if not path.is_file():
        return f"{name} is not there", None
    found = lines_with(path, what)
    if int(line) in found:
        return None, None
    if not found:
        return f"{name} has no line with {what}", None
    nearest = min(found, key=lambda number: abs(number - int(line)))
    return f"{name}:{line} is not {what} (line {nearest}; scripts/check_places.py --fix)", nearest


def findings():
    """(page, line, what is wrong) for every span of every page."""
    for page in pages():
        for number, text in enumerate(page.read_text().splitlines(), 1):
            for span in SPAN.finditer(text):
                wrong, _ = judge(*span.groups())
                if wrong:
                    yield page.relative_to(ROOT), number, wrong


def fix():
    def renumber(span):
        _, right = judge(*span.groups())
        return f"`{span[1]}:{right} {span[3]}`" if right else span[0]

    for page in pages():
        before = page.read_text()
        after = SPAN.sub(renumber, before)
        if after != before:
            page.write_text(after)
            print(f"{page.relative_to(ROOT)}: renumbered")


def main():
    if "--fix" in sys.argv[1:]:
        fix()
    wrong = list(findings())
    for page, line, what in wrong:
        print(f"{page}:{line}: {what}")
    places = sum(span[2] is not None for page in pages() for span in SPAN.finditer(page.read_text()))
    print(f"places: {len(wrong)} findings in {places} places")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
