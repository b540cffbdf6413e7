"""Publish names on the FITS exchange and watch the outcome of each frame."""

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

LETTERS_INTERVAL = 0.5  # seconds between two reads of the dead letters


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of one name; `seconds` is the time from its publication until the outcome was seen."""

    path: Path
    md5: str
    word: str = "no outcome"
    record: dict[str, Any] | None = None
    letter: DeadLetter | None = None
    seconds: float | None = None

    @property
    def is_known(self) -> bool:
        """Whether the outcome is known yet."""
        return self.seconds is not None


class Watch:
    """A consumer of the processed exchange, as a pipeline would be; create it before the first frame is published."""

    def __init__(self, settings: ServiceSettings) -> None:
        self._settings = settings
        self._fits = fits_connection(settings)
        self._celery = celery_connection(settings)
        channel = self._fits.channel()
        # Exclusive: two watches must not take each other's messages, and the queue goes when the watch ends.
        exchange = Exchange(settings.processed_exchange_name, type="fanout")
        self._processed = Queue(f"demo_watch_{uuid4()}", exchange, exclusive=True)(channel)
        self._processed.declare()
        self._published: dict[Path, float] = {}
        self._outcomes: dict[Path, Outcome] = {}

    def publish(self, paths: list[Path]) -> None:
        """Publish the paths of the files on the FITS exchange."""
        exchange = Exchange(self._settings.crawler_exchange_name, type="fanout", durable=True)
        producer = self._fits.Producer()
        for path in paths:
            self._outcomes[path] = Outcome(path, _md5(path))
            self._published[path] = time.monotonic()
            producer.publish(
                {"path": str(path)}, exchange=exchange, declare=[exchange], routing_key="", serializer="json"
            )

    def outcomes(self, seconds: float, on_outcome: Callable[[Outcome], None]) -> list[Outcome]:
        """Wait until every outcome is known, for at most `seconds`; `on_outcome` is called with each."""
        deadline = time.monotonic() + seconds
        next_letters = 0.0
        while time.monotonic() < deadline and not all(each.is_known for each in self._outcomes.values()):
            before = dict(self._outcomes)
            self._take_announced()
            self._take_ignored()
            if time.monotonic() > next_letters:
                self._take_letters()
                next_letters = time.monotonic() + LETTERS_INTERVAL
            for path, outcome in self._outcomes.items():
                if outcome.is_known and not before[path].is_known:
                    on_outcome(outcome)
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
            for outcome in self._unknown():
                if outcome.md5 == md5:
                    self._record(outcome, "archived", record=record)

    def _take_letters(self) -> None:
        letters = {letter.path: letter for letter in letters_in(self._celery, dead_letter_queue(self._settings))}
        for outcome in self._unknown():
            if str(outcome.path) in letters:
                self._record(outcome, "dead letter", letter=letters[str(outcome.path)])

    def _take_ignored(self) -> None:
        for outcome in self._unknown():
            if is_ignored(str(outcome.path), self._settings.ignored_chars):
                self._record(outcome, "ignored")

    def _unknown(self) -> list[Outcome]:
        return [outcome for outcome in self._outcomes.values() if not outcome.is_known]

    def _record(self, outcome: Outcome, word: str, **fields: Any) -> None:
        seconds = time.monotonic() - self._published[outcome.path]
        self._outcomes[outcome.path] = replace(outcome, word=word, seconds=seconds, **fields)


def _md5(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
