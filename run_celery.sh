#!/usr/bin/env bash
# Starts the whole service on this machine: listener, worker, periodic worker, beat and Flower.
set -euo pipefail
cd "$(dirname "$0")"
. ./setup.sh

usage() {
    cat <<'TEXT'
usage: ./run_celery.sh                      start the service with the environment's settings (README, "Settings")
       ./run_celery.sh --demo [FILE|DIR …]  see it work; nothing else must be installed or running
       ./run_celery.sh --demo --keep        the same, and keep it running to look around
       ./run_celery.sh --demo --format ocs  the same, with an archive of nested records

One Ctrl-C stops everything. If one of the processes ends, all are stopped and the exit code is not 0.

  WORKER_CONCURRENCY   processes of the worker (default: one for each core)
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
    exec python -m ingester_demo local "$@"
    ;;
?*)
    usage >&2
    exit 2
    ;;
esac

make_environment deploy/requirements.lock
# Wrong settings are reported once here, and not by each process. PREPARE: the demo's broker must be known first.
time_limit="$(python -c "${PREPARE:-pass}; import celeryconfig; print(celeryconfig.worker_soft_shutdown_timeout)")"

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
    # A process that takes longer is killed. RabbitMQ gets no acknowledgement and delivers its frames again.
    { sleep "$time_limit" && for pid in "${!names[@]}"; do
        if kill -0 "$pid" 2>/dev/null; then echo "${names[$pid]} did not end within $time_limit s: killed" >&2; fi
        kill -KILL -- "-$pid" 2>/dev/null || true
    done; } &
    for pid in "${!names[@]}"; do wait "$pid" 2>/dev/null || true; done
    kill -KILL -- "-$!" 2>/dev/null || true # it ignores SIGTERM as this script does
}

# Job control puts each process into a group of its own: only this script gets a Ctrl-C, and sends each of them one SIGTERM.
set -m
trap 'echo "stopping" >&2; stop_all; exit 0' INT TERM

# The demo sets INGESTER to a program that does the same, in processes that know the demo's broker.
ingester="${INGESTER:-ingester run}"

start listener $ingester listener
start worker $ingester worker --concurrency "${WORKER_CONCURRENCY:-$(nproc)}"
start "periodic worker" $ingester periodic
start beat $ingester beat
start Flower $ingester flower

code=0
wait -n -p ended "${!names[@]}" || code=$?
echo "${names[$ended]} ended with exit code $code: stopping everything" >&2
stop_all
exit "$((code == 0 ? 1 : code))"
