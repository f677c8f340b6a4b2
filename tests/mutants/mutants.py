#!/usr/bin/env python3
"""Would the quick tests notice? Puts small faults into the code, one at a time, and runs the tests.

    tests/mutants/mutants.py build [--share P] [--seed S]    choose the faults and compile them all, asleep
    tests/mutants/mutants.py run [--only WORD]               wake one after the other; prints who survives
    tests/mutants/mutants.py run --sanitized                 the survivors once more, under ASan and UBSan
    tests/mutants/mutants.py show                            the last figures again

All faults are compiled into one tree (build/mutants/tree), each behind a switch that the environment turns
(mutant.h), so that a fault costs no build, only the tests that reach it; which these are is measured first,
and those that have killed most come first. A fault is killed when one of them fails, or takes ten times the
processor's time that it should. The quick tests run under ASan and UBSan too: what lives can be asked again so.

Kinds: a comparison's bound or sense, + and -, * and /, && and ||, a condition turned round, a number that is
one more, a returned bool turned round, a statement left out. Not left out are lines of the log and what
gives memory back: the one is told to people, the other is seen by ASan. explained.txt names survivors that
no test can kill, with the reason.

A target has more places than there is time for, so each gives a sample: the places whose hash with the seed
is lowest. Whoever changes a line changes the sample by that line only.

Needs tree-sitter and tree-sitter-c (scripts/mutants.sh makes an environment with them).
"""
import argparse
import collections
import concurrent.futures
import hashlib
import json
import os
import re
import resource
import selectors
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
WORK = ROOT / "build" / "mutants"
TREE = WORK / "tree"
LIST = WORK / "mutants.json"
FATES = WORK / "fates.json"
EXPLAINED = Path(__file__).with_name("explained.txt")

# What money, limits, safety and the answer depend on: name, how many faults, files, and the quick
# programs that are asked. A file that two name is the first one's.
TARGETS = [
    ("key checks", 150, "src/base/key.c src/store/keys.c src/store/key_columns.c src/path/authenticate.c",
     r"path_(keys|refusals|worker)|unit_base_id|unit_store_(keys|store)$"),
    ("pricing", 150, "src/base/money.c src/catalog/price.c",
     r"unit_base_money|unit_catalog_"),
    ("limits", 150, "src/store/limits*.c src/path/limit.c",
     r"unit_store_(shared_)?limits|path_(limits|refusals|counts|embeddings|answers|fallbacks|shared_limits|audit)"),
    ("journal", 150, "src/store/journal*.c src/store/record*.c",
     r"unit_store_(journal|record)"),
    ("cache scope", 150, "src/path/cache.c src/path/cache_key.c src/base/json_digest.c src/store/answers.c",
     r"path_(cache|shared|resemble|questions)|unit_base_json|unit_store_answers"),
    ("guards", 150, "src/guard/*.c",
     r"unit_guard_"),
    ("routing", 150, "src/catalog/gate.c src/catalog/choose.c src/catalog/score.c src/catalog/order.c "
                     "src/catalog/shortlist.c src/catalog/resolve.c src/catalog/health.c src/catalog/memory.c "
                     "src/path/route.c",
     r"unit_catalog_|path_(refusals|local|questions|embeddings|cache|answers|fallbacks)"),
    ("path", 150, "src/path/*.c",
     r"path_|unit_path_"),
]
SWAPS = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "==", "+": "-", "-": "+", "*": "/"}
NOT_LEFT_OUT = re.compile(r"^(LOG|assert|free|x?free|unlock|\w+_(free|deinit|close|unref|log)|log_\w+|pthread_mutex_\w+)$")
CHECK_FAILED = re.compile(rb"^/\S+\.[ch]:\d+: ", re.M)  # as check.h says it
# A program that wants a server skips that part.
NO_SERVERS = {"RELAY_REDIS_SERVER": "/nonexistent", "RELAY_POSTGRES_BIN": "/nonexistent"}


class File:
    """One source file, with the faults that it gets. IDs are given by the caller, in order."""

    def __init__(self, path, parser):
        self.path, self.source = path, (ROOT / path).read_bytes()
        self.root = parser.parse(self.source).root_node
        self.places, self.names = [], []
        for node in self.root.children:
            self.find(node, None, False)

    def text(self, node):
        return self.source[node.start_byte:node.end_byte]

    def name_of(self, function):
        node = function.child_by_field_name("declarator")
        while node.type != "identifier":
            node = node.child_by_field_name("declarator")
        return self.text(node).decode()

    def known_as(self):
        """What each place is called in explained.txt: file, function, kind and text; `(2)` behind a second one."""
        seen = collections.Counter()
        for place, name in zip(self.places, self.names):
            text = " ".join(self.source[place[0]:place[1]].decode().split())[:90]
            called = f"{self.path} | {name} | {place[2]} | {text}"
            seen[called] += 1
            yield place, called if seen[called] == 1 else f"{called} ({seen[called]})"

    def find(self, node, inside, returns_bool):
        """Adds (start, end, kind) of every node that can be mutated."""
        kind = node.type
        if node.has_error and not node.children or kind.startswith("preproc") or kind in (
                "sizeof_expression", "enumerator", "array_declarator", "type_descriptor", "initializer_pair"):
            return
        if kind == "function_definition":
            inside, returns_bool = self.name_of(node), self.text(node.child_by_field_name("type")) == b"bool"
        if kind == "declaration" and any(self.text(c) == b"static" for c in node.children):
            return
        if inside and not node.has_error:
            fault = self.fault_of(node, returns_bool)
            if fault:
                self.places.append((node.start_byte, node.end_byte, fault))
                self.names.append(inside)
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
    """Each file that has a target, once: [(target, how many, [File])]."""
    import tree_sitter_c
    from tree_sitter import Language, Parser
    parser = Parser(Language(tree_sitter_c.language()))
    taken, targets = set(), []
    for target, count, patterns, _ in TARGETS:
        paths = {p.relative_to(ROOT).as_posix() for pattern in patterns.split() for p in ROOT.glob(pattern)} - taken
        taken |= paths
        targets.append((target, count, [File(path, parser) for path in sorted(paths)]))
    return targets


def put(path, data):
    """Only what changes is written, so that a second build compiles no more than that."""
    if not path.is_file() or path.read_bytes() != data:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def copy_tree(mutated):
    names = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True,
                           check=True).stdout.split("\n")
    wanted = {name for name in names if name and (ROOT / name).is_file()}
    for name in wanted - mutated:
        put(TREE / name, (ROOT / name).read_bytes())
        (TREE / name).chmod((ROOT / name).stat().st_mode)
    (TREE / "build").mkdir(parents=True, exist_ok=True)
    for folder in ("src", "tests"):
        for path in (TREE / folder).rglob("*"):
            if path.is_file() and path.relative_to(TREE).as_posix() not in wanted:
                path.unlink()
    for part in ("deps", "models"):
        if (ROOT / "build" / part).exists() and not (TREE / "build" / part).exists():
            (TREE / "build" / part).symlink_to(ROOT / "build" / part)


class Flavour:
    """One way to build the tree: as it is, or with sanitizers."""

    def __init__(self, name, slow_s, sanitize):
        self.name, self.slow_s, self.folder = name, slow_s, TREE / "build" / name
        self.configuration = ["cmake", "-S", str(TREE), "-B", str(self.folder), "-G", "Ninja", "-D", "CMAKE_BUILD_TYPE=Debug",
                              "-D", "CMAKE_C_FLAGS=-w", "-D", f"RELAY_SANITIZE={sanitize}"]

    def compile(self):
        """The lines at which the compiler refuses: {file: {line}}."""
        subprocess.run(self.configuration, check=True, stdout=subprocess.DEVNULL)
        done = subprocess.run(["cmake", "--build", str(self.folder), "--target", "all_tests", "-j", os.environ.get("JOBS", "2"),
                               "--", "-k", "0"], capture_output=True, text=True)
        refused = collections.defaultdict(set)
        for path, line in re.findall(r"^(\S+?):(\d+):\d+: (?:fatal )?error", done.stdout, re.M):
            where = Path(path)
            if where.is_relative_to(TREE):
                refused[where.relative_to(TREE).as_posix()].add(int(line))
        if done.returncode != 0 and not refused:
            sys.exit(done.stdout[-4000:])
        return refused

    def programs(self):
        listed = json.loads(subprocess.run(["ctest", "--show-only=json-v1"], cwd=self.folder, capture_output=True,
                                           text=True, check=True).stdout)
        return {t["name"]: t["command"] for t in listed["tests"]
                if "command" in t and any(re.match(asked, t["name"]) for _, _, _, asked in TARGETS)}


# A program that takes longer than this many seconds is none of the quick tests.
PLAIN = Flavour("mutants", 6.0, "")
SANITIZED = Flavour("mutants-asan", 20.0, "address,undefined")


def choose(share, seed):
    """[(target, File, place, what it is called)] in the order of the code."""
    chosen = []
    for target, count, files in parse_targets():
        places = [(target, f, place, called) for f in files for place, called in f.known_as()]
        places.sort(key=lambda p: hashlib.sha256(f"{seed} {p[3]}".encode()).digest())
        part = places[:count * share // 100]
        print(f"{target}: {len(part)} of {len(places)} places in {len(files)} files, seed {seed}")
        chosen += sorted(part, key=lambda p: (p[1].path, p[2]))
    return chosen


def build(share, seed):
    chosen = choose(share, seed)
    files = {f.path: f for _, f, _, _ in chosen}
    copy_tree(set(files))
    dropped = set()
    while True:
        for f in files.values():
            own = {place: n for n, (_, of, place, _) in enumerate(chosen) if of is f and n not in dropped}
            put(TREE / f.path, f.mutated(own))
        refused = PLAIN.compile()
        if not refused:
            break
        before = len(dropped)
        for n, (_, f, place, _) in enumerate(chosen):
            first, last = (f.source.count(b"\n", 0, at) + 1 for at in place[:2])
            if any(first <= line <= last for line in refused[f.path]):
                dropped.add(n)
        if len(dropped) == before:
            sys.exit(f"does not compile, and not for a fault: {dict(refused)}")
    facts = [{"n": n, "target": target, "file": f.path, "line": f.source.count(b"\n", 0, place[0]) + 1, "called": called,
              "compiles": n not in dropped} for n, (target, f, place, called) in enumerate(chosen)]
    LIST.write_text(json.dumps({"seed": seed, "faults": facts}, indent=1))
    print(f"{len(chosen)} chosen, {len(chosen) - len(dropped)} compile")


def watch(process, deadline, told):
    """Whether the program succeeds. Its first failed check, a line `told` on its stderr, decides already."""
    heard = b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stderr, selectors.EVENT_READ)
        while time.monotonic() < deadline:
            if not selector.select(max(0.0, deadline - time.monotonic())):
                continue
            data = os.read(process.stderr.fileno(), 65536)
            heard = heard[-4096:] + data
            if told and told.search(heard):
                return False
            if not data:
                break
    try:
        return process.wait(max(0.1, deadline - time.monotonic())) == 0
    except subprocess.TimeoutExpired:
        return False


def run_program(command, cpu_s, wall_s, told, **variables):
    process = subprocess.Popen(command, cwd=TREE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                               stdin=subprocess.DEVNULL, start_new_session=True, env={**os.environ, **NO_SERVERS, **variables})
    resource.prlimit(process.pid, resource.RLIMIT_CPU, (cpu_s, cpu_s))
    good = watch(process, time.monotonic() + wall_s, told)
    try:
        os.killpg(process.pid, 9)  # and servers that it started
    except ProcessLookupError:
        pass
    process.wait()
    process.stderr.close()
    return good


def computed_s():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class Programs:
    """The test programs that can be asked, what each takes, and which faults it reaches."""

    def __init__(self, flavour, size, budget_s):
        self.commands, self.kills, self.budget_s = flavour.programs(), collections.Counter(), budget_s
        self.flavour = flavour
        self.asked = {target: re.compile(asked) for target, _, _, asked in TARGETS}
        reach = WORK / f"reach-{flavour.name}.json"
        known = json.loads(reach.read_text()) if reach.exists() else {}
        for name, command in self.commands.items():
            made = [os.stat(command[0]).st_mtime, size]
            if known.get(name, {}).get("made") != made:
                known[name] = {"made": made, **self.measure(name, size)}
                reach.write_text(json.dumps(known))
        self.known = {name: (of["took"], set(of["reached"])) for name, of in known.items() if name in self.commands}

    def measure(self, name, size):
        trace = WORK / "trace"
        trace.write_bytes(bytes(size))
        before = computed_s()
        good = run_program(self.commands[name], 60, 300, CHECK_FAILED, RELAY_MUTANT_TRACE=str(trace))
        took = computed_s() - before
        reached = [n for n, byte in enumerate(trace.read_bytes()) if byte]
        if not good or took > self.flavour.slow_s:
            print(f"left aside, since it {f'computes for {took:.1f} s' if good else 'fails without a fault'}: {name}",
                  flush=True)
            reached = []
        return {"took": took, "reached": reached}

    def reaching(self, fault):
        """The likeliest to kill it for its time first: what it did to the file's others counts."""
        path = fault["file"]
        names = [name for name, (_, reached) in self.known.items()
                 if fault["n"] in reached and self.asked[fault["target"]].match(name)]
        return sorted(names, key=lambda name: (0.02 + self.known[name][0]) * (self.kills[path, name, False] + 2) / (
            self.kills[path, name, True] + 1))

    def killer(self, fault):
        """Who kills it; "" when nobody does, None when nobody comes there."""
        names, spent = self.reaching(fault), 0.0
        for name in names:
            took = self.known[name][0]
            if spent > self.budget_s:
                break
            good = run_program(self.commands[name], int(10 * took) + 2, 40 * took + 40, CHECK_FAILED,
                               RELAY_MUTANT=str(fault["n"]))
            spent += took
            self.kills[fault["file"], name, not good] += 1
            if not good:
                return name
        return "" if names else None


def explained():
    lines = EXPLAINED.read_text().splitlines()
    return {line.rsplit(" => ", 1)[0] for line in lines if line and not line.startswith("#")}


def run(only, again, flavour, budget_s):
    if flavour is SANITIZED and (refused := flavour.compile()):
        sys.exit(f"does not compile with sanitizers: {dict(refused)}")
    listed = json.loads(LIST.read_text())
    known = json.loads(FATES.read_text()) if FATES.exists() else {}
    faults = [m for m in listed["faults"] if only in m["file"] + " " + m["target"] and
              not (again and known.get(m["called"], {}).get("fate") in ("killed", "refused"))]
    ask = Programs(flavour, 1 + max(m["n"] for m in listed["faults"]), budget_s)
    excused = explained()

    def judge(m):
        if not m["compiles"]:
            return m, "refused", None
        by = ask.killer(m)
        if by:
            return m, "killed", by if flavour is PLAIN else f"{by} ({flavour.name})"
        return m, "explained" if m["called"] in excused else "unreached" if by is None else "survived", None

    kept = {m["called"] for m in listed["faults"]}
    with concurrent.futures.ThreadPoolExecutor(int(os.environ.get("JOBS", "2"))) as pool:
        for m, fate, by in pool.map(judge, faults):
            known = json.loads(FATES.read_text()) if FATES.exists() else {}
            fates = {called: fate for called, fate in known.items() if called in kept}
            fates[m["called"]] = {"target": m["target"], "fate": fate, "by": by}
            FATES.with_suffix(".new").write_text(json.dumps(fates, indent=1))
            FATES.with_suffix(".new").replace(FATES)  # whole, for another run that reads it
            if fate == "killed" and m["called"] in excused:
                print(f"explained, but killed by {by}: {m['called']}", flush=True)
            if fate in ("survived", "unreached"):
                print(f"{fate:9} {m['file']}:{m['line']}: {m['called'].split(' | ', 1)[1]}", flush=True)
    show()


def show():
    """The figures of docs/mutants.md: of what the last runs found."""
    counts = collections.defaultdict(collections.Counter)
    for m in json.loads(FATES.read_text()).values():
        for target in (m["target"], "all"):
            counts[target][m["fate"]] += 1
    print(f"\n| target | faults | compile | killed | explained | survive | of them unreached | killed or explained |"
          f"\n|---|---|---|---|---|---|---|---|")
    for target in [name for name, _, _, _ in TARGETS] + ["all"]:
        c = counts[target]
        compile_ = c.total() - c["refused"]
        if compile_:
            print(f"| {target} | {c.total()} | {compile_} | {c['killed']} | {c['explained']} | "
                  f"{c['survived'] + c['unreached']} | {c['unreached']} | "
                  f"{100 * (c['killed'] + c['explained']) / compile_:.1f} % |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    b = verbs.add_parser("build")
    b.add_argument("--share", type=int, default=100, help="percent of the usual number of faults")
    b.add_argument("--seed", type=int, default=1)
    r = verbs.add_parser("run")
    r.add_argument("--only", default="", help="faults with this in their file's path or their target's name")
    r.add_argument("--again", action="store_true", help="only those that the last runs have not killed")
    r.add_argument("--sanitized", action="store_true", help="only those too, under ASan and UBSan")
    r.add_argument("--budget", type=float, default=20, help="seconds of the processor that a fault may take")
    verbs.add_parser("show")
    given = parser.parse_args()
    if given.verb == "build":
        build(given.share, given.seed)
    elif given.verb == "run":
        run(given.only, given.again or given.sanitized, SANITIZED if given.sanitized else PLAIN, given.budget)
    else:
        show()


if __name__ == "__main__":
    main()
