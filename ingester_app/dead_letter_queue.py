"""The queue of dead letters as operators use it: look, replay, discard; and nothing is lost on the way."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from celery import Celery

from ingester_app.broker import dispatch
from ingester_app.dead_letters import read_letter
from ingester_app.schema import DeadLetter, for_replay

NOT_REPLAYED = "cannot be replayed: it names no file"
Told = Callable[[DeadLetter, str], None]


@dataclass(frozen=True, slots=True)
class Selection:
    """Which letters are meant: those that fit everything that is given.

    `ids` may be beginnings of ids, `name` is a pattern for the file's path as a shell has it; ages are in seconds.
    """

    ids: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    name: str | None = None
    older_than: float | None = None
    newer_than: float | None = None

    def fits(self, letter: DeadLetter, now: float) -> bool:
        """Whether this letter is meant; `now` is in seconds since 1970."""
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
        """Whether nothing is given."""
        return self == Selection()


@dataclass(slots=True)
class CheckedOutLetter:
    """A letter in our hand: it goes back into the queue unless it is removed, whatever becomes of us."""

    letter: DeadLetter
    message: Any
    removed: bool = False

    def remove(self) -> None:
        """Acknowledge this very delivery: an equal letter that came meanwhile stays."""
        self.message.ack()
        self.removed = True


@contextmanager
def checked_out(connection: Any, queue: Any) -> Iterator[list[CheckedOutLetter]]:
    """All letters that are in the queue now, the oldest first; those that are not removed go back at the end.

    Raises a connection error.
    """
    with connection.channel() as channel:
        bound = queue(channel)
        bound.declare()
        count = bound.queue_declare(passive=True).message_count
        letters: list[CheckedOutLetter] = []
        # No more than there were: a replay may fail at once, and its new letter is not for this round.
        while len(letters) < count and (message := bound.get(no_ack=False)) is not None:
            letters.append(CheckedOutLetter(read_letter(message.body, message.headers, message.properties), message))
        try:
            yield letters
        finally:
            for each in letters:
                if not each.removed:
                    each.message.requeue()


def letters_in(connection: Any, queue: Any) -> list[DeadLetter]:
    """The letters that are in the queue now; they stay there. Raises a connection error."""
    with checked_out(connection, queue) as letters:
        return [each.letter for each in letters]


def can_be_replayed(letter: DeadLetter) -> bool:
    """Whether the letter names a frame, and does not just hold a message that could not be read."""
    return letter.message is not None and bool(letter.path)


def replay(app: Celery, letters: list[CheckedOutLetter], told: Told) -> int:
    """Send frames on from the step that failed; a letter is removed once the broker has confirmed its task.

    Returns how many could not be replayed, for they name no frame; those stay. Raises kombu's OperationalError or a
    connection error.
    """
    failed = 0
    sent: set[str] = set()
    for each in letters:
        letter = each.letter
        if letter.message is None or not can_be_replayed(letter):
            told(letter, NOT_REPLAYED)
            failed += 1
            continue
        if letter.id not in sent:  # a letter that was written twice is one letter
            dispatch(app, for_replay(letter.message), letter.path)
            sent.add(letter.id)
            told(letter, "replayed")
        each.remove()
    return failed


def discard(letters: list[CheckedOutLetter], told: Told) -> None:
    """Remove letters for good."""
    for each in letters:
        each.remove()
        told(each.letter, "discarded")
