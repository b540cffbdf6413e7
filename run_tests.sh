#!/usr/bin/env bash
# Sets itself up and runs every check: lint, format, types, import rules, tests.
#   ./run_tests.sh tests/library -k record    hands its arguments to pytest
#   ./run_tests.sh --oldest …                 runs only the tests, with the oldest versions that requirements.txt allows
set -euo pipefail
cd "$(dirname "$0")"

lock=requirements.lock
if [ "${1:-}" = --oldest ]; then
    shift
    lock=requirements-oldest.lock
    VENV="${VENV:-.venv-oldest}"
fi
. ./setup.sh

make_environment "$lock"
install_rabbitmq_if_possible

if [ "$lock" = requirements.lock ]; then
    ruff check .
    ruff format --check .
    mypy
    lint-imports
fi
# Whole files side by side: most of their time is waiting, and what a file shares, such as a broker, is started once
# for it. In their own order, in which the long ones do not come last.
exec python -m pytest --numprocesses=3 --dist=loadfile --no-loadscope-reorder "$@"
