"""Log lines hold what came from outside: one event is one line, and a terminal obeys nothing in it."""

import json
import subprocess
import sys

import pytest

from lco_ingester.printable import printable
from tests.support.service import ROOT

PROGRAM = """
import logging
from ingester_app import logs
logs.configure("INFO", {form!r}, str)
class Odd:
    def __repr__(self): return "\\x1b[31m"
bad = "\\x1b]0;owned\\x07\\x9b31m\\u202e\\ud800\\n2026-11-29 [error] forged"
logging.getLogger("a").warning(bad, extra={{"path": bad, "more": [bad], "odd": Odd(), "size": 3}})
try:
    raise ValueError(bad)
except ValueError:
    logging.getLogger("a").exception("failed")
"""


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_log_line_escapes_what_a_terminal_would_obey(form: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(form=form)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert printable(done.stderr, keep="\n") == done.stderr
    events = [line for line in done.stderr.splitlines() if not line.startswith("    ")]
    assert len(events) == 2
    assert all("forged" in line or "failed" in line for line in events)
    assert not any(line.startswith("2026-11-29 [error]") for line in events)
    if form == "json":
        assert json.loads(events[0])["size"] == 3
    else:
        assert "\\x1b]0;owned\\x07" in events[0]
        assert "size=3" in events[0]
        assert "    ValueError: " in done.stderr
