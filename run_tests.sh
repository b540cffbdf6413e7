#!/usr/bin/env bash
# Sets itself up and runs every check: lint, format, types, import rules, tests.
# `./run_tests.sh tests/library -k record` hands its arguments to pytest.
set -euo pipefail
cd "$(dirname "$0")"
. ./setup.sh

make_environment requirements.txt
install_rabbitmq_if_possible

ruff check .
ruff format --check .
mypy
lint-imports
# Whole files side by side: most of their time is waiting, and what a file shares, such as a broker, is started once
# for it. In their own order, in which the long ones do not come last.
exec python -m pytest --numprocesses=3 --dist=loadfile --no-loadscope-reorder "$@"
