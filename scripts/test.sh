#!/usr/bin/env bash
# Runs the tests. Without an argument all of them, which is `make test`:
#
#   unit    unit and path tests, and the fuzzers' corpora replayed, in the dev build
#   asan    the same under AddressSanitizer and UBSan
#   tsan    those with threads (test_*_threads.c), and many clients at once, under ThreadSanitizer
#   fuzz    every fuzzer for FUZZ_SECONDS (default 5)
#   embed   the encoder beside a reference in Python, and the NEON kernels under qemu
#   wire    pytest against the real binary, with the official SDKs; then against the ASan build
#   guides  every command of README.md and docs/guides, which `wire` has, too
#   browser every page of the dashboard in chromium, of a gateway with traffic; pictures in build/screenshots
#
#   scripts/test.sh [PART]      one part; `real` is one too, for the tests against real model servers
#
# A part that fails does not stop the others. The run ends in one line per part and a total.
#
# A busy machine makes a test fail now and then that waits for something. So what failed is run once more, at
# most SECOND_RUNS tests of a part, and the summary says which of them passed then: look at them. What a
# sanitizer found is never run again, nor is a program that crashed.
#
# The wire tests are told where things are by the environment: RELAY_BIN_DIR (holds relay and relay-sim),
# RELAY_NODE (a Node.js of at least 22), RELAY_NODE_DIR (a copy of tests/wire/node with its packages
# installed beside it). Those that need a real model server carry the pytest marker `real`.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
part=${1:-all}
jobs=${JOBS:-2}
fuzz_seconds=${FUZZ_SECONDS:-5}
logs=build/test-logs
second_runs=${SECOND_RUNS:-2}

summary=()
passed_total=0
failed_total=0

# note NAME PASSED FAILED [REMARK]
note() {
    summary+=("$(printf '  %-26s %5d passed %4d failed  %s' "$1" "$2" "$3" "${4:-}")")
    passed_total=$((passed_total + $2))
    failed_total=$((failed_total + $3))
}

# said_twice NAME TESTS...: what passed only the second time.
said_twice() {
    local name=$1
    shift
    [ $# = 0 ] || summary+=("$(printf '  %-26s passed the second time only: %s' "$name" "$*")")
}

title() { printf '\n== %s\n' "$*"; }

build() {
    title "build $*"
    scripts/build.sh "$@" >"$logs/build-$1.log" 2>&1 && return
    tail -60 "$logs/build-$1.log" >&2
    note "build $1" 0 1 "$logs/build-$1.log"
    return 1
}

# Of ctest's log: the names of the programs that failed.
failed_programs() { sed -nE 's/^[[:space:]]+[0-9]+ - ([^ ]+) \(.*\)$/\1/p' "$1"; }

# What a second run cannot excuse.
found_by_sanitizer() { grep -qE 'Sanitizer|runtime error:|SEGFAULT|Subprocess aborted|Exception' "$1"; }

# run_ctest NAME PRESET [CTEST ARGUMENTS]: counts programs; each prints its own tests.
run_ctest() {
    local name=$1 preset=$2 log=$logs/$1.log failed total passed again
    shift 2
    title "$name"
    ctest --test-dir "build/$preset" --output-on-failure -j "$jobs" "$@" >"$log" 2>&1 || true
    if grep -q 'No tests were found' "$log"; then
        echo "no tests"
        return
    fi
    total=$(sed -nE 's/.* tests failed out of ([0-9]+).*/\1/p' "$log")
    failed=$(sed -nE 's/.*, ([0-9]+) tests failed out of.*/\1/p' "$log")
    if [ -z "$total" ]; then
        tail -20 "$log" >&2
        note "$name" 0 1 "ctest did not finish: $log"
        return
    fi
    [ "$failed" = 0 ] || grep -vE ' (Passed +[0-9.]+ sec|Start +[0-9]+: )' "$log" | head -400
    if [ "$failed" != 0 ] && [ "$failed" -le "$second_runs" ] && ! found_by_sanitizer "$log"; then
        mapfile -t again < <(failed_programs "$log")
        title "$name, a second time: ${again[*]}"
        if ctest --test-dir "build/$preset" --output-on-failure --rerun-failed >"$log.again" 2>&1; then
            said_twice "$name" "${again[@]}"
            failed=0
        fi
        tail -40 "$log.again"
    fi
    passed=$((total - failed))
    echo "$passed of $total test programs passed"
    note "$name" "$passed" "$failed" "test programs"
}

part_unit() {
    build dev all_tests || return 0
    run_ctest unit dev
}

part_asan() {
    build asan all_tests || return 0
    export ASAN_OPTIONS=strict_string_checks=1:detect_stack_use_after_return=1
    export UBSAN_OPTIONS=print_stacktrace=1
    run_ctest asan+ubsan asan
}

part_tsan() {
    build tsan threaded_tests relay relay-sim || return 0
    export TSAN_OPTIONS=second_deadlock_stack=1
    run_ctest tsan tsan -L threads
    prepare_wire tsan true || return 0 # without Node.js
    export PYTHONDONTWRITEBYTECODE=1
    run_pytest wire-tsan build/tsan tests/wire/test_at_once.py
}

# One fuzzer, whose output goes into a file of its own.
run_fuzzer() {
    local name=$1 corpus=${1#fuzz_} dict=()
    [ -e "tests/fuzz/$corpus.dict" ] && dict=("-dict=tests/fuzz/$corpus.dict")
    mkdir -p "build/fuzz-corpus/$corpus" "tests/fuzz/corpus/$corpus"
    # A single input may take long on a busy machine: what hangs, hangs for longer.
    # With one seed a change is told of its own faults; `make fuzz` looks for those that nobody knows.
    "build/fuzz/tests/$name" -seed="${FUZZ_SEED:-1}" -max_total_time="$fuzz_seconds" -timeout=60 -rss_limit_mb=2048 \
        -artifact_prefix="build/fuzz-artifacts/$name-" ${dict[@]+"${dict[@]}"} \
        "build/fuzz-corpus/$corpus" "tests/fuzz/corpus/$corpus" >"$logs/$name.log" 2>&1
}

part_fuzz() {
    local name log running=() waiting=() passed=0 failed=0
    compgen -G 'tests/fuzz/fuzz_*.c' >/dev/null || return 0
    build fuzz fuzzers || return 0
    title "fuzz, $fuzz_seconds s each"
    mkdir -p build/fuzz-artifacts
    for name in tests/fuzz/fuzz_*.c; do
        name=$(basename "$name" .c)
        waiting+=("$name")
    done
    # As many at a time as there are jobs.
    while [ ${#waiting[@]} != 0 ]; do
        running=()
        for name in "${waiting[@]:0:jobs}"; do
            run_fuzzer "$name" &
            running+=("$name" $!)
        done
        waiting=("${waiting[@]:jobs}")
        while [ ${#running[@]} != 0 ]; do
            name=${running[0]} log=$logs/${running[0]}.log
            if wait "${running[1]}"; then
                passed=$((passed + 1))
                printf '%s: %s\n' "$name" "$(grep '^Done ' "$log" | tail -1)"
            else
                failed=$((failed + 1))
                printf '%s FAILED, see %s\n' "$name" "$log"
                tail -40 "$log"
            fi
            running=("${running[@]:2}")
        done
    done
    note fuzz "$passed" "$failed" "targets, $fuzz_seconds s each"
}

# A virtual environment with exactly tests/wire/requirements.txt, made anew when that changes.
# prepare_venv FOLDER REQUIREMENTS
prepare_venv() {
    local stamp
    stamp=$(python3 --version && cksum <"$2")
    if [ "$(cat "$1/stamp" 2>/dev/null)" != "$stamp" ]; then
        rm -rf "$1"
        python3 -m venv "$1"
        "$1/bin/pip" install -q --disable-pip-version-check -r "$2"
        printf '%s\n' "$stamp" >"$1/stamp"
    fi
}

prepare_python() { prepare_venv build/venv tests/wire/requirements.txt; }

# The npm packages of tests/wire/node, installed beside a copy of its scripts in build/node, and a
# Node.js that can run them.
prepare_node() {
    local stamp
    [ -e tests/wire/node/package-lock.json ] || return 0
    RELAY_NODE=$(scripts/node.sh)
    mkdir -p build/node
    cp -r tests/wire/node/. build/node/
    stamp=$("$RELAY_NODE" --version && cksum <tests/wire/node/package-lock.json)
    if [ "$(cat build/node/.stamp 2>/dev/null)" != "$stamp" ]; then
        npm ci --silent --no-audit --no-fund --prefix build/node
        printf '%s\n' "$stamp" >build/node/.stamp
    fi
    export RELAY_NODE RELAY_NODE_DIR=$root/build/node
}

count() { sed -nE "s/.*[^0-9]([0-9]+) $1.*/\1/p" <<<" $2" | tail -1; }

# run_pytest NAME DIRECTORY_OF_THE_BINARIES [PYTEST ARGUMENTS]
run_pytest() {
    local name=$1 bin=$2 log=$logs/$1.log line passed failed errors again status=0
    shift 2
    title "$name"
    RELAY_BIN_DIR=$root/$bin PYTHONPATH=$root/tests \
        "${PYTEST_PYTHON:-build/venv/bin/python}" -m pytest -q -p no:cacheprovider -p ran_tests -rfER \
        --reruns "$((second_runs > 0))" --rerun-except 'Sanit|runtime error' "$@" 2>&1 | tee "$log" || status=$?
    line=$(grep -E '^=* ?[0-9]+ (passed|failed|error|skipped|deselected)' "$log" | tail -1 || true)
    passed=$(count passed "$line")
    failed=$(count failed "$line")
    errors=$(count 'errors?' "$line")
    failed=$((${failed:-0} + ${errors:-0}))
    # What was run again and is not among the failures.
    mapfile -t again < <(comm -23 <(sed -nE 's/^RERUN ([^ ]+).*/\1/p' "$log" | sort -u) \
        <(sed -nE 's/^(FAILED|ERROR) ([^ ]+).*/\2/p' "$log" | sort -u))
    [ ${#again[@]} = 0 ] || said_twice "$name" "${again[@]}"
    [ ${#again[@]} -le "$second_runs" ] || failed=$((failed + ${#again[@]}))
    # Exit status 5 is "no test was run".
    [ "$status" != 0 ] && [ "$failed" = 0 ] && failed=1
    note "$name" "${passed:-0}" "$failed" "$(count skipped "$line" | sed 's/$/ skipped/')"
}

# prepare_wire NAME [COMMAND]
prepare_wire() {
    title "prepare $1"
    { prepare_python && ${2:-prepare_node} && scripts/model.sh; } >"$logs/prepare.log" 2>&1 && return
    tail -40 "$logs/prepare.log" >&2
    note "prepare $1" 0 1 "$logs/prepare.log"
    return 1
}

part_embed() {
    build release relay-embed || return 0
    title "prepare embed"
    if ! { scripts/model.sh && prepare_venv build/venv-embed tests/embed/requirements.txt; } \
        >"$logs/prepare-embed.log" 2>&1; then
        tail -40 "$logs/prepare-embed.log" >&2
        note "prepare embed" 0 1 "$logs/prepare-embed.log"
        return 0
    fi
    RELAY_EMBED=$root/build/release/bench/relay-embed RELAY_MODEL=$root/build/models/all-MiniLM-L6-v2 \
        PYTEST_PYTHON=build/venv-embed/bin/python run_pytest embed build tests/embed
    [ "$(uname -s)" = Linux ] && [ -e /etc/debian_version ] || return 0
    title "NEON kernels"
    if scripts/neon.sh >"$logs/neon.log" 2>&1; then
        note neon 1 0
    else
        tail -20 "$logs/neon.log" >&2
        note neon 0 1 "$logs/neon.log"
    fi
}

part_wire() {
    [ -e tests/wire/requirements.txt ] || return 0
    build release relay relay-sim || return 0
    prepare_wire wire || return 0
    export PYTHONDONTWRITEBYTECODE=1
    # Most of what these tests do is wait, so there are more of them at a time than cores. A file's tests stay
    # together: they share a gateway.
    local at_once=(-n $((jobs + 1)) --dist loadfile --no-loadscope-reorder)
    run_pytest wire build "${at_once[@]}" -m 'not real' tests/wire
    build asan relay relay-sim || return 0
    run_pytest wire-asan build/asan "${at_once[@]}" -m 'not real and not once' tests/wire
}

part_guides() {
    build release relay relay-sim || return 0
    prepare_wire guides || return 0
    PYTHONDONTWRITEBYTECODE=1 run_pytest guides build tests/wire/test_guides.py
}

# Its pictures are for people to look at: no test compares them.
part_browser() {
    local log=$logs/browser.log status=0 passed failed again
    [ -x "${CHROMIUM:-/usr/bin/chromium}" ] || {
        echo "no chromium here: the dashboard is not tried in a browser"
        return 0
    }
    build release || return 0
    title browser
    scripts/model.sh >"$logs/prepare-browser.log" 2>&1 || true
    scripts/web.sh browser 2>&1 | tee "$log" || status=$?
    passed=$(sed -nE 's/^ +([0-9]+) passed.*/\1/p' "$log")
    again=$(sed -nE 's/^ +([0-9]+) flaky.*/\1/p' "$log")
    failed=$(sed -nE 's/^ +([0-9]+) (failed|interrupted|did not run).*/\1/p' "$log" | awk '{ n += $1 } END { print n + 0 }')
    if [ "${again:-0}" != 0 ]; then
        said_twice browser "$again, named above"
        [ "$again" -le "$second_runs" ] || failed=$((failed + again))
    fi
    [ "$status" = 0 ] || [ "$failed" != 0 ] || failed=1
    note browser "$((${passed:-0} + ${again:-0}))" "$failed" "pictures in build/screenshots"
}

# The llama-server of scripts/llama.sh.
part_real() {
    build release || return 0
    prepare_wire real || return 0
    title "prepare llama-server"
    if ! scripts/llama.sh 2>&1 | tee "$logs/llama.log"; then
        note "prepare llama-server" 0 1 "$logs/llama.log"
        return 0
    fi
    RELAY_LLAMA=$(tail -1 "$logs/llama.log")
    export RELAY_LLAMA
    export PYTHONDONTWRITEBYTECODE=1
    run_pytest real build -m real tests/wire
}

scripts/setup.sh test
# Apple's clang has no libFuzzer; Homebrew's has.
[ "$(uname -s)" != Darwin ] || PATH=$(brew --prefix llvm)/bin:$PATH
mkdir -p "$logs/ran"
# The names of the tests that passed, by program, for scripts/check_proofs.py; `all` says that none is missing.
export RELAY_RAN=$root/$logs/ran
started=$SECONDS
case $part in
all)
    rm -f "$RELAY_RAN"/*
    part_unit
    part_asan
    part_tsan
    part_fuzz
    part_embed
    part_wire
    part_browser
    touch "$RELAY_RAN/all"
    ;;
unit | asan | tsan | fuzz | embed | wire | guides | browser | real) "part_$part" ;;
*)
    echo "usage: scripts/test.sh [unit|asan|tsan|fuzz|embed|wire|guides|browser|real]" >&2
    exit 2
    ;;
esac

title "summary, $((SECONDS - started)) s"
[ ${#summary[@]} = 0 ] || printf '%s\n' "${summary[@]}"
printf '\n%d passed, %d failed\n' "$passed_total" "$failed_total" | tee build/test.result
[ "$failed_total" = 0 ] && [ "$passed_total" -gt 0 ]
