#!/usr/bin/env python3
"""The rules of the house that no compiler knows. Needs only Python's standard library.

    scripts/check.py             every rule
    scripts/check.py RULE...     some: layers guards lengths heads banned words globals tables bugs places

Each rule prints its findings as `file:line: what is wrong` and one closing line. A call that is banned,
or a mutable global, is let through by a comment on its line or the line above that begins with
`allowed:` and says why.
"""
import re
import subprocess
import sys
from pathlib import Path

import check_places

ROOT = Path(__file__).resolve().parent.parent
FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 70
BUGS = 30  # of other gateways

# Which folder of src/ may include what of ours (docs/ARCHITECTURE.md). A file name allows that one
# header. main.c stands at the top and may include everything.
LAYERS = {
    "base": set(),
    "config": {"base"},
    "embed": {"base"},
    "guard": {"base"},
    "catalog": {"base", "config"},
    "dialects": {"base", "config"},
    "net": {"base", "config"},
    "store": {"base", "config", "net/loop.h", "net/redis.h", "embed/embed.h"},
    "path": {"base", "config", "embed", "guard", "catalog", "dialects", "store", "net"},
    "admin": {"base", "config", "embed", "guard", "catalog", "dialects", "store", "net", "path"},
    "cli": {"base", "config", "embed", "guard", "catalog", "dialects", "store", "net", "path", "admin"},
    "main.c": {"base", "config", "embed", "guard", "catalog", "dialects", "store", "net", "path", "admin",
               "cli"},
}

# Which folder may know which library.
LIBRARIES = {
    "sqlite3.h": {"store"},
    "libpq-fe.h": {"store"},
    "yaml.h": {"config"},
    "llhttp.h": {"net"},
    "uv.h": {"net"},
    "hiredis/hiredis.h": {"net"},
    "hiredis/read.h": {"net"},
    "yyjson.h": {"base"},
    "openssl/ssl.h": {"net"},
    "openssl/bio.h": {"net"},
}

BANNED = {
    "strcpy": "str_copy or memcpy with a known length",
    "strcat": "a str builder",
    "strncpy": "memcpy with a known length",
    "sprintf": "snprintf",
    "vsprintf": "vsnprintf",
    "gets": "fgets",
    "strtok": "the str functions",
    "atoi": "str_to_int or strtol with its checks",
    "atol": "strtol with its checks",
    "atoll": "strtoll with its checks",
    "atof": "strtod with its checks",
    "alloca": "the arena",
    "scanf": "a parser",
    "sscanf": "a parser",
    "fscanf": "a parser",
    "vsscanf": "a parser",
}
# Out of memory aborts in one place, so the C library's allocators are called there alone.
ALLOCATORS = {"malloc", "calloc", "realloc", "strdup", "strndup", "asprintf", "vasprintf"}
ALLOCATORS_IN = {"src/base/mem.c", "src/base/mem.h"}

# Kept apart so that this file does not name what it looks for.
FORBIDDEN_WORDS = [
    (r"\.\./shared\b|/shared/", "a path outside of the repository"),
    (r"(?<![\w./-])/(work|root)/", "a path of one machine"),
    (r"registry\.npmjs\.|\bpypi\.org|files\.pythonhosted\.|deb\.debian\.org|security\.debian\.org"
     r"|archive\.ubuntu\.|proxy\.golang\.|static\.crates\.|repo1?\.maven\.", "the host of a package registry"),
    (r"\b(TODO|FIXME|XXX|HACK)\b", "a note to oneself"),
    (r"\bsk-[A-Za-z0-9_-]{32,}|AIza[0-9A-Za-z_-]{35}|\bAKIA[0-9A-Z]{16}\b|-----BEGIN (RSA |EC )?PRIVATE KEY",
     "something like a secret"),
    (r"\b[Cc]ontract \d|\b(contract|wire|semantic|baselines|pitfalls)\.md\b",
     "a page that is not in the repository (docs/reference has the sections)"),
]

findings = 0


def complain(path, line, text):
    global findings
    findings += 1
    print(f"{path}:{line}: {text}")


def repository_files():
    names = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT,
                           capture_output=True, text=True, check=True).stdout.split("\0")
    return sorted(name for name in names if name and (ROOT / name).is_file())


def read(name):
    return (ROOT / name).read_text(encoding="utf-8", errors="replace")


def c_files(*folders):
    return [n for n in repository_files()
            if n.endswith((".c", ".h")) and (not folders or n.split("/")[0] in folders)]


def without_comments_and_strings(text):
    """The same lines and columns, with comments and literals blanked."""
    pattern = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
    return pattern.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), text)


def is_allowed(lines, index):
    """True where the comment `allowed: why` stands on the line or in the comment just above it."""
    if "allowed:" in lines[index]:
        return True
    above = index - 1
    while above >= 0 and re.match(r"\s*(/\*|\*|//)", lines[above]):
        if "allowed:" in lines[above]:
            return True
        above -= 1
    return False


# --- rules ---------------------------------------------------------------------------------------

def rule_layers():
    """Includes go downwards only, and a library is known to one folder."""
    for name in c_files("src"):
        parts = name.split("/")
        folder = parts[1]
        if folder not in LAYERS:
            complain(name, 1, f"the folder {folder} has no row in the table of layers")
            continue
        for number, line in enumerate(read(name).splitlines(), 1):
            ours = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
            theirs = re.match(r"\s*#\s*include\s+<([^>]+)>", line)
            if ours:
                check_our_include(name, number, folder, ours.group(1))
            if theirs and folder not in LIBRARIES.get(theirs.group(1), {folder}):
                complain(name, number, f"{folder} may not know <{theirs.group(1)}>")
        check_own_header_first(name)


def check_our_include(name, number, folder, header):
    target = header.split("/")[0]
    if "/" not in header or header.startswith("."):
        complain(name, number, f'write includes from src/: "{folder}/{header}"')
    elif not (ROOT / "src" / header).is_file():
        complain(name, number, f'there is no src/{header}')
    elif target != folder and target not in LAYERS[folder] and header not in LAYERS[folder]:
        complain(name, number, f'{folder} may not include "{header}"')
    elif target != folder and header.endswith("_internal.h"):
        complain(name, number, f'"{header}" is for {target} alone')


def check_own_header_first(name):
    """A file's own header, or a private one beside it (x_internal.h for x.c), comes before all others."""
    own = name[len("src/"):-2]
    if not name.endswith(".c") or not (ROOT / "src" / (own + ".h")).is_file():
        return
    first = re.search(r'^\s*#\s*include\s+"([^"]+)', read(name), re.M)
    if first and not first.group(1).startswith(own):
        complain(name, 1, f'include "{own}.h" before other headers of ours: that proves it stands alone')


def rule_guards():
    """Every header has the include guard that its path gives."""
    for name in c_files("src", "sim", "tests"):
        if not name.endswith(".h"):
            continue
        stem = name[len("src/"):] if name.startswith("src/") else name
        guard = "RELAY_" + re.sub(r"[^A-Za-z0-9]", "_", stem).upper()
        if not re.search(rf"^#ifndef {guard}\n#define {guard}$", read(name), re.M):
            complain(name, 1, f"wants the include guard {guard}")


def functions_of(text):
    """(first line, length) of every function, given that its braces stand in the first column."""
    lines = text.splitlines()
    start = None
    for index, line in enumerate(lines):
        if line == "{":
            start = index
            while start > 0 and lines[start - 1].strip() and \
                    not re.search(r"([;}]|\*/)$|^#", lines[start - 1]):
                start -= 1
        elif line == "}" and start is not None:
            yield start + 1, index - start + 1, lines[start]
            start = None


def rule_lengths():
    """Files and functions that one can read."""
    longest = []
    for name in repository_files():
        if not name.endswith((".c", ".h", ".def", ".py", ".sh", ".mjs", ".cmake")):
            continue
        text = read(name)
        count = text.count("\n")
        if count > FILE_LINES_MAX:
            complain(name, count, f"{count} lines, at most {FILE_LINES_MAX}")
        if name.endswith((".c", ".h")):
            for line, length, head in functions_of(text):
                longest.append((length, name, line, head))
                if length > FUNCTION_LINES_MAX:
                    complain(name, line, f"a function of {length} lines, at most {FUNCTION_LINES_MAX}")
    print("the ten longest functions:")
    for length, name, line, head in sorted(longest, reverse=True)[:10]:
        print(f"  {length:3d} {name}:{line} {head.strip()[:60]}")


def rule_banned():
    """Calls that have a better one."""
    call = re.compile(r"(?<![\w.>])(" + "|".join([*BANNED, *sorted(ALLOCATORS)]) + r")\s*\(")
    for name in c_files("src", "sim", "tests"):
        text = read(name)
        lines = text.splitlines()
        for index, line in enumerate(without_comments_and_strings(text).splitlines()):
            for match in call.finditer(line):
                word = match.group(1)
                if word in ALLOCATORS and (name in ALLOCATORS_IN or not name.startswith("src/")):
                    continue
                if not is_allowed(lines, index):
                    better = BANNED.get(word, "base/mem.h or an arena")
                    complain(name, index + 1, f"{word}() is banned: use {better}")


def rule_words():
    """Nothing in the repository names a machine, a registry's host, or a secret."""
    for name in repository_files():
        if name == "scripts/check.py" or (ROOT / name).stat().st_size > 4 << 20:
            continue
        if name.endswith(".png"):  # pixels spell anything
            continue
        for number, line in enumerate(read(name).splitlines(), 1):
            for pattern, what in FORBIDDEN_WORDS:
                match = re.search(pattern, line)
                if match and "allowed:" not in line:
                    complain(name, number, f"{what}: {match.group()[:24]}")


def rule_globals():
    """No mutable state outside of structs: what the dev build's archives put into .data and .bss."""
    archives = sorted((ROOT / "build/dev").glob("librelay_*.a"))
    if not archives or sys.platform != "linux":
        print("skipped: it reads the ELF archives of scripts/build.sh dev")
        return
    for archive in archives:
        listing = subprocess.run(["objdump", "-t", str(archive)], capture_output=True, text=True,
                                 check=True).stdout
        folder = archive.stem[len("librelay_"):]
        for member in re.split(r"\n(?=\S+\.o: )", listing):
            check_member(f"src/{folder}/{member.split('.o:')[0].strip()}", member)


def check_member(name, symbols):
    """One object file: its variables that can be written, unless the source says why."""
    lines = read(name).splitlines() if (ROOT / name).is_file() else []
    for match in re.finditer(r"\sO (?:\.data|\.bss|\.tdata|\.tbss)\s+[0-9a-f]+ (?:\.hidden )?(\S+)", symbols):
        symbol = re.sub(r"\.\d+$", "", match.group(1))
        definition = re.compile(rf"^(\s*static\b|\S).*\b{re.escape(symbol)}\b\s*(=|;|,|\[)")
        places = [index for index, line in enumerate(lines) if definition.search(line)]
        if not places or not is_allowed(lines, places[0]):
            complain(name, places[0] + 1 if places else 1,
                     f"{symbol} is mutable global state: hang it off a struct")


def rule_tables():
    """What a script makes of a text in the repository is what that script makes of it."""
    made = subprocess.run([sys.executable, str(ROOT / "scripts/guard_lexicon.py"), "--check"],
                          capture_output=True, text=True)
    if made.returncode != 0:
        complain("src/guard/lexicon.inc", 1, made.stderr.strip())


def rule_bugs():
    """Each of the thirty bugs that other gateways had is a test with its number in its name."""
    tests = {}
    for name in c_files("tests"):
        for number, line in enumerate(read(name).splitlines(), 1):
            match = re.match(r"TEST\(bug_(\d\d)_(\w+)\)", line)
            if match:
                tests.setdefault(int(match[1]), []).append(f"{match[2]} ({name}:{number})")
    for bug in range(1, BUGS + 1):
        if bug not in tests:
            complain("tests", 1, f"bug {bug} has no test that is called bug_{bug:02d}_…")
        print(f"  {bug:2d} {', '.join(tests.get(bug, ['missing']))}")


def rule_places():
    """What the pages say of a file's line is there (scripts/check_places.py --fix renumbers)."""
    for page, line, what in check_places.findings():
        complain(page, line, what)


def rule_heads():
    """Every source begins with what it is for; in src/ and sim/ behind its own name, and not by reference to its header."""
    comments = {".c": "/* ", ".h": "/* ", ".def": "/* ", ".lua": "-- ", ".sh": "# ", ".py": '"""', ".ts": "/* ",
                ".tsx": "/* ", ".mjs": ("/* ", "// "), ".css": "/* ", ".cmake": "# "}
    for name in repository_files():
        path = Path(name)
        if path.suffix not in comments or name.startswith("web/dist/"):
            continue
        text = re.sub(r"\A#!.*\n", "", read(name))
        if not text.startswith(comments[path.suffix]):
            complain(name, 1, "begin it with a comment that says what it is for")
        elif name.startswith(("src/", "sim/")) and not re.match(rf"\S+ {re.escape(path.name)} - (?!see )", text):
            complain(name, 1, f"begin it with `{path.name} - ` and what it is for")


RULES = {name[len("rule_"):]: function for name, function in list(globals().items())
         if name.startswith("rule_")}


def main():
    failed = 0
    for rule in sys.argv[1:] or RULES:
        if rule not in RULES:
            sys.exit(f"no rule {rule}; there are: {' '.join(RULES)}")
        before = findings
        RULES[rule]()
        failed += findings > before
        print(f"{rule}: {findings - before} findings")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
