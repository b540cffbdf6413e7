"""What travels between processes and between releases: a frame's message and a dead letter (docs/messages.md).

This is the one module that knows their form on the wire. The names there are literal, so that renaming a class or a
field changes no message. A reader ignores fields that it does not know, and a field that is added has a default: so
each release reads the messages of the releases before it and after it.
"""

from dataclasses import dataclass
from pathlib import PurePath
from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag, TypeAdapter, ValidationError

from lco_ingester.exceptions import FailureKind
from lco_ingester.frame import Archived, Frame, InArchive, Named, Uploaded, Validated

VERSION = 1
"""Of what this release writes. A release that changes the meaning of a field raises it; a new field does not."""

Time = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]
UNDECODABLE = "x-undecodable-properties"
"""A header that we add to a message whose properties cannot be decoded, while we receive it: why."""

STATES: dict[str, type[Frame]] = {
    "named": Named,
    "validated": Validated,
    "uploaded": Uploaded,
    "inarchive": InArchive,
    "archived": Archived,
}
_NAME_OF = {state: name for name, state in STATES.items()}


class UnreadableMessageError(ValueError):
    """A message that this release cannot read; `version` is what it says of itself, 0 if it says nothing."""

    def __init__(self, detail: str, version: int) -> None:
        super().__init__(detail, version)  # both, because Celery's processes pickle the error
        self.detail = detail
        self.version = version

    def __str__(self) -> str:
        return self.detail

    @property
    def is_newer(self) -> bool:
        """Whether a later release wrote it: then the fault is not the message's."""
        return self.version > VERSION


MANY = 10**9
LAST_SECOND = 253_402_300_799  # of the year 9999; not NaN, because NaN is not less than it


def state_of(frame: Any) -> Any:
    """The name of a frame's state on the wire, of a frame or of its data."""
    return frame.get("state") if isinstance(frame, dict) else _NAME_OF.get(type(frame))


@dataclass(frozen=True, slots=True)
class RetryState:
    """What a frame's retries are counted by. It starts again when the kind of failure changes or a step succeeds.

    `since` is the time of the first failure, in seconds since 1970; `attempt` counts the retries since then.
    """

    kind: FailureKind
    since: Time
    attempt: Count


@dataclass(frozen=True, slots=True)
class FrameMessage:
    """The message of one frame: the state it has reached, its last failure, and how often it was tried.

    `attempts` counts all retries. `first_time` is when the listener dispatched the frame, in seconds since 1970.
    `settings_fingerprint` identifies the settings under which the frame was read and stored (`ingest.py`).
    """

    frame: Annotated[
        Annotated[Named, Tag("named")]
        | Annotated[Validated, Tag("validated")]
        | Annotated[Uploaded, Tag("uploaded")]
        | Annotated[InArchive, Tag("inarchive")]
        | Annotated[Archived, Tag("archived")],
        Discriminator(state_of),
    ]
    retry_state: Annotated[RetryState | None, Field(alias="trouble")] = None
    attempts: Count = 0
    first_time: Time = 0.0
    replayed: bool = False
    settings_fingerprint: Annotated[str, Field(alias="made_with")] = ""
    version: int = VERSION

    def may_have_run(self, redelivered: bool) -> bool:
        """Whether another run may have come further with this frame than the message says."""
        return redelivered or self.attempts > 0 or self.replayed

    def to_message(self) -> dict[str, Any]:
        """The task's keyword arguments, as data that JSON can hold."""
        message: dict[str, Any] = _FRAME_MESSAGE.dump_python(self, by_alias=True)
        message["frame"] = {"state": state_of(self.frame), **message["frame"]}
        return message

    @classmethod
    def from_message(cls, message: dict[str, Any]) -> "FrameMessage":
        """The message that some release wrote. Raises UnreadableMessageError, also for every later version."""
        if (version := _version(message)) > VERSION:
            raise UnreadableMessageError(f"a later release wrote the message: version {version}", version)
        try:
            read = _FRAME_MESSAGE.validate_python(message)
        except ValidationError as error:
            raise UnreadableMessageError(f"the message holds no frame: {_faults(error)}", _version(message)) from error
        if fault := _contradiction(read.frame):
            raise UnreadableMessageError(f"the message holds no frame: {fault}", version)
        return read


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """What is known of a frame that could not be archived, and all that a replay needs.

    Times are in seconds since 1970. `message` is what the task was given, as it came: a replay sends it on with all
    its fields, known or not. It is None if there was no task. `raw` is the body of a letter that could not be read as a
    whole: its text, or `base64:` and its bytes in base64 if it is not UTF-8.
    """

    id: str = ""
    path: str = ""
    basename: str = ""
    md5: str | None = None
    step: str = ""
    reason: str = ""
    error: str = ""
    text: str = ""
    traceback: str = ""
    attempts: Annotated[int, Field(ge=0, le=MANY)] = 0
    first_time: Annotated[float, Field(ge=0, le=LAST_SECOND)] = 0.0
    last_time: Annotated[float, Field(ge=0, le=LAST_SECOND)] = 0.0
    worker: str = ""
    message: dict[str, Any] | None = None
    version: Annotated[int, Field(ge=0, le=MANY)] = VERSION
    raw: str | None = None

    def to_message(self) -> dict[str, Any]:
        """The letter as data that JSON can hold; without `raw`, which only a letter that was not read has."""
        fields: dict[str, Any] = _DEAD_LETTER.dump_python(self)
        return fields if self.raw is not None else {name: value for name, value in fields.items() if name != "raw"}

    @classmethod
    def read(cls, message: dict[str, Any]) -> tuple["DeadLetter", str]:
        """What can be read of the letter that some release wrote, and what is wrong with the rest; '' if nothing is."""
        try:
            return _DEAD_LETTER.validate_python(message), ""
        except ValidationError as error:
            bad = {fault["loc"][0] for fault in error.errors()}
            rest = {name: value for name, value in message.items() if name not in bad}
            return _DEAD_LETTER.validate_python(rest), _faults(error)


_FRAME_MESSAGE = TypeAdapter(FrameMessage)
_DEAD_LETTER = TypeAdapter(DeadLetter)


def _contradiction(frame: Frame) -> str:
    """What in a frame cannot come from a process of ours; '' if nothing does."""
    if isinstance(frame, Archived):
        return "" if "frameid" in frame.record else "an archived record without a frameid"
    validated = frame.validated if isinstance(frame, (Uploaded, InArchive)) else frame
    if isinstance(validated, Validated) and PurePath(validated.path).name != validated.basename + validated.extension:
        return "basename and extension are not those of the path"
    return ""


def _version(message: Any) -> int:
    version = message.get("version") if isinstance(message, dict) else None
    return version if isinstance(version, int) else 0


def _faults(error: ValidationError) -> str:
    """Which fields are wrong and why, without their values: a record may be long."""
    faults = [
        f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}"
        for fault in error.errors(include_input=False, include_url=False)
    ]
    return "; ".join(faults[:5])


def for_replay(message: dict[str, Any]) -> dict[str, Any]:
    """The message of a dead letter as it is sent again: every field as it came, but the retries start again."""
    return {**message, "trouble": None, "replayed": True}
