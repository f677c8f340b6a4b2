#!/usr/bin/env python3
"""Would the quick tests notice? Puts small faults into the code, one at a time, and runs the tests.

    tests/mutants/mutants.py build [--count N] [--seed S]    choose N faults and compile them all, asleep
    tests/mutants/mutants.py run [--only FILE]               wake one after the other; prints who survives

All faults are compiled into one tree (build/mutants/tree), each behind a switch that the environment turns
(mutant.h), so that a fault costs no build, only the tests that reach it; which these are is measured first. A
fault is killed when one of them fails, or runs ten times as long as it should.

Kinds: a comparison's bound or sense, + and -, * and /, && and ||, a condition turned round, a number that is
one more, a returned bool turned round, a statement left out. Not left out are lines of the log and what
gives memory back: the one is told to people, the other is seen by ASan. explained.txt names survivors that
no test can kill, with the reason.

Needs tree-sitter and tree-sitter-c (scripts/mutants.sh makes an environment with them).
"""
import argparse
import collections
import concurrent.futures
import json
import os
import random
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
WORK = ROOT / "build" / "mutants"
TREE = WORK / "tree"
LIST = WORK / "mutants.json"
EXPLAINED = Path(__file__).with_name("explained.txt")

# What money, limits, safety and the answer depend on.
TARGETS = [
    "src/path/*.c", "src/store/limits*.c", "src/store/journal*.c", "src/store/keys.c", "src/store/record_codec.c",
    "src/catalog/price.c", "src/catalog/gate.c", "src/catalog/choose.c", "src/catalog/score.c", "src/catalog/order.c",
    "src/catalog/shortlist.c", "src/catalog/resolve.c", "src/base/money.c", "src/base/key.c", "src/guard/*.c",
]
SWAPS = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "==", "+": "-", "-": "+", "*": "/"}
NOT_LEFT_OUT = re.compile(r"^(LOG|assert|free|x?free|unlock|\w+_(free|deinit|close|unref|log)|log_\w+|pthread_mutex_\w+)$")
SLOW_S = 4.0  # a program that takes longer is none of the quick tests


class File:
    """One source file, with the faults that it gets. IDs are given by the caller, in order."""

    def __init__(self, path, parser):
        self.path, self.source = path, (ROOT / path).read_bytes()
        self.root = parser.parse(self.source).root_node
        self.places = []
        for node in self.root.children:
            self.find(node, False, False)

    def text(self, node):
        return self.source[node.start_byte:node.end_byte]

    def find(self, node, inside, returns_bool):
        """Adds (start, end, kind) of every node that can be mutated."""
        kind = node.type
        if node.has_error and not node.children or kind.startswith("preproc") or kind in (
                "sizeof_expression", "enumerator", "array_declarator", "type_descriptor", "initializer_pair"):
            return
        if kind == "function_definition":
            inside, returns_bool = True, self.text(node.child_by_field_name("type")) == b"bool"
        if kind == "declaration" and any(self.text(c) == b"static" for c in node.children):
            return
        if inside and not node.has_error:
            fault = self.fault_of(node, returns_bool)
            if fault:
                self.places.append((node.start_byte, node.end_byte, fault))
        for i, child in enumerate(node.children):
            if kind == "case_statement" and node.field_name_for_child(i) == "value":
                continue
            self.find(child, inside, returns_bool)

    def fault_of(self, node, returns_bool):
        kind = node.type
        if kind == "binary_expression":
            operator = self.text(node.child_by_field_name("operator")).decode()
            if operator in ("&&", "||"):
                return "logic"
            return "swap" if operator in SWAPS else None
        if kind == "number_literal" and node.parent.type not in ("subscript_expression", "init_declarator"):
            return "number"
        if kind == "return_statement" and returns_bool and node.named_child_count == 1:
            return "return"
        if kind == "parenthesized_expression" and node.parent.type in ("if_statement", "while_statement"):
            return "condition" if node.named_children[0].type != "binary_expression" else None
        if kind == "expression_statement" and node.named_child_count == 1:
            inner = node.named_children[0]
            called = inner.child_by_field_name("function") if inner.type == "call_expression" else None
            if called is None or not NOT_LEFT_OUT.match(self.text(called).decode()):
                return "left out"
        return None

    def mutated(self, ids):
        """The file's text with the faults at the places of `ids`: {(start, end, kind): number}."""
        header = Path(__file__).with_name("mutant.h")
        return b'#include "%s"\n#line 1 "%s"\n' % (bytes(header), bytes(TREE / self.path)) + self.gen(self.root, ids)

    def gen(self, node, ids):
        if node.type != "binary_expression" or not self.faults(node, ids):
            text, at = b"", node.start_byte
            for child in node.children:
                text += self.source[at:child.start_byte] + self.gen(child, ids)
                at = child.end_byte
            text += self.source[at:node.end_byte]
            for kind, n in self.faults(node, ids):
                text = self.wrap(text, kind, n)
            return text
        left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
        operator = self.text(node.child_by_field_name("operator")).decode()
        # The gaps keep line breaks, so that the compiler's line numbers are the original's.
        gap = self.source[left.end_byte:right.start_byte].count(b"\n") * b"\n"
        a, b = self.gen(left, ids), self.gen(right, ids)
        (_, n), = self.faults(node, ids)
        if operator in ("&&", "||"):
            rest = b"(m_ ? 1 : 0)" if operator == "&&" else b"(m_ ? 0 : 1)"
            pick = b"(a_ ^ m_)" if operator == "&&" else b"!(a_ ^ m_)"
            return b"__extension__({ int m_ = mutant(%d), a_ = !!(%s); %s ? !!(%s)%s : %s; })" % (
                n, a, pick, b, gap, rest)
        return b"__extension__({ __auto_type a_ = (%s);%s __auto_type b_ = (%s); mutant(%d) ? (a_ %s b_) : (a_ %s b_); })" % (
            a, gap, b, n, SWAPS[operator].encode(), operator.encode())

    @staticmethod
    def faults(node, ids):
        return [(kind, ids[node.start_byte, node.end_byte, kind])
                for kind in ("logic", "swap", "number", "return", "condition", "left out")
                if (node.start_byte, node.end_byte, kind) in ids and
                (kind in ("logic", "swap")) == (node.type == "binary_expression") and
                (kind == "number") == (node.type == "number_literal") and
                (kind == "return") == (node.type == "return_statement") and
                (kind == "condition") == (node.type == "parenthesized_expression") and
                (kind == "left out") == (node.type == "expression_statement")]

    @staticmethod
    def wrap(text, kind, n):
        if kind == "number":
            return b"(mutant(%d) ? (%s) + 1 : (%s))" % (n, text, text)
        if kind == "return":
            return b"return mutant(%d) ^ !!(%s);" % (n, text[len(b"return"):].rstrip(b";"))
        if kind == "condition":
            return b"(mutant(%d) ^ !!%s)" % (n, text)
        return b"{ if (!mutant(%d)) { %s } }" % (n, text)


def parse_targets():
    import tree_sitter_c
    from tree_sitter import Language, Parser
    parser = Parser(Language(tree_sitter_c.language()))
    paths = sorted({p.relative_to(ROOT).as_posix() for pattern in TARGETS for p in ROOT.glob(pattern)})
    return [File(path, parser) for path in paths]


def copy_tree():
    shutil.rmtree(TREE, ignore_errors=True)
    names = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True,
                           check=True).stdout.split("\n")
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (TREE / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, TREE / name)
    (TREE / "build").mkdir()
    for part in ("deps", "models"):
        if (ROOT / "build" / part).exists():
            (TREE / "build" / part).symlink_to(ROOT / "build" / part)


def compile_tree():
    """The lines at which the compiler refuses: {file: {line}}."""
    done = subprocess.run(["cmake", "--build", str(TREE / "build/mutants"), "-j", os.environ.get("JOBS", "2"), "--", "-k", "0"],
                          capture_output=True, text=True)
    refused = collections.defaultdict(set)
    for path, line in re.findall(r"^(\S+?):(\d+):\d+: (?:fatal )?error", done.stdout, re.M):
        where = Path(path)
        if where.is_relative_to(TREE):
            refused[where.relative_to(TREE).as_posix()].add(int(line))
    if done.returncode != 0 and not refused:
        sys.exit(done.stdout[-4000:])
    return refused


def build(count, seed):
    files = parse_targets()
    everything = [(f, place) for f in files for place in f.places]
    chosen = random.Random(seed).sample(everything, min(count, len(everything)))
    chosen.sort(key=lambda c: (c[0].path, c[1]))
    WORK.mkdir(parents=True, exist_ok=True)
    copy_tree()
    configure = ["cmake", "-S", str(TREE), "-B", str(TREE / "build/mutants"), "-G", "Ninja", "-D", "CMAKE_BUILD_TYPE=Debug",
                 "-D", "CMAKE_C_FLAGS=-w"]
    subprocess.run(configure, check=True, stdout=subprocess.DEVNULL)
    ids = {(f.path, place): n for n, (f, place) in enumerate(chosen)}
    dropped = set()
    for _ in range(12):
        for f in files:
            own = {place: n for (path, place), n in ids.items() if path == f.path and n not in dropped}
            text = f.mutated(own)
            if (TREE / f.path).read_bytes() != text:
                (TREE / f.path).write_bytes(text)
        refused = compile_tree()
        if not refused:
            break
        before = len(dropped)
        for f in files:
            for (path, place), n in ids.items():
                first = f.source.count(b"\n", 0, place[0]) + 1
                last = f.source.count(b"\n", 0, place[1]) + 1
                if path == f.path and any(first <= line <= last for line in refused[path]):
                    dropped.add(n)
        if len(dropped) == before:
            sys.exit(f"does not compile, and not for a fault: {dict(refused)}")
    by_path = {f.path: f for f in files}
    facts = []
    for (path, place), n in ids.items():
        if n not in dropped:
            source = by_path[path].source
            facts.append({"n": n, "file": path, "line": source.count(b"\n", 0, place[0]) + 1, "kind": place[2],
                          "text": " ".join(source[place[0]:place[1]].decode().split())[:90]})
    LIST.write_text(json.dumps(facts, indent=1))
    print(f"{len(everything)} places in {len(files)} files; {len(chosen)} chosen (seed {seed}), {len(facts)} compile")


def programs():
    listed = json.loads(subprocess.run(["ctest", "--show-only=json-v1"], cwd=TREE / "build/mutants", capture_output=True,
                                       text=True, check=True).stdout)
    return {t["name"]: t["command"] for t in listed["tests"] if "command" in t and t["name"].startswith(("unit_", "path_"))}


def run_program(command, limit_s, **variables):
    started = time.monotonic()
    process = subprocess.Popen(command, cwd=TREE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               stdin=subprocess.DEVNULL, start_new_session=True, env={**os.environ, **variables})
    try:
        good = process.wait(limit_s) == 0
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        process.wait()
        good = False
    return good, time.monotonic() - started


def measure(commands, size):
    """What each program takes, and which faults it reaches."""
    known = {}
    for name, command in commands.items():
        trace = WORK / "trace"
        trace.write_bytes(bytes(size))
        good, took = run_program(command, 60, RELAY_MUTANT_TRACE=str(trace))
        if not good:
            print(f"left aside, since it fails without a fault: {name}")
        elif took > SLOW_S:
            print(f"left aside, since it takes {took:.1f} s: {name}")
        else:
            known[name] = (took, {n for n, byte in enumerate(trace.read_bytes()) if byte})
    return known


def explained():
    lines = EXPLAINED.read_text().splitlines() if EXPLAINED.exists() else []
    return {tuple(line.split(" | ")[:3]) for line in lines if line and not line.startswith("#")}


def run(only):
    facts = [m for m in json.loads(LIST.read_text()) if only in m["file"]]
    commands = programs()
    known = measure(commands, 1 + max(m["n"] for m in facts))
    excused = explained()

    def judge(m):
        reached = sorted((took, name) for name, (took, hit) in known.items() if m["n"] in hit)
        for took, name in reached:
            good, _ = run_program(commands[name], 10 * took + 5, RELAY_MUTANT=str(m["n"]))
            if not good:
                return m, name
        return m, None if reached else "-"

    counts = collections.defaultdict(collections.Counter)
    survivors = []
    with concurrent.futures.ThreadPoolExecutor(int(os.environ.get("JOBS", "2"))) as pool:
        for m, by in pool.map(judge, facts):
            fate = "killed" if by not in (None, "-") else "explained" if (
                m["file"], m["kind"], m["text"]) in excused else "unreached" if by == "-" else "survived"
            counts[m["file"]][fate] += 1
            if fate in ("survived", "unreached"):
                survivors.append(f"{fate:9} {m['file']}:{m['line']}: {m['kind']}: {m['text']}")
    print("\n".join(survivors))
    print(f"\n{'file':34} {'faults':>7} {'killed':>7} {'explained':>10} {'survived':>9} {'unreached':>10}")
    total = collections.Counter()
    for path, c in sorted(counts.items()):
        total += c
        print(f"{path:34} {sum(c.values()):7} {c['killed']:7} {c['explained']:10} {c['survived']:9} {c['unreached']:10}")
    every = sum(total.values())
    print(f"{'all':34} {every:7} {total['killed']:7} {total['explained']:10} {total['survived']:9} {total['unreached']:10}")
    print(f"killed or explained: {100 * (total['killed'] + total['explained']) / every:.1f} %")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    b = verbs.add_parser("build")
    b.add_argument("--count", type=int, default=1500)
    b.add_argument("--seed", type=int, default=1)
    r = verbs.add_parser("run")
    r.add_argument("--only", default="", help="faults in files with this in their path")
    given = parser.parse_args()
    build(given.count, given.seed) if given.verb == "build" else run(given.only)


if __name__ == "__main__":
    main()
