"""What operators do with the queue of dead letters: list, replay and discard, without losing one."""

import hashlib
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any
from uuid import uuid4

from celery import Celery

from ingester_app.broker import TooLargeError, dispatch
from ingester_app.dead_letters import read_letter
from ingester_app.schema import DeadLetter, FrameMessage, UnreadableMessageError, for_replay

REPLAYED = "replayed"
WRITTEN_TWICE = "replayed once, although it was written twice"
NOT_REPLAYED = "cannot be replayed: it does not name a file"
TOO_LARGE = "cannot be replayed: the broker takes no message of this size"
DISCARDED = "discarded"
BATCH = 200  # letters in memory
LAST_SECONDS = 2.0  # without another letter, before we take it that there is none
LONGEST_PATH = 4096  # characters at the end of a path that are compared with a pattern; Linux permits no more


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
            and (self.name is None or fnmatchcase(letter.path[-LONGEST_PATH:], f"*{self.name}"))
            and (self.older_than is None or age > self.older_than)
            and (self.newer_than is None or age < self.newer_than)
        )

    @property
    def is_everything(self) -> bool:
        """Whether no field is given."""
        return self == Selection()


@dataclass(slots=True)
class CheckedOutLetter:
    """A letter that we have received and not acknowledged: unless it is removed, it returns to its queue.

    `digest` is that of its id and its body. `is_returned` says that somebody had received it before.
    """

    letter: DeadLetter
    acknowledge: Callable[[], None]
    digest: str = ""
    is_returned: bool = False
    removed: bool = False

    def remove(self) -> None:
        """Acknowledge this delivery only: an equal letter that arrived later stays."""
        self.acknowledge()
        self.removed = True


Outcome = tuple[CheckedOutLetter, str]


@contextmanager
def checked_out(connection: Any, queue: Any) -> Iterator[Iterator[CheckedOutLetter]]:
    """The letters in the queue, one after the other; at the end those that are not removed return to the queue.

    Letters that arrive meanwhile are left out: a replay may fail at once, and its new letter is not part of this
    selection. When the next letter is taken, or the last one was, the broker has confirmed that the one before is
    removed. Raises a connection or channel error.
    """
    channel = connection.channel()
    try:
        queue(channel).declare()
        yield _letters(connection, channel, queue.name)
    finally:
        # If the connection is lost, the broker puts the letters back itself.
        with suppress(*connection.connection_errors, *connection.channel_errors):
            _put_back(channel, queue.name)
            channel.close()


def letters_in(connection: Any, queue: Any) -> list[DeadLetter]:
    """The letters in the queue; they stay there. Raises a connection or channel error."""
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


def replay(app: Celery, letters: Iterable[CheckedOutLetter]) -> Iterator[Outcome]:
    """Send frames back to the workers. A letter is removed after the broker has confirmed its frame's task.

    A letter that does not name a frame stays, and one that is too large. Yields each letter when it is done, and what
    was done. Raises kombu's OperationalError or a connection error.
    """
    sent: set[str] = set()

    def send(each: CheckedOutLetter) -> str:
        letter = each.letter
        if letter.message is None or not can_be_replayed(letter):
            return NOT_REPLAYED
        content = _digest(letter.id, json.dumps(letter.message, sort_keys=True))  # anybody may write an equal id
        is_first = content not in sent
        if is_first:
            try:
                dispatch(app, for_replay(letter.message), letter.path)
            except TooLargeError:  # a task is larger than its letter if the letter is not in ASCII
                return TOO_LARGE
            sent.add(content)
        each.remove()
        return REPLAYED if is_first else WRITTEN_TWICE

    return _done(letters, send)


def discard(letters: Iterable[CheckedOutLetter]) -> Iterator[Outcome]:
    """Delete letters for good. Yields each letter when it is deleted."""

    def delete(each: CheckedOutLetter) -> str:
        each.remove()
        return DISCARDED

    return _done(letters, delete)


def came_back(letters: Iterable[CheckedOutLetter], digests: set[str]) -> Iterator[CheckedOutLetter]:
    """Those of the letters in the queue that we had removed; a new letter with equal content is not one of them."""
    return (each for each in letters if each.is_returned and each.digest in digests)


def _done(letters: Iterable[CheckedOutLetter], act: Callable[[CheckedOutLetter], str]) -> Iterator[Outcome]:
    """Do something with each letter, and say so when the next one is there: that confirms the acknowledgement."""
    done: Outcome | None = None
    for each in letters:
        if done:
            yield done
        done = each, act(each)
    if done:
        yield done


def _letters(connection: Any, channel: Any, name: str) -> Iterator[CheckedOutLetter]:
    """The letters that are in the queue now.

    A letter that was removed is followed by a `basic.get`, whose answer comes after RabbitMQ has removed the letter. A
    quorum queue of RabbitMQ 3.10 loses acknowledgements if the channel closes without such an answer
    (rabbitmq/rabbitmq-server#10327).
    """
    message = _get(channel, name)
    if message is None:
        return
    # A passive declaration knows less than basic.get: it counts letters that were put back some milliseconds later.
    count = message.delivery_info.get("message_count")
    left = channel.queue_declare(queue=name, passive=True).message_count if count is None else count
    waiting = deque([message])
    while waiting:
        letter = _letter(channel, waiting.popleft())
        yield letter
        if letter.removed and (message := _get(channel, name)) is not None and left > 0:
            waiting.append(message)
            left -= 1
        if not waiting and left > 0:
            number = min(left, BATCH)
            waiting.extend(_get_some(channel, name) if count is None else _receive(connection, channel, name, number))
            left -= len(waiting)


def _receive(connection: Any, channel: Any, name: str, number: int) -> list[Any]:
    """At most this number of messages; fewer if another program has taken the rest.

    By a consumer: for each `basic.get` whose message we hold, RabbitMQ 3.10 keeps a consumer, and thousands of them
    make it slow.
    """
    messages: list[Any] = []
    tag = uuid4().hex
    channel.basic_qos(0, number, False)
    channel.basic_consume(queue=name, consumer_tag=tag, no_ack=False, callback=messages.append)
    with suppress(TimeoutError):
        while len(messages) < number:
            connection.drain_events(timeout=LAST_SECONDS)
    channel.basic_cancel(tag)
    return messages


def _get_some(channel: Any, name: str) -> list[Any]:
    """The next message, from a broker of kombu's own."""
    message = _get(channel, name)
    return [] if message is None else [message]


def _letter(channel: Any, message: Any) -> CheckedOutLetter:
    letter = read_letter(message.body, message.headers or {}, message.properties)
    return CheckedOutLetter(
        letter,
        acknowledge=lambda tag=message.delivery_tag: channel.basic_ack(tag),  # type: ignore[misc]
        digest=_digest(letter.id, message.body),
        is_returned=bool(message.delivery_info.get("redelivered")),
    )


def _get(channel: Any, name: str) -> Any:
    """The next message as it is: kombu's `Queue.get` would unpack a body whose header says that it is compressed."""
    return channel.basic_get(queue=name, no_ack=False)


def _put_back(channel: Any, name: str) -> None:
    """All letters that the channel holds return to the queue, after the acknowledged ones are removed."""
    _get(channel, name)
    channel.basic_recover(requeue=True)
    channel.queue_declare(queue=name, passive=True)  # waits for the answer to basic.recover, which py-amqp does not


def _digest(identity: str, content: bytes | str) -> str:
    data = content if isinstance(content, bytes) else content.encode(errors="backslashreplace")
    return hashlib.sha256(identity.encode(errors="backslashreplace") + b"\0" + data).hexdigest()
