#!/usr/bin/env bash
# Starts the whole service on this machine: listener, worker, periodic worker, beat and Flower.
set -euo pipefail
cd "$(dirname "$0")"
. ./setup.sh

usage() {
    cat <<'TEXT'
usage: ./run_celery.sh                      start the service with the environment's settings (README, "Settings")
       ./run_celery.sh --demo [FILE|DIR …]  see it work, with nothing else installed or running
       ./run_celery.sh --demo --keep        the same, and leave it up to look around
       ./run_celery.sh --demo --format ocs  the same, with an archive of nested records

One Ctrl-C stops everything; when one of the processes dies all stop, and the exit code says so.

  WORKER_CONCURRENCY   processes of the worker (default: one a core)
  FLOWER_PORT          port of Flower on 127.0.0.1 (default: 5555)
  PYTHON               the Python to use, 3.11 or later (default: the first that is found)
  VENV                 the virtual environment to make and use (default: .venv)
TEXT
}

case "${1:-}" in
-h | --help)
    usage
    exit 0
    ;;
--demo)
    shift
    make_environment deploy/requirements-demo.lock
    exec python -m ingester_demo "$@"
    ;;
?*)
    usage >&2
    exit 2
    ;;
esac

make_environment deploy/requirements.lock
# One clear line for wrong settings, in place of one from each process.
time_limit="$(python -c 'import celeryconfig; print(celeryconfig.worker_soft_shutdown_timeout)')"

declare -A names=()

start() {
    local name="$1"
    shift
    "$@" &
    names[$!]="$name"
}

stop_all() {
    trap '' INT TERM
    for pid in "${!names[@]}"; do kill -TERM "$pid" 2>/dev/null || true; done
    # What takes longer is put back by RabbitMQ, which gets no acknowledgement, and is lost to nobody.
    { sleep "$time_limit" && for pid in "${!names[@]}"; do kill -KILL -- "-$pid" 2>/dev/null || true; done; } &
    for pid in "${!names[@]}"; do wait "$pid" 2>/dev/null || true; done
    kill -KILL -- "-$!" 2>/dev/null || true # it ignores SIGTERM, as we do now
}

# Job control puts each process into a group of its own: a Ctrl-C comes to us alone, and to them once.
set -m
trap 'echo "stopping" >&2; stop_all; exit 0' INT TERM

start listener ingester run listener
start worker ingester run worker --concurrency "${WORKER_CONCURRENCY:-$(nproc)}"
start "periodic worker" ingester run periodic
start beat ingester run beat
start Flower ingester run flower

code=0
wait -n -p ended "${!names[@]}" || code=$?
echo "${names[$ended]} ended with exit code $code: stopping everything" >&2
stop_all
exit "$((code == 0 ? 1 : code))"
