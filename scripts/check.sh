#!/usr/bin/env bash
# The static checks: scripts/check.py's rules, the format, shellcheck, clang-tidy. Each counts as one;
# the run ends in "N passed, N failed". scripts/check.sh fast leaves clang-tidy out.
set -euo pipefail
cd "$(dirname "$0")/.."
logs=build/check-logs
mkdir -p $logs
# shellcheck source=scripts/attempt.sh
. scripts/attempt.sh

c_files() { git ls-files -co --exclude-standard -- "$@" | while read -r f; do [ ! -e "$f" ] || echo "$f"; done; }

check_format() {
    local file status=0
    while read -r file; do
        clang-format --dry-run -Werror "$file" >/dev/null 2>&1 && continue
        echo "$file is not formatted: run make format"
        status=1
    done < <(c_files '*.c' '*.h')
    return $status
}

check_shell() {
    c_files '*.sh' .ci/run | xargs -r shellcheck
}

# Two processes, so that the check takes half as long on two cores; each file's findings stay together.
check_tidy() {
    c_files 'src/*.c' 'sim/*.c' | xargs -r -n 4 -P "${JOBS:-2}" \
        clang-tidy --quiet -p build/dev 2>/dev/null
}

# Formatting differs between releases of clang-format, so one release decides.
format_release=14

attempt dev-build scripts/build.sh dev
for rule in layers guards lengths heads banned words globals tables bugs places; do
    attempt "$rule" python3 scripts/check.py "$rule"
done
sed -n '/ten longest/,$p' build/check-logs/lengths.log
attempt docs python3 scripts/check_docs.py
attempt proofs python3 scripts/check_proofs.py
tail -1 $logs/proofs.log
attempt examples python3 scripts/try_examples.py apply
attempt deploy scripts/deploy_check.sh fast
if command -v node >/dev/null; then
    attempt web scripts/web.sh check
else
    echo "skipped web: the rebuild of web/dist needs Node.js"
fi
if clang-format --version 2>/dev/null | grep -q "version $format_release\\."; then
    attempt format check_format
else
    echo "skipped format: it is checked with clang-format $format_release"
fi
if command -v shellcheck >/dev/null; then
    attempt shellcheck check_shell
else
    echo "skipped shellcheck: not installed"
fi
if [ "${1:-}" != fast ]; then
    if command -v clang-tidy >/dev/null; then
        attempt clang-tidy check_tidy
    else
        echo "skipped clang-tidy: not installed"
    fi
fi

printf '\n%d passed, %d failed\n' "$passed" "$failed" | tee build/check.result
[ "$failed" = 0 ]
