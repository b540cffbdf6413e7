"""The real listener, with hooks before and after each dispatch: `python -m tests.faults.killable_listener`."""

import os
import sys
from typing import Any

from celery import Celery

from ingester_app import listener
from tests.faults.hooks import Hooks

hooks = Hooks.of_environment()
_dispatch = listener.dispatch  # type: ignore[attr-defined]
_send_task = Celery.send_task


def _dispatch_and_reach(app: Celery, message: dict[str, Any], path: str, **named: Any) -> None:
    hooks.reach("before:dispatch", path)
    _dispatch(app, message, path, **named)
    hooks.reach("after:dispatch", path)


def _send_not_mandatory(app: Celery, *arguments: Any, mandatory: bool, **named: Any) -> Any:
    return _send_task(app, *arguments, **named)


listener.dispatch = _dispatch_and_reach  # type: ignore[attr-defined]  # replaced on purpose
if "mandatory" in os.environ.get("WITHOUT", "").split(","):
    Celery.send_task = _send_not_mandatory

if __name__ == "__main__":
    sys.exit(listener.main())
