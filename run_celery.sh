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
    make_environment ".[service,demo]"
    exec python -m ingester_demo local "$@"
    ;;
?*)
    usage >&2
    exit 2
    ;;
esac

make_environment ".[service]"
# One clear line for wrong settings, in place of one from each process.
python -c "import celeryconfig"
read -r queue patience < <(python -c \
    'from celeryconfig import settings; print(settings.ingest_queue, settings.soft_shutdown_seconds)')

scratch="$(mktemp -d)"
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
    { sleep "$patience" && for pid in "${!names[@]}"; do kill -KILL -- "-$pid" 2>/dev/null || true; done; } &
    for pid in "${!names[@]}"; do wait "$pid" 2>/dev/null || true; done
    kill -KILL -- "-$!" 2>/dev/null || true # it ignores SIGTERM, as we do now
    rm -rf "$scratch"
}

# Job control puts each process into a group of its own: a Ctrl-C comes to us alone, and to them once.
set -m
trap 'echo "stopping" >&2; stop_all; exit 0' INT TERM

# run_role ROLE [ARGUMENT…]
run_role() {
    case "$1" in
    listener) exec python listener.py ;;
    *) exec celery -A tasks "$@" ;;
    esac
}
# The demo sets INGESTER to a program that does the same, in processes that know the demo's broker.
ingester="${INGESTER:-run_role}"

start listener $ingester listener
start worker $ingester worker -Q "$queue" -n ingest@%h -c "${WORKER_CONCURRENCY:-$(nproc)}" \
    --without-gossip --without-mingle
start "periodic worker" $ingester worker -Q periodic -n periodic@%h -c 1 --without-gossip --without-mingle
start beat $ingester beat --schedule "$scratch/schedule" --pidfile=
start Flower $ingester flower --address=127.0.0.1 --port="${FLOWER_PORT:-5555}"

code=0
wait -n -p ended "${!names[@]}" || code=$?
echo "${names[$ended]} ended with exit code $code: stopping everything" >&2
stop_all
exit "$((code == 0 ? 1 : code))"
