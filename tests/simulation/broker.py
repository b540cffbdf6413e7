"""A simulated broker: names, frames, delayed frames, dead letters and announcements."""

import json
import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Self

from ingester_app.dead_letters import read_letter
from ingester_app.schema import DeadLetter
from lco_ingester.frame import Record
from tests.simulation.archive import Row
from tests.simulation.copied import Copied


@dataclass(frozen=True, slots=True)
class Message:
    """A message in a queue: its body, and how often it came back; `due` is when its delay ends."""

    body: str
    returns: int = 0
    due: float = 0.0

    @property
    def redelivered(self) -> bool:
        """The flag that says that the message may have been delivered before."""
        return self.returns > 0

    def key(self, now: float) -> tuple[Any, ...]:
        """What distinguishes it from others; times are relative to now."""
        return _timeless(self.body, now), self.returns, self.due and self.due - now


@dataclass(frozen=True, slots=True)
class Announcement:
    """One processed message: the frame, the version that it speaks of, and the message's id."""

    basename: str
    key: str
    md5: str
    extension: str
    filename: str
    url: str
    message_id: str

    @classmethod
    def of(cls, record: Record, message_id: str) -> Self:
        """What a record says."""
        [version] = record["version_set"]
        about = version["key"], version["md5"], version["extension"], record["filename"], record["url"]
        return cls(record["basename"], *about, message_id)

    @classmethod
    def rightful(cls, row: Row) -> Self:
        """The announcement of this version of the archive: everything in it is the archive's."""
        return cls(row.basename, row.key, row.md5, row.extension, row.filename, row.url, row.md5)


class SimulatedBroker(Copied):
    """Queues that keep what is confirmed; copied by `copy`, compared by `key`.

    What a dead consumer held comes back with its count of returns; a frame that comes back more than
    `delivery_limit` times is moved to the letters.
    """

    def __init__(self, delivery_limit: int = 20) -> None:
        self.names: tuple[Message, ...] = ()
        self.frames: tuple[Message, ...] = ()
        self.delayed: tuple[Message, ...] = ()
        self.letters: tuple[Message, ...] = ()
        self.announced: frozenset[Announcement] = frozenset()
        self.letters_ever = 0
        self._limit = delivery_limit

    def key(self, now: float) -> tuple[Any, ...]:
        """What distinguishes its state; times are relative to now."""
        queues = (self.names, self.frames, self.delayed, self.letters)
        return tuple(tuple(each.key(now) for each in queue) for queue in queues), self.announced, self.letters_ever

    def publish_frame(self, message: dict[str, Any], due: float = 0.0, now: float = 0.0) -> None:
        """A task, at once or when its delay ends."""
        task = Message(json.dumps(message), due=due)
        if due > now:
            self.delayed = tuple(sorted((*self.delayed, task), key=lambda each: (each.due, each.body)))
        else:
            self.frames += (replace(task, due=0.0),)

    def end_of_next_delay(self) -> float:
        """When the next of those that wait becomes ready; it and those with it are put into the queue."""
        due = self.delayed[0].due
        self.frames += tuple(replace(each, due=0.0) for each in self.delayed if each.due <= due)
        self.delayed = tuple(each for each in self.delayed if each.due > due)
        return due

    def put_letter(self, letter: DeadLetter) -> None:
        """A dead letter, with a number as its id and without what differs between runs."""
        self.letters_ever += 1
        plain = replace(letter, id=f"letter-{self.letters_ever}", traceback="", text="", worker="", last_time=0.0)
        self.letters += (Message(json.dumps(plain.to_message())),)

    def read_letters(self) -> list[DeadLetter]:
        """The dead letters that are in their queue."""
        return [read_letter(message.body, {}, {}) for message in self.letters]

    def give_back_name(self, message: Message) -> None:
        """A name comes back to its queue, however often."""
        self.names = (replace(message, returns=message.returns + 1), *self.names)

    def give_back_frame(self, message: Message) -> None:
        """A frame comes back to its queue, or is moved to the letters."""
        back = replace(message, returns=message.returns + 1)
        if back.returns <= self._limit:
            self.frames = (back, *self.frames)
        else:
            body = json.dumps([[], json.loads(message.body), {}])
            death = {"queue": "ingest", "reason": "delivery_limit"}
            self.put_letter(read_letter(body, {"x-death": [death]}, {}))

    def give_back_letter(self, letter: Message) -> None:
        """A letter that its reader did not remove comes back."""
        self.letters = (replace(letter, returns=letter.returns + 1), *self.letters)


@lru_cache(maxsize=100_000)
def _timeless(body: str, now: float) -> str:
    """A message's body, with the time of its first failure relative to now."""
    return re.sub(r'("since": )([0-9.]+)', lambda found: f"{found[1]}{float(found[2]) - now}", body)
