"""Publish names on the FITS exchange and watch what becomes of each frame."""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from kombu import Exchange, Queue

from ingester_app.broker import celery_connection, dead_letter_queue, fits_connection
from ingester_app.dead_letter_queue import letters_in
from ingester_app.fits_message import is_ignored
from ingester_app.schema import DeadLetter
from ingester_app.settings import ServiceSettings

LETTERS_EVERY = 0.5  # seconds between two looks at the dead letters


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one name; `seconds` is from its publication to the message or letter that tells."""

    path: Path
    md5: str
    word: str = "no word of it"
    record: dict[str, Any] | None = None
    letter: DeadLetter | None = None
    seconds: float | None = None

    @property
    def settled(self) -> bool:
        """Whether it came to an end."""
        return self.seconds is not None


class Watch:
    """A consumer of the processed exchange, as the next pipeline would be; bound before the first frame comes."""

    def __init__(self, settings: ServiceSettings) -> None:
        self._settings = settings
        self._fits = fits_connection(settings)
        self._celery = celery_connection(settings)
        channel = self._fits.channel()
        # Nobody else's: two that watch at once must not take each other's messages, and none stay behind.
        exchange = Exchange(settings.processed_exchange_name, type="fanout")
        self._processed = Queue(f"demo_watch_{uuid4()}", exchange, exclusive=True)(channel)
        self._processed.declare()
        self._published: dict[Path, float] = {}
        self._outcomes: dict[Path, Outcome] = {}

    def publish(self, paths: list[Path]) -> None:
        """Name the files on the FITS exchange."""
        exchange = Exchange(self._settings.crawler_exchange_name, type="fanout", durable=True)
        producer = self._fits.Producer()
        for path in paths:
            self._outcomes[path] = Outcome(path, _md5(path))
            self._published[path] = time.monotonic()
            producer.publish(
                {"path": str(path)}, exchange=exchange, declare=[exchange], routing_key="", serializer="json"
            )

    def outcomes(self, seconds: float, tell: Callable[[Outcome], None]) -> list[Outcome]:
        """Wait for every name's end, for at most `seconds`; `tell` is called at each."""
        deadline = time.monotonic() + seconds
        look_at_letters = 0.0
        while time.monotonic() < deadline and not all(each.settled for each in self._outcomes.values()):
            before = dict(self._outcomes)
            self._take_announced()
            self._take_ignored()
            if time.monotonic() > look_at_letters:
                self._take_letters()
                look_at_letters = time.monotonic() + LETTERS_EVERY
            for path, outcome in self._outcomes.items():
                if outcome.settled and not before[path].settled:
                    tell(outcome)
            time.sleep(0.05)
        return list(self._outcomes.values())

    def close(self) -> None:
        """Close the connections."""
        self._fits.close()
        self._celery.close()

    def _take_announced(self) -> None:
        while (message := self._processed.get(no_ack=True)) is not None:
            record = message.payload
            md5 = record["version_set"][0]["md5"]
            for outcome in self._open():
                if outcome.md5 == md5:
                    self._settle(outcome, "archived", record=record)

    def _take_letters(self) -> None:
        letters = {letter.path: letter for letter in letters_in(self._celery, dead_letter_queue(self._settings))}
        for outcome in self._open():
            if str(outcome.path) in letters:
                self._settle(outcome, "dead letter", letter=letters[str(outcome.path)])

    def _take_ignored(self) -> None:
        for outcome in self._open():
            if is_ignored(str(outcome.path), self._settings.ignored_chars):
                self._settle(outcome, "ignored")

    def _open(self) -> list[Outcome]:
        return [outcome for outcome in self._outcomes.values() if not outcome.settled]

    def _settle(self, outcome: Outcome, word: str, **fields: Any) -> None:
        seconds = time.monotonic() - self._published[outcome.path]
        self._outcomes[outcome.path] = replace(outcome, word=word, seconds=seconds, **fields)


def _md5(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
