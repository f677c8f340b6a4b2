#!/usr/bin/env python3
"""Keeps the documentation true where a program can tell. Needs only Python's standard library.

    scripts/check_docs.py

Every relative link of README.md and docs/ leads somewhere, headings included; every page is in the
navigation of the site (mkdocs.yml); every setting of the code
stands in the generated reference, every case of tests/translation on its page, every error code and every metric in docs/reference, every section
that a comment names ("reference 4.3") and every test that a page names (`program::test`) is there, the chart and the changelog have the program's version, and, once build/relay exists, every subcommand and option
in docs/reference/command-line.md.
"""
import json
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

from check_proofs import tests_by_program

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = ROOT / "docs" / "reference"
TRANSLATION_PAGE = ROOT / "docs" / "generated" / "translation.md"
SETTINGS_PAGE = ROOT / "docs" / "reference" / "settings.md"
RELAY = ROOT / "build" / "relay"
LINK = re.compile(r"\]\(([^()\s]+)\)")  # the text before it may be on the line above

findings = []


def found(path, line, what):
    findings.append(f"{path.relative_to(ROOT)}:{line}: {what}")


def pages():
    top = [ROOT / name for name in ("README.md", "SECURITY.md", "CHANGELOG.md")]
    return [*top, *sorted((ROOT / "docs").rglob("*.md"))]


def prose_lines(text):
    """(number, line) without fenced code, whose brackets are no links."""
    fenced = False
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif not fenced:
            yield number, line


def anchors(page):
    """The ids that forges make from headings: lower case, blanks to dashes, punctuation gone."""
    ids = set()
    for _, line in prose_lines(page.read_text()):
        heading = re.match(r"#+ +(.*)", line)
        if heading:
            text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading[1]).strip().lower()
            ids.add(re.sub(r"[^\w\- ]", "", text).replace(" ", "-"))
    return ids


def check_links():
    for page in pages():
        for number, line in prose_lines(page.read_text()):
            for target in LINK.findall(re.sub(r"`[^`]*`", "", line)):
                if re.match(r"[a-z]+:", target):
                    continue
                path, _, anchor = unquote(target).partition("#")
                goal = (page.parent / path).resolve() if path else page
                if not goal.exists():
                    found(page, number, f"the link {target} leads nowhere")
                elif not goal.is_relative_to(ROOT):
                    found(page, number, f"the link {target} leads out of the repository")
                elif anchor and goal.suffix == ".md" and anchor not in anchors(goal):
                    found(page, number, f"the link {target} names no heading of that page")


def table_rows(path, pattern):
    """(line, name) of each row of a table in the code."""
    for number, line in enumerate(path.read_text().splitlines(), 1):
        match = re.search(pattern, line)
        if match:
            yield number, match[1]


def check_navigation():
    """Every page of docs/ stands in the site's navigation once, and what stands there is a page."""
    config = ROOT / "mkdocs.yml"
    navigation = config.read_text().partition("\nnav:\n")[2]
    named = re.findall(r"([\w./-]+\.md)$", navigation, re.M)
    there = {str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")}
    for name in sorted(there - set(named)):
        found(config, 1, f"docs/{name} is not in the navigation")
    for name in sorted(set(named) - there):
        found(config, 1, f"docs/{name} is in the navigation and not there")
    for name in sorted({name for name in named if named.count(name) > 1}):
        found(config, 1, f"docs/{name} is twice in the navigation")


def check_languages():
    """What happens to a fenced block of README.md and docs/guides follows from its language
    (tests/wire/guides.py)."""
    for page in [ROOT / "README.md", *sorted((ROOT / "docs" / "guides").glob("*.md"))]:
        fenced = False
        for number, line in enumerate(page.read_text().splitlines(), 1):
            if line.lstrip().startswith("```"):
                fenced = not fenced
                if fenced and line.strip() == "```":
                    found(page, number, "the block has no language (docs/guides/testing.md, Pages)")


def check_settings():
    known = SETTINGS_PAGE.read_text()
    rows_of = {"settings.def": r'^[A-Z]+\(.*?"([a-z_0-9.]+)",',
               "settings_entries.c": r'^\s*(?:[A-Z]+\(|\{)"([a-z_0-9.]+)",'}
    for name, row in rows_of.items():
        path = ROOT / "src" / "config" / name
        rows = list(table_rows(path, row))
        if not rows:
            found(path, 1, "no settings were found: has the form of the table changed?")
        for number, setting in rows:
            if f"| `{setting}` |" not in known:
                found(path, number, f"{setting} is not in docs/reference/settings.md")


def check_reference():
    for path, pattern, page in (
        (ROOT / "src" / "base" / "err.def", r'^ERR\(\w+,\s*\d+, "\w+",\s*"(\w+)"', "errors.md"),
        (ROOT / "src" / "path" / "meters.def", r'^[A-Z]+\(\w+, "(relay_\w+)"', "metrics.md"),
    ):
        known = (REFERENCE / page).read_text()
        rows = list(table_rows(path, pattern))
        if not rows:
            found(path, 1, "nothing was found: has the form of the table changed?")
        for number, name in rows:
            if f"`{name}`" not in known:
                found(path, number, f"{name} is not in docs/reference/{page}")


def check_sections():
    known = {section for page in REFERENCE.glob("*.md")
             for section in re.findall(r"^#+ (\d(?:\.\d)?)\.? ", page.read_text(), re.M)}
    for folder in ("src", "sim", "tests"):
        for path in sorted((ROOT / folder).rglob("*.[chp]*")):
            if path.suffix not in (".c", ".h", ".py"):
                continue
            for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
                for section in re.findall(r"\b[Rr]eference (\d(?:\.\d)?)", line):
                    if section not in known:
                        found(path, number, f"docs/reference has no section {section}")


def check_proofs():
    known = tests_by_program()
    for page in pages():
        for number, line in prose_lines(page.read_text()):
            for program, test in re.findall(r"`((?:test|unit|path)_\w+)::(\w+)`", line):
                if test not in known.get(program, ()):
                    found(page, number, f"there is no test {program}::{test}")


def check_translation():
    """The page is written by a test (unit_dialects_translation), which compares every cell; here only that
    each case has its row, for who has changed the one without the other."""
    page = TRANSLATION_PAGE.read_text()
    parts = re.split(r"^## ", page, flags=re.M)[1:]
    for door, part in zip(("openai", "anthropic", "responses", "embeddings"), parts, strict=True):
        path = ROOT / "tests" / "translation" / f"{door}.json"
        cases = json.loads(path.read_text())["cases"]
        rows = re.findall(r"^\| (.*?) \|", part.partition("\n### ")[0], re.M)[1:]
        titles = [case["what"] or f"`{json.dumps(case['ask'], separators=(',', ':'))[1:-1]}`" for case in cases]
        for title in titles:
            if title not in rows:
                found(path, 1, f"{title} has no row in docs/generated/translation.md (RELAY_GOLDEN_UPDATE=1 "
                      "unit_dialects_translation writes it)")
        for row in rows:
            if row not in titles:
                found(TRANSLATION_PAGE, 1, f"the row {row} has no case in {path.relative_to(ROOT)}")


def check_program():
    if not RELAY.exists():
        print("build/relay is not there: its commands are not compared")
        return

    def ask(*args):
        return subprocess.run([RELAY, *args], capture_output=True, text=True, timeout=20, check=True).stdout

    page = REFERENCE / "command-line.md"
    section = page.read_text()
    listed = ask("--help").partition("commands:\n")[2].partition("\n\n")[0]
    commands = re.findall(r"^  (\w+) ", listed, re.M)
    if not commands:
        found(page, 1, "relay --help lists no commands")
    verbs = re.search(r"relay keys ([a-z|]+)", ask("keys", "--help"))[1].split("|")
    for command in commands + [f"keys {verb}" for verb in verbs]:
        if f"`relay {command}" not in section:
            found(page, 1, f"relay {command} is not there")
        options = set(re.findall(r"^  (--[a-z-]+)", ask(*command.split(), "--help"), re.M))
        for option in sorted(options - {"--help", "--config"}):
            if option not in section:
                found(page, 1, f"{option} of relay {command} is not there")


def check_versions():
    """What has to repeat the version of CMakeLists.txt repeats it."""
    version = re.search(r"^project\(relay VERSION (\S+)", (ROOT / "CMakeLists.txt").read_text(), re.M)[1]
    chart, changes = ROOT / "deploy" / "helm" / "relay" / "Chart.yaml", ROOT / "CHANGELOG.md"
    for line in (f"version: {version}", f'appVersion: "{version}"'):
        if line not in chart.read_text().splitlines():
            found(chart, 1, f"has not the line {line}")
    if re.findall(r"^## (\S+)", changes.read_text(), re.M)[:1] != [version]:
        found(changes, 1, f"does not begin with {version}")
    if RELAY.exists():
        said = subprocess.run([RELAY, "version"], capture_output=True, text=True).stdout.strip()
        if said != f"relay {version}":
            found(ROOT / "CMakeLists.txt", 1, f"build/relay says it is {said}: build it anew")


def main():
    check_links()
    check_versions()
    check_navigation()
    check_languages()
    check_settings()
    check_reference()
    check_sections()
    check_proofs()
    check_translation()
    check_program()
    for finding in findings:
        print(finding)
    print(f"docs: {len(findings)} findings in {len(pages())} pages")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
