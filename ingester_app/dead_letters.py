"""Dead letters: written by us for a frame that failed, or moved by the broker. Pure: no I/O."""

import base64
import json
import math
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Any

from ingester_app.error_text import bounded, text_of, traceback_of
from ingester_app.schema import LAST_SECOND, MANY, UNDECODABLE, DeadLetter, FrameMessage, UnreadableMessageError
from lco_ingester.exceptions import IngesterError
from lco_ingester.frame import Named, md5_of, path_of

UNREADABLE = "MESSAGE_UNREADABLE"
LONGEST_PATH = 5000  # characters
LONGEST_MESSAGE = 8_000_000  # characters of JSON: RabbitMQ 4 takes 16 MB
DEEPEST = 100  # levels of objects and lists in a message; our own have less than ten
LONGEST_INTEGER = 1000  # bits: Python reads at most 4300 digits
STEPS = frozenset(
    ("listen", "validate", "upload", "post", "resolve_duplicate", "republish", "worker", "settle")  # 3.0.0: settle
)
_AROUND = 2  # levels more in a letter, and in a task: that around the message, and that of the innermost values
_CANNOT_READ = "this release cannot read all of the letter"


def _reasons(error: type[IngesterError]) -> set[str]:
    return {error.reason}.union(*map(_reasons, error.__subclasses__()))


REASONS = frozenset({*_reasons(IngesterError), "DELIVERY_LIMIT", UNREADABLE})
"""The codes that letters of this release may have."""


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
    """The letter for a frame that failed with this error. Never raises; a broker can take every letter.

    Without a message, or with one that a broker could not take, it holds the message of a frame that begins again.
    `redact` hides secrets in its texts.
    """
    attempts = min(max(attempts, 0), MANY)
    first_time = first_time if 0 <= first_time <= LAST_SECOND else now
    if path and (message is None or not _can_be_sent(message)):
        message = _from_the_beginning(path, attempts, first_time)
    path = bounded(path, LONGEST_PATH)
    text = redact(text_of(error))
    return DeadLetter(
        # After a crash the same message may fail in the same way again: then it writes the same letter again.
        id=_hash(f"{path} {first_time} {attempts} {step} {reason} {text}"),
        path=path,
        basename=_basename(path),
        md5=md5 and bounded(md5, LONGEST_PATH),
        step=step,
        reason=reason,
        error=bounded(type(error).__name__, LONGEST_PATH),
        text=text,
        traceback=redact(traceback_of(error)),
        attempts=attempts,
        first_time=first_time,
        last_time=now,
        worker=worker,
        message=message,
    )


def read_letter(body: bytes | str, headers: Mapping[str, Any], properties: Mapping[str, Any]) -> DeadLetter:
    """The letter in a message of the dead-letter queue, written by us or moved by the broker.

    Anybody who may publish there chooses body, headers and properties, so nothing is known of their types. A body that
    is not a letter, or only in part, becomes a letter that keeps the body as `raw` and holds what could be read of it.
    Never raises: one message that cannot be read must not hide the others.
    """
    try:
        content = _json(body)
        letter = _ours(body, content, headers, properties) if isinstance(content, dict) else None
        return letter or _from_broker(body, content, headers, properties)
    except Exception as error:
        return DeadLetter(
            id=_hash(repr(body)), reason=UNREADABLE, text=f"{_CANNOT_READ}: {type(error).__name__}", raw=_text(body)
        )


def _ours(
    body: bytes | str, content: dict[str, Any], headers: Mapping[str, Any], properties: Mapping[str, Any]
) -> DeadLetter:
    """A letter that some release of ours wrote, or something that looks like one."""
    letter, fault = DeadLetter.read(content)
    if letter.id and letter.reason and not fault:
        return letter
    return replace(
        letter,
        id=letter.id or _id_of(body, headers, properties),
        reason=letter.reason or UNREADABLE,
        text=f"{_CANNOT_READ}: {fault or 'no id or no reason'}. {letter.text}".strip(),
        raw=_text(body),
    )


def _from_broker(
    body: bytes | str, content: Any, headers: Mapping[str, Any], properties: Mapping[str, Any]
) -> DeadLetter:
    """A message that the broker dead-lettered (RabbitMQ documentation, "Dead Letter Exchanges": header x-death)."""
    death = _first_death(headers)
    task = _task_arguments(content)
    why = _string(death.get("reason")) or "unknown"
    fault = _string(headers.get(UNDECODABLE))
    moved = DeadLetter(
        id=_id_of(body, headers, properties),
        step="worker",
        reason="DELIVERY_LIMIT" if why == "delivery_limit" else UNREADABLE,
        text=f"the broker moved it here from queue {_string(death.get('queue')) or '?'}: {why}"
        + (f"; its properties cannot be decoded: {fault}" if fault else ""),
        last_time=_seconds(death.get("time")),
        worker=_string(headers.get("origin")),
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
    known = replace(
        letter,
        path=path,
        basename=_basename(path),
        md5=md5_of(message.frame),
        attempts=message.attempts + 1,
        first_time=message.first_time or letter.last_time,
    )
    return DeadLetter.read(known.to_message())[0]  # without numbers that no letter can have


def _path_in(task: dict[str, Any]) -> str:
    """The path in a frame's message that cannot be read as a whole; '' if there is none."""
    frame = task.get("frame")
    inner = frame.get("validated", frame) if isinstance(frame, dict) else None
    path = inner.get("path") if isinstance(inner, dict) else None
    return path if isinstance(path, str) else ""


def _json(body: bytes | str) -> Any:
    """What the body holds; None if it is not JSON, or nested so deep that Python could not write it again."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return content if _is_flat(content) else None


def _is_flat(content: Any) -> bool:
    level = [content]
    for _ in range(DEEPEST + _AROUND):
        level = [inner for each in level if isinstance(each, dict | list) for inner in _inside(each)]
    return not level


def _inside(each: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return each.values() if isinstance(each, dict) else each


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
    return _string(properties.get("message_id")) or _string(headers.get("id")) or _hash(str(body))


def _string(value: Any) -> str:
    """A text among the properties; '' for what is not a text."""
    return value if isinstance(value, str) else ""


def _seconds(time: Any) -> float:
    """A time among the properties, in seconds since 1970; 0 for what is not a time."""
    if not isinstance(time, datetime):
        return 0.0
    return max(0.0, (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp())  # py-amqp's are UTC without a zone


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


def _from_the_beginning(path: str, attempts: int, first_time: float) -> dict[str, Any] | None:
    """The message of a frame that begins again; None if a broker could not take that either."""
    message = FrameMessage(Named(path), attempts=attempts, first_time=first_time).to_message()
    return message if len(path) <= LONGEST_PATH and _can_be_sent(message) else None


def _can_be_sent(message: dict[str, Any]) -> bool:
    """Whether a broker can take the message: it is JSON, and neither too deep nor too long."""
    return _is_json(message, DEEPEST) and len(json.dumps(message)) <= LONGEST_MESSAGE


def _is_json(value: Any, levels: int) -> bool:
    """Whether JSON can hold a value. `json.dumps` does not tell: how deep it goes depends on its caller's depth."""
    if isinstance(value, str):
        return bounded(value, len(value)) == value
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, int):
        return value.bit_length() <= LONGEST_INTEGER
    if isinstance(value, dict):
        return levels > 0 and all(
            isinstance(name, str) and _is_json(name, 0) and _is_json(each, levels - 1) for name, each in value.items()
        )
    if isinstance(value, (list, tuple)):
        return levels > 0 and all(_is_json(each, levels - 1) for each in value)
    return value is None


def _basename(path: str) -> str:
    return PurePath(path).name.partition(".")[0]
