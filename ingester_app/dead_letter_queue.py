"""What operators do with the queue of dead letters: list, replay and discard, without losing one."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from celery import Celery

from ingester_app.broker import dispatch
from ingester_app.dead_letters import read_letter
from ingester_app.schema import DeadLetter, FrameMessage, UnreadableMessageError, for_replay

NOT_REPLAYED = "cannot be replayed: it does not name a file"
Report = Callable[[DeadLetter, str], None]


@dataclass(frozen=True, slots=True)
class Selection:
    """Selects the letters that match every given field.

    `ids` may be the first characters of ids. `name` is a shell pattern for the end of the file's path. Ages are in
    seconds.
    """

    ids: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    name: str | None = None
    older_than: float | None = None
    newer_than: float | None = None

    def fits(self, letter: DeadLetter, now: float) -> bool:
        """Whether the letter matches; `now` is in seconds since 1970."""
        age = now - letter.last_time
        return (
            (not self.ids or letter.id.startswith(self.ids))
            and (not self.steps or letter.step in self.steps)
            and (not self.reasons or letter.reason in self.reasons)
            and (self.name is None or fnmatchcase(letter.path, f"*{self.name}"))
            and (self.older_than is None or age > self.older_than)
            and (self.newer_than is None or age < self.newer_than)
        )

    @property
    def is_everything(self) -> bool:
        """Whether no field is given."""
        return self == Selection()


@dataclass(slots=True)
class CheckedOutLetter:
    """A letter that we have received and not acknowledged: unless it is removed, it returns to its queue."""

    letter: DeadLetter
    message: Any
    removed: bool = False

    def remove(self) -> None:
        """Acknowledge this delivery only: an equal letter that arrived later stays."""
        self.message.ack()
        self.removed = True


@contextmanager
def checked_out(connection: Any, queue: Any) -> Iterator[list[CheckedOutLetter]]:
    """All letters in the queue, the oldest first; at the end those that are not removed return to the queue.

    Raises a connection error.
    """
    with connection.channel() as channel:
        bound = queue(channel)
        bound.declare()
        count = bound.queue_declare(passive=True).message_count
        letters: list[CheckedOutLetter] = []
        # Not more than there were: a replay may fail at once, and its new letter is not part of this selection.
        while len(letters) < count and (message := bound.get(no_ack=False)) is not None:
            letters.append(CheckedOutLetter(read_letter(message.body, message.headers, message.properties), message))
        try:
            yield letters
        finally:
            for each in letters:
                if not each.removed:
                    each.message.requeue()


def letters_in(connection: Any, queue: Any) -> list[DeadLetter]:
    """The letters in the queue; they stay there. Raises a connection error."""
    with checked_out(connection, queue) as letters:
        return [each.letter for each in letters]


def can_be_replayed(letter: DeadLetter) -> bool:
    """Whether the letter holds a frame's message and a path."""
    if letter.message is None or not letter.path:
        return False
    try:
        FrameMessage.from_message(letter.message)
    except UnreadableMessageError as error:
        return error.is_newer  # a worker of that release can read it
    return True


def replay(app: Celery, letters: list[CheckedOutLetter], report: Report) -> int:
    """Send frames back to the workers. A letter is removed after the broker has confirmed its frame's task.

    Returns how many letters could not be replayed because they do not name a frame; those stay. Raises
    kombu's OperationalError or a connection error.
    """
    failed = 0
    sent: set[str] = set()
    for each in letters:
        letter = each.letter
        if letter.message is None or not can_be_replayed(letter):
            report(letter, NOT_REPLAYED)
            failed += 1
            continue
        if letter.id not in sent:  # a letter that was written twice is replayed once
            dispatch(app, for_replay(letter.message), letter.path)
            sent.add(letter.id)
            each.remove()
            report(letter, "replayed")
        else:
            each.remove()
    return failed


def discard(letters: list[CheckedOutLetter], report: Report) -> None:
    """Delete letters for good."""
    for each in letters:
        each.remove()
        report(each.letter, "discarded")
