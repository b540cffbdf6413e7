#!/usr/bin/env bash
# Writes the lock files: exact versions of all requirements, with the hashes of their files on PyPI.
#   ./lock.sh                            after a change of requirements.txt and pyproject.toml; keeps versions that still fit
#   ./lock.sh --upgrade                  takes the newest versions that the requirements allow
#   ./lock.sh --upgrade-package NAME     the same for one package
set -euo pipefail
cd "$(dirname "$0")"
. ./setup.sh

make_environment requirements.lock

# lock FILE WHAT…: only wheels, because building a source distribution would download tools that no hash checks.
lock() {
    local file="$1"
    shift
    uv pip compile --quiet --no-config --universal --python-version 3.11 \
        --generate-hashes --only-binary :all: --no-header --no-emit-index-url --no-emit-find-links \
        --output-file "$file" "$@"
    echo "wrote $file" >&2
}

lock requirements.lock requirements.txt "$@"
# The image has the versions that the tests ran with, and setuptools to build the project.
setuptools="$(grep '^setuptools' requirements.txt)"
lock deploy/requirements.lock pyproject.toml - --extra service --constraints requirements.lock <<<"$setuptools"
lock deploy/requirements-demo.lock pyproject.toml - --extra service --extra demo --constraints requirements.lock \
    <<<"$setuptools"
# The lowest version that each line of requirements.txt allows, and the newest of all that these bring along.
lock requirements-oldest.lock requirements.txt --resolution lowest-direct "$@"
