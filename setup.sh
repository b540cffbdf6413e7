# Sourced by run_celery.sh, run_tests.sh and lock.sh: it installs what a fresh machine does not have.

VENV="${VENV:-.venv}"

find_python() {
    local python
    for python in "${PYTHON:-}" python3 python3.14 python3.13 python3.12 python3.11; do
        if [ -n "$python" ] && command -v "$python" >/dev/null &&
            "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$python"
            return
        fi
    done
    echo "Python 3.11 or later is needed: install it, or name it in the variable PYTHON" >&2
    return 1
}

# install_debian PACKAGE: quietly, and only where that is possible.
install_debian() {
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 1
    echo "installing Debian's $1" >&2
    { apt-get install -y -q "$1" || { apt-get update -q && apt-get install -y -q "$1"; }; } >/dev/null 2>&1
}

# make_environment LOCK: a virtual environment with the versions of a lock file, and the project itself.
make_environment() {
    local lock="$1" python stamp
    [ -z "${ENVIRONMENT_IS_MADE:-}" ] || return 0
    python="$(find_python)"
    if [ -n "${PYTHON:-}" ] && [ -x "$VENV/bin/python" ] && [ "$("$VENV/bin/python" -V)" != "$("$python" -V)" ]; then
        echo "$VENV has another Python than PYTHON names" >&2
        rm -rf "$VENV"
    fi
    if [ ! -x "$VENV/bin/python" ] || ! "$VENV/bin/python" -m pip --version >/dev/null 2>&1; then
        echo "making the virtual environment $VENV" >&2
        if ! "$python" -m venv --clear "$VENV" >/dev/null 2>&1; then
            # Debian ships venv in a package of its own.
            if ! install_debian python3-venv || ! "$python" -m venv --clear "$VENV"; then
                echo "cannot make a virtual environment: install your system's python3-venv" >&2
                return 1
            fi
        fi
    fi
    # Install again only after the lock or the project has changed.
    stamp="$VENV/installed-$(echo "$lock" | tr -c 'a-zA-Z0-9\n' '-')"
    if [ ! -e "$stamp" ] || [ "$lock" -nt "$stamp" ] || [ pyproject.toml -nt "$stamp" ]; then
        echo "installing $lock" >&2
        install --require-hashes -r "$lock"
        # The lock brings setuptools, so nothing is downloaded that no hash checks.
        install --no-deps --no-build-isolation -e .
        touch "$stamp"
    fi
    PATH="$(cd "$VENV" && pwd)/bin:$PATH"
    ENVIRONMENT_IS_MADE=1 # for scripts that this one starts
    export PATH ENVIRONMENT_IS_MADE
}

install() {
    "$VENV/bin/python" -m pip install --quiet --quiet --disable-pip-version-check "$@"
}

# The service's tests start a private RabbitMQ node. Without the program they are skipped with a printed reason.
install_rabbitmq_if_possible() {
    command -v rabbitmq-server >/dev/null || [ -x /usr/sbin/rabbitmq-server ] || install_debian rabbitmq-server || true
}
