"""A virtual environment for each contender, made when it is first wanted. Standard library only.

Ours also holds the harness: matplotlib lies in it, and no measured process imports it.
"""

import hashlib
import json
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CACHE = ROOT / ".benchmarks"  # git ignores it
HERE = Path(__file__).resolve().parent
WHAT: dict[str, list[str]] = {
    "ours": ["-e", f"{ROOT}[service]", "-r", str(HERE / "requirements.txt")],
    "lco": ["-r", str(HERE / "contenders" / "lco.txt")],
    "ocs": ["-r", str(HERE / "contenders" / "ocs.txt")],
}
OF_CONTENDER = {"floor": "ours"}  # the floor needs boto3 and requests, and takes ours


def python_of(contender: str) -> Path:
    """The Python of a contender's environment."""
    return CACHE / "venvs" / OF_CONTENDER.get(contender, contender) / "bin" / "python"


def prepare() -> None:
    """Make what is not there yet, and bring up to date what has changed."""
    for name, what in WHAT.items():
        stamp = python_of(name).parents[1] / "installed"
        wanted = _fingerprint(what)
        if stamp.exists() and stamp.read_text() == wanted:
            continue
        print(f"installing the environment of {name}", file=sys.stderr)
        venv.create(python_of(name).parents[1], with_pip=True, symlinks=True)
        install = [str(python_of(name)), "-m", "pip", "install", "--quiet", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*install, *what], check=True)
        stamp.write_text(wanted)


def versions_of(contender: str, *packages: str) -> dict[str, str]:
    """Which release of each package a contender runs on; those it has not are left out."""
    script = (
        "import importlib.metadata as m, json, sys\n"
        "found = {d.metadata['Name'].lower(): d.version for d in m.distributions()}\n"
        "print(json.dumps({p: found[p] for p in sys.argv[1:] if p in found}))"
    )
    command = [str(python_of(contender)), "-c", script, *packages]
    answer = subprocess.run(command, check=True, capture_output=True, text=True, cwd=CACHE)
    found: dict[str, str] = json.loads(answer.stdout)
    return found


def _fingerprint(what: list[str]) -> str:
    digest = hashlib.sha256(" ".join([sys.version, *what]).encode())
    files = [Path(word) for word in what if word.endswith(".txt")]
    for path in [*files, ROOT / "pyproject.toml"] if "-e" in what else files:
        digest.update(path.read_bytes())
    return digest.hexdigest()
