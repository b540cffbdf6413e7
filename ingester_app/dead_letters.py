"""Dead letters: written by us for a frame that failed, or moved by the broker. Pure: no I/O."""

import base64
import json
import traceback
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import PurePath
from typing import Any

from ingester_app.schema import DeadLetter, FrameMessage, UnreadableMessageError
from lco_ingester.frame import md5_of, path_of

UNREADABLE = "MESSAGE_UNREADABLE"


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
    redact: Callable[[str], str] = str,
) -> DeadLetter:
    """The letter for a frame that failed with this error. `redact` hides secrets in its texts."""
    return DeadLetter(
        # After a crash the same message may fail in the same way again: then it writes the same letter again.
        id=_hash(f"{path} {first_time} {attempts} {step} {reason} {error}"),
        path=path,
        basename=_basename(path),
        md5=md5,
        step=step,
        reason=reason,
        error=type(error).__name__,
        text=redact(str(error)),
        traceback=redact("".join(traceback.format_exception(error))),
        attempts=attempts,
        first_time=first_time,
        last_time=now,
        worker=worker,
        message=message,
    )


def read_letter(body: bytes | str, headers: Mapping[str, Any], properties: Mapping[str, Any]) -> DeadLetter:
    """The letter in a message of the dead-letter queue, written by us or moved by the broker.

    A body that is not a letter, or only in part, becomes a letter that keeps the body as `raw` and holds what could be
    read of it.
    """
    content = _json(body)
    if not isinstance(content, dict):
        return _from_broker(body, content, headers, properties)
    letter, fault = DeadLetter.read(content)
    if letter.id and letter.reason and not fault:
        return letter
    return replace(
        letter,
        id=letter.id or _id_of(body, headers, properties),
        reason=letter.reason or UNREADABLE,
        text=f"this release cannot read all of the letter: {fault or 'no id or no reason'}. {letter.text}".strip(),
        raw=_text(body),
    )


def _from_broker(
    body: bytes | str, content: Any, headers: Mapping[str, Any], properties: Mapping[str, Any]
) -> DeadLetter:
    """A message that the broker dead-lettered (RabbitMQ documentation, "Dead Letter Exchanges": header x-death)."""
    death = _first_death(headers)
    task = _task_arguments(content)
    why = str(death.get("reason", "unknown"))
    when: Any = death.get("time")
    moved = DeadLetter(
        id=_id_of(body, headers, properties),
        step="worker",
        reason="DELIVERY_LIMIT" if why == "delivery_limit" else UNREADABLE,
        text=f"the broker moved it here from queue {death.get('queue', '?')}: {why}",
        last_time=when.timestamp() if hasattr(when, "timestamp") else 0.0,
        worker=str(headers.get("origin") or ""),
        message=task,
        raw=_text(body) if task is None else None,
    )
    return moved if task is None else _with_frame(moved, task)


def _with_frame(letter: DeadLetter, task: dict[str, Any]) -> DeadLetter:
    """The letter with what its task says of the frame, as far as that can be read."""
    try:
        message = FrameMessage.from_message(task)
    except UnreadableMessageError as error:
        path = _path_in(task)
        return replace(letter, path=path, basename=_basename(path), text=f"{letter.text}; {error}")
    path = path_of(message.frame)
    return replace(
        letter,
        path=path,
        basename=_basename(path),
        md5=md5_of(message.frame),
        attempts=message.attempts + 1,
        first_time=message.first_time or letter.last_time,
    )


def _path_in(task: dict[str, Any]) -> str:
    """The path in a frame's message that cannot be read as a whole; '' if there is none."""
    frame = task.get("frame")
    inner = frame.get("validated", frame) if isinstance(frame, dict) else None
    path = inner.get("path") if isinstance(inner, dict) else None
    return path if isinstance(path, str) else ""


def _json(body: bytes | str) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _task_arguments(content: Any) -> dict[str, Any] | None:
    """The keyword arguments in the body of a Celery task (its protocol 2: [args, kwargs, embed])."""
    if isinstance(content, list) and len(content) == 3 and isinstance(content[1], dict):
        return content[1]
    return None


def _first_death(headers: Mapping[str, Any]) -> Mapping[str, Any]:
    deaths = headers.get("x-death")
    first = deaths[0] if isinstance(deaths, list) and deaths else None
    return first if isinstance(first, dict) else {}


def _id_of(body: bytes | str, headers: Mapping[str, Any], properties: Mapping[str, Any]) -> str:
    return str(properties.get("message_id") or headers.get("id") or _hash(str(body)))


def _hash(text: str) -> str:
    """The same id for the same text, which may hold the surrogates of a file name that is not UTF-8."""
    return uuid.uuid5(uuid.NAMESPACE_OID, text.encode(errors="backslashreplace").decode()).hex


def _text(body: bytes | str) -> str:
    if isinstance(body, str):
        return body
    try:
        return body.decode()
    except UnicodeDecodeError:
        return f"base64:{base64.b64encode(body).decode()}"


def _basename(path: str) -> str:
    return PurePath(path).name.partition(".")[0]
