"""The real tasks, with hooks before and after each step: `celery -A tests.faults.killable_tasks worker`.

`WITHOUT` names rules to take out, which shows that the tests notice; `PUT_BACK_AFTER` shortens that wait.
"""

import os
from collections.abc import Callable
from functools import wraps
from typing import Any

from celery import signals

from ingester_app import tasks
from ingester_app.broker import INGEST_TASK
from ingester_app.ingest import TaskContext
from ingester_app.schema import FrameMessage
from lco_ingester import steps
from lco_ingester.frame import path_of
from lco_ingester.store import Store
from tests.faults import observed_tasks
from tests.faults.hooks import Hooks

app = observed_tasks.app
hooks = Hooks.of_environment()
without = os.environ.get("WITHOUT", "").split(",")


def _around(owner: Any, name: str, point: str, path: Callable[..., str]) -> None:
    """Make `before:point` and `after:point` hooks of a function; `path` finds the file among its arguments."""
    real = getattr(owner, name)

    @wraps(real)
    def between(*arguments: Any, **named: Any) -> Any:
        hooks.reach(f"before:{point}", path(*arguments, **named))
        result = real(*arguments, **named)
        hooks.reach(f"after:{point}", path(*arguments, **named))
        return result

    setattr(owner, name, between)


_around(steps, "validate", "validate", lambda file, *_: str(file.path))
_around(steps, "upload", "upload", lambda validated, *_: path_of(validated))
_around(Store, "put", "put", lambda _store, stream, *_: str(stream._stream.name))
_around(steps, "post", "post", lambda uploaded, *_: path_of(uploaded))
_around(steps, "resolve_duplicate", "resolve_duplicate", lambda found, *_: path_of(found))
_around(steps, "republish", "republish", lambda archived, *_: path_of(archived))
_around(tasks, "dispatch", "retry", lambda _app, _message, path, **_: str(path))


@signals.task_postrun.connect(sender=app.tasks[INGEST_TASK])
def _before_ack(kwargs: dict[str, Any], **_: Any) -> None:
    hooks.reach("before:ack", path_of(FrameMessage.from_message(kwargs).frame))


tasks.PUT_BACK_AFTER = float(os.environ.get("PUT_BACK_AFTER", tasks.PUT_BACK_AFTER))
if "redelivered" in without:
    _ingest = tasks.ingest_frame  # type: ignore[attr-defined]

    def _as_if_first(message: FrameMessage, redelivered: bool, context: TaskContext) -> str:
        return _ingest(message, False, context)

    tasks.ingest_frame = _as_if_first  # type: ignore[attr-defined]
if "attempts" in without:
    FrameMessage.may_have_run = lambda self, redelivered: redelivered or self.replayed  # type: ignore[method-assign]
if "look before the post" in without:
    steps.refuse_outdated = lambda *_: None
if "late acks" in without:
    app.tasks[INGEST_TASK].acks_late = False
if "reject on worker lost" in without:
    app.tasks[INGEST_TASK].reject_on_worker_lost = False
