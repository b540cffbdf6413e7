"""Dead letters: what is known of a frame that could not be archived, and all that a replay needs."""

import json
import traceback
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import PurePath
from typing import Any

Headers = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One letter. Times are seconds since 1970; `message` is what the task was given, None if there was no task."""

    id: str
    path: str
    basename: str
    md5: str | None
    step: str
    reason: str
    error: str
    text: str
    traceback: str
    attempts: int
    first_time: float
    last_time: float
    worker: str
    message: dict[str, Any] | None


def letter_for(
    error: BaseException,
    *,
    path: str,
    md5: str | None,
    step: str,
    reason: str,
    attempts: int,
    first_time: float,
    now: float,
    worker: str,
    message: dict[str, Any] | None,
) -> DeadLetter:
    """The letter for a frame that failed with this error."""
    return DeadLetter(
        # The same message that fails in the same way again, after a crash, writes the same letter again.
        id=uuid.uuid5(uuid.NAMESPACE_OID, f"{path} {first_time} {attempts} {step} {reason} {error}").hex,
        path=path,
        basename=PurePath(path).name.partition(".")[0],
        md5=md5,
        step=step,
        reason=reason,
        error=type(error).__name__,
        text=str(error),
        traceback="".join(traceback.format_exception(error)),
        attempts=attempts,
        first_time=first_time,
        last_time=now,
        worker=worker,
        message=message,
    )


def to_message(letter: DeadLetter) -> dict[str, Any]:
    """The letter as JSON-able data."""
    return asdict(letter)


def read_letter(body: bytes | str, headers: Headers, properties: Mapping[str, Any]) -> DeadLetter:
    """The letter in a message of the dead-letter queue, whether we wrote it or the broker moved it there."""
    try:
        content = json.loads(body)
    except ValueError:
        content = None
    if isinstance(content, dict) and set(content) == set(DeadLetter.__dataclass_fields__):
        return DeadLetter(**content)
    return _from_broker(body, content, headers, properties)


def _from_broker(body: bytes | str, content: Any, headers: Headers, properties: Mapping[str, Any]) -> DeadLetter:
    """A message that the broker dead-lettered (RabbitMQ documentation, "Dead Letter Exchanges": header x-death)."""
    deaths = headers.get("x-death") or [{}]
    death = deaths[0]
    task = _task_arguments(content)
    frame = (task or {}).get("frame") or {}
    path = frame.get("path") or (frame.get("validated") or {}).get("path") or ""
    why = str(death.get("reason", "unknown"))
    when = death.get("time")
    last_time = when.timestamp() if hasattr(when, "timestamp") else 0.0
    return DeadLetter(
        id=str(properties.get("message_id") or headers.get("id") or uuid.uuid5(uuid.NAMESPACE_OID, str(body)).hex),
        path=path,
        basename=PurePath(path).name.partition(".")[0],
        md5=frame.get("md5") or (frame.get("validated") or {}).get("md5"),
        step="worker",
        reason="DELIVERY_LIMIT" if why == "delivery_limit" else "MESSAGE_UNREADABLE",
        error="",
        text=f"the broker moved it here from queue {death.get('queue', '?')}: {why}",
        traceback="",
        attempts=int((task or {}).get("attempts") or 0) + 1,
        first_time=float((task or {}).get("first_time") or last_time),
        last_time=last_time,
        worker=str(headers.get("origin") or ""),
        message=task,
    )


def _task_arguments(content: Any) -> dict[str, Any] | None:
    """The keyword arguments in the body of a Celery task (its protocol 2: [args, kwargs, embed])."""
    if isinstance(content, list) and len(content) == 3 and isinstance(content[1], dict):
        return content[1]
    return None
