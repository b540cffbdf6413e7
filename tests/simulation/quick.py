"""What makes the search some five times as fast, and is no part of what is searched."""

import io
import logging
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from types import SimpleNamespace
from typing import Any, BinaryIO
from unittest.mock import patch

from ingester_app import dead_letters
from lco_ingester import record, steps, validation

DEPTH = 20_000
"""Calls within calls: the search goes down some four for each step of a schedule."""


@contextmanager
def quick() -> Iterator[None]:
    """Silence, depth, no tracebacks in letters, and parsing of each file once.

    `steps.read_frame` runs whole; but the two pure functions in it, from bytes to headers and from headers to record,
    remember what they gave for the same bytes and the same name. A run begins again at each of its calls, so they
    would give the same some ten thousand times. `test_promise.py` compares with the real ones.
    """
    limit, disabled = sys.getrecursionlimit(), logging.root.manager.disable
    with ExitStack() as stack:
        stack.enter_context(patch.object(steps, "read_headers", _read_headers))
        stack.enter_context(patch.object(steps, "build_record", _build_record))
        stack.enter_context(patch.object(dead_letters, "traceback", SimpleNamespace(format_exception=lambda _: ())))
        sys.setrecursionlimit(DEPTH)
        logging.disable(logging.CRITICAL)
        try:
            yield
        finally:
            logging.disable(disabled)
            sys.setrecursionlimit(limit)


def _read_headers(stream: BinaryIO, path: str) -> Any:
    return stream.read(), path


def _build_record(headers: Any, basename: str, extension: str, rules: Any, path: str) -> Any:
    return _record(*headers, basename, extension, rules)


@lru_cache
def _record(content: bytes, path: str, basename: str, extension: str, rules: Any) -> Any:
    return record.build_record(validation.read_headers(io.BytesIO(content), path), basename, extension, rules, path)
