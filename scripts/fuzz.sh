#!/usr/bin/env bash
# Fuzzing in depth, by hand: each fuzzer for FUZZ_MINUTES (60), JOBS (2) at a time, from its corpus in
# tests/fuzz/corpus and from what earlier runs have found.
#
#   scripts/fuzz.sh [NAME...]           fuzz_NAME; all of them without a name. Prints a table
#   scripts/fuzz.sh compare [NAME...]   those that know the structure of their input (tests/fuzz/mutate*.h), with
#                                       and without that knowledge, side by side for FUZZ_MINUTES from the same
#                                       corpus; prints the edges of both
#
# All that is found stays in build/fuzz-corpus. Into tests/fuzz/corpus goes the smallest input for each edge that was
# reached for the first time, of at most 4 KiB, and at most KEEP_BYTES (32768) of them for a fuzzer and run. An
# input that failed is in build/fuzz-artifacts; the run then ends with status 1.
set -euo pipefail
cd "$(dirname "$0")/.."
minutes=${FUZZ_MINUTES:-60}
jobs=${JOBS:-2}
keep_bytes=${KEEP_BYTES:-32768}
file_bytes=4096
out=build/fuzz-runs
mkdir -p $out build/fuzz-artifacts
seconds=$(awk "BEGIN { print int($minutes * 60) }")

edges() { sed -nE "s/^#[0-9]+[[:space:]]+$2 +cov: ([0-9]+) .*/\1/p" "$1" | tail -1; }
statistic() { sed -nE "s/^stat::$2: +([0-9]+)/\1/p" "$1"; }

# fuzz NAME LOG FOLDER...: one run of libFuzzer
fuzz() {
    local name=$1 log=$2
    shift 2
    nice -n 10 "build/fuzz/tests/fuzz_$name" -max_total_time="$seconds" -timeout=60 -rss_limit_mb=2048 \
        -print_final_stats=1 -artifact_prefix="build/fuzz-artifacts/fuzz_$name-" "$@" >"$log" 2>&1
}

# Takes over what a run found. Counters tell how often an edge was taken: an input for each of those would be a
# corpus of megabytes, so here only edges count.
keep() {
    local name=$1 kept=tests/fuzz/corpus/$1 small=$out/$1.small chosen=$out/$1.chosen bytes=0 size file
    rm -rf "$small" "$chosen"
    mkdir -p "$small" "$chosen"
    find "build/fuzz-corpus/$name" -type f -size -$((file_bytes + 1))c -exec cp -t "$small" {} +
    cp "$kept"/* "$chosen"
    "build/fuzz/tests/fuzz_$name" -merge=1 -use_counters=0 "$chosen" "$small" >"$out/$name.merge.log" 2>&1
    while read -r size file; do
        [ -e "$kept/$file" ] && continue
        bytes=$((bytes + size))
        [ "$bytes" -le "$keep_bytes" ] || break
        cp "$chosen/$file" "$kept/"
    done < <(find "$chosen" -type f -printf '%s %f\n' | sort -n)
    rm -rf "$small" "$chosen"
}

# In depth: fuzz, keep what is new, and one line for the table.
deepen() {
    local name=$1 log=$out/$1.log before after count size findings=0
    mkdir -p "build/fuzz-corpus/$name"
    "build/fuzz/tests/fuzz_$name" -runs=0 "tests/fuzz/corpus/$name" >"$out/$name.before.log" 2>&1
    before=$(edges "$out/$name.before.log" DONE)
    fuzz "$name" "$log" "build/fuzz-corpus/$name" "tests/fuzz/corpus/$name" || findings=1
    after=$(edges "$log" DONE)
    [ "$findings" = 1 ] || keep "$name"
    count=$(find "tests/fuzz/corpus/$name" -type f | wc -l)
    size=$(cat "tests/fuzz/corpus/$name"/* | wc -c)
    printf '%s %s %s %s %s %s %s\n' "$name" "$(statistic "$log" number_of_executed_units)" "$before" \
        "${after:--}" "$count" "$size" "$findings" >"$out/$name.result"
}

# Both runs at the same time, so that what else the machine does is the same for both.
compare() {
    local name=$1 way pids=() findings=0
    for way in with without; do
        rm -rf "${out:?}/$name.$way"
        mkdir -p "$out/$name.$way"
        if [ $way = without ]; then
            RELAY_FUZZ_BYTES_ONLY=1 fuzz "$name" "$out/$name.$way.log" "$out/$name.$way" "tests/fuzz/corpus/$name" &
        else
            fuzz "$name" "$out/$name.$way.log" "$out/$name.$way" "tests/fuzz/corpus/$name" &
        fi
        pids+=($!)
    done
    wait "${pids[0]}" || findings=1
    wait "${pids[1]}" || findings=1
    printf '%s %s %s %s %s %s\n' "$name" "$(edges "$out/$name.with.log" INITED)" \
        "$(edges "$out/$name.with.log" DONE)" "$(edges "$out/$name.without.log" DONE)" \
        "$(statistic "$out/$name.with.log" number_of_executed_units)" \
        "$(statistic "$out/$name.without.log" number_of_executed_units)" | tee "$out/$name.compared"
    return $findings
}

scripts/build.sh fuzz fuzzers >$out/build.log 2>&1 || {
    tail -40 $out/build.log >&2
    exit 1
}

if [ "${1:-}" = compare ]; then
    shift
    [ $# != 0 ] || mapfile -t names < <(grep -l '"mutate_' tests/fuzz/fuzz_*.c tests/fuzz/dialect_stream.h |
        sed -nE 's/.*fuzz_(.*)\.c/\1/p')
    [ $# = 0 ] || names=("$@")
    status=0
    echo "fuzzer, edges at the start, after $minutes min with and without structure, executions of both"
    for name in "${names[@]}"; do
        compare "$name" || status=1
    done
    exit $status
fi

names=("$@")
[ $# != 0 ] || mapfile -t names < <(basename -s .c tests/fuzz/fuzz_*.c | sed 's/^fuzz_//')
started=$SECONDS
for name in "${names[@]}"; do
    while [ "$(jobs -rp | wc -l)" -ge "$jobs" ]; do wait -n || true; done
    rm -f "$out/$name.result"
    deepen "$name" &
done
wait

printf '\n| fuzzer | executions | edges before | after | inputs kept | bytes | findings |\n|---|---|---|---|---|---|---|\n'
status=0
for name in "${names[@]}"; do
    read -r fuzzer runs before after count size findings <"$out/$name.result" || {
        echo "$name did not finish: $out/$name.log" >&2
        status=1
        continue
    }
    printf '| %s | %s | %s | %s | %s | %s | %s |\n' "$fuzzer" "$runs" "$before" "$after" "$count" "$size" "$findings"
    [ "$findings" = 0 ] || status=1
done
printf '\n%s min each, %s at a time, %s s in all\n' "$minutes" "$jobs" $((SECONDS - started))
exit $status
