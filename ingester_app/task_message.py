"""A message on Celery's queues, restricted to what our tasks need before Celery reads it. Pure: no I/O.

Celery believes every header: a time limit of a wrong type ends the worker, `expires` in the past removes the message
without a letter, and callbacks run other tasks. So only known headers stay, and each is checked (Celery documentation,
"Message Protocol", version 2).
"""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

MAX_REPR = 300  # characters of the texts that are only shown
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}")
_NOTHING: tuple[Any, ...] = (None, False, 0, "", [], {}, [None, None])
# Headers and embedded fields that change how Celery runs a task; our publishers set none of them.
_COMMANDS = (
    "timelimit", "expires", "shadow", "group", "ignore_result", "stamped_headers", "stamps", "replaced_task_nesting",
    "compression", "callbacks", "errbacks", "chain", "chord",
)  # fmt: skip


class NotOurTaskError(ValueError):
    """A message that no process of ours has published."""


def restrict(message: Any, tasks: Mapping[str, bool], now: datetime, longest_delay: timedelta | None) -> list[str]:
    """Leave in a kombu message only what our tasks need; return the names of the commands that were removed.

    `tasks` are the accepted names, each with whether the task may expire. A message may ask the worker to wait for at
    most `longest_delay`; None: not at all, because its delay was in the broker. `now` is in UTC.

    Raises NotOurTaskError, or an error of kombu if the body is not JSON.
    """
    headers = message.headers
    if not isinstance(headers, Mapping):
        raise NotOurTaskError("the message has no headers")
    name, number = headers.get("task"), headers.get("id")
    if not isinstance(name, str) or name not in tasks:
        raise NotOurTaskError(f"there is no task {_shown(name)}")
    if not isinstance(number, str) or not _ID.fullmatch(number):
        raise NotOurTaskError(f"not an id of a task: {_shown(number)}")
    if message.content_type != "application/json" or headers.get("compression"):
        raise NotOurTaskError("the body is not plain JSON")
    arguments, embedded = _split(message.payload)
    commands = {**headers, **embedded}
    removed = [each for each in _COMMANDS if not _is_usual(each, commands.get(each))]
    if any(value not in _NOTHING for value in embedded.values()):
        _replace_body(message, arguments)
    message.properties.pop("reply_to", None)  # Celery sets it always; our tasks have no results
    kept = {"lang": "py", "task": name, "id": number, "root_id": number, "parent_id": None, "retries": 0}
    kept |= {each: _text(headers.get(each)) for each in ("argsrepr", "kwargsrepr", "origin")}
    if tasks[name] and (expires := _time(headers.get("expires"))):
        kept["expires"] = expires.isoformat()
        removed.remove("expires")
    eta = _time(headers.get("eta"))
    if longest_delay is not None and eta is not None and eta <= now + longest_delay:
        kept["eta"] = eta.isoformat()
    message.headers = kept
    return removed


def _is_usual(command: str, value: Any) -> bool:
    """Whether one of our processes may have sent it: a worker sends its own time limits along with each retry."""
    if command == "timelimit" and isinstance(value, list):
        return len(value) == 2 and all(limit is None or type(limit) is int for limit in value)
    return value in _NOTHING


def _split(content: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Keyword arguments and embedded fields of a body. Our tasks have no other arguments."""
    match content:
        case [[], dict() as arguments, dict() | None as embedded] if len(content) == 3:
            return arguments, embedded or {}
    raise NotOurTaskError("the body is not [[], keyword arguments, embedded fields]")


def _replace_body(message: Any, arguments: dict[str, Any]) -> None:
    """The same arguments without embedded fields, also for the process that decodes the body again."""
    content = [[], arguments, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]
    message.body = json.dumps(content).encode()
    message.content_encoding = "utf-8"
    message._decoded_cache = content


def _time(value: Any) -> datetime | None:
    """A time as Celery writes it, in ISO 8601 with its zone; None for anything else."""
    try:
        time = datetime.fromisoformat(value)
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        return None


def _text(value: Any) -> str:
    return value[:MAX_REPR] if isinstance(value, str) and value.isprintable() else ""


def _shown(value: Any) -> str:
    return ascii(value)[:MAX_REPR]
