#!/usr/bin/env bash
# Would the quick tests notice a fault? Small faults are put into the code that money, limits, safety and
# answers depend on, and the tests that reach them are run: tests/mutants/mutants.py says how. By hand: the
# two builds take as long as those of all tests, then about a fault a second. docs/mutants.md has the last figures.
#
#   scripts/mutants.sh [SHARE] [SEED]       percent of the usual number of faults (100), seed (1)
set -euo pipefail
cd "$(dirname "$0")/.."
venv=build/venv-mutants
[ -x $venv/bin/python ] || python3 -m venv $venv
$venv/bin/pip -q install --disable-pip-version-check tree-sitter==0.26.1 tree-sitter-c==0.24.2
$venv/bin/python tests/mutants/mutants.py build --share "${1:-100}" --seed "${2:-1}"
$venv/bin/python tests/mutants/mutants.py run
$venv/bin/python tests/mutants/mutants.py run --sanitized --budget 60
