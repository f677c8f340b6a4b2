# shellcheck shell=bash
# Checks that count: sourced by the scripts that make them, which set `logs`, a folder, and print $passed and
# $failed at their end.
#
#   attempt NAME COMMAND...     silent when all is well; else the last of what COMMAND said
passed=0
failed=0

attempt() {
    local name=$1
    shift
    # shellcheck disable=SC2154
    if "$@" >"$logs/$name.log" 2>&1; then
        passed=$((passed + 1))
        printf 'ok      %s\n' "$name"
    else
        failed=$((failed + 1))
        printf 'FAILED  %s\n' "$name"
        tail -200 "$logs/$name.log"
    fi
}
