# shellcheck shell=bash
# Checks that count: sourced by the scripts that make them, which set `logs`, a folder, and print $passed and
# $failed at their end.
#
#   attempt NAME COMMAND...     in a shell of its own, with `set -e`; silent when all is well; else the last of what COMMAND said
passed=0
failed=0

attempt() {
    local name=$1 status
    shift
    # As the condition of an `if` a function would go on after a command of it that failed.
    set +e
    # shellcheck disable=SC2154
    (
        set -e
        "$@"
    ) >"$logs/$name.log" 2>&1
    status=$?
    set -e
    if [ "$status" = 0 ]; then
        passed=$((passed + 1))
        printf 'ok      %s\n' "$name"
    else
        failed=$((failed + 1))
        printf 'FAILED  %s\n' "$name"
        tail -200 "$logs/$name.log"
    fi
}
