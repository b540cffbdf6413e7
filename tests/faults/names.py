"""The files of a run, and the thread that publishes their names."""

import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from amqp.exceptions import AMQPError, MessageNacked
from kombu import Connection, Exchange
from kombu.exceptions import KombuError

from ingester_app.broker import fits_connection
from ingester_app.settings import ServiceSettings
from ingester_demo.sample_frames import SampleFrame, make_frames

NIGHT = date(2026, 11, 1)
BAD_SHARE = 0.03
# What publishing raises when the broker goes away meanwhile or does not confirm.
FAILURES = (OSError, AMQPError, MessageNacked, KombuError)


def make_files(directory: Path, number: int) -> list[SampleFrame]:
    """`number` small frames, of which three in a hundred, and at least two, are bad."""
    made = make_frames(directory, int(number * 1.17) + 14, NIGHT, pixels=100)
    bad = [frame for frame in made if not frame.good][: max(2, round(number * BAD_SHARE))]
    good = [frame for frame in made if frame.good][: number - len(bad)]
    return [*good, *bad]


@dataclass
class Publications:
    """How many were sent: confirmed names, names sent twice on purpose, and publications without a confirm."""

    confirmed: int = 0
    on_purpose: int = 0
    unconfirmed: int = 0


class NamesThread(threading.Thread):
    """Publishes names at their times, each until the broker has confirmed it."""

    def __init__(self, settings: ServiceSettings, frames: Sequence[SampleFrame], names: Sequence[tuple[float, int]]):
        super().__init__(name="names", daemon=True)
        self.publications = Publications()
        self.ended = threading.Event()
        self._settings = settings
        self._exchange = Exchange(settings.crawler_exchange_name, type="fanout", durable=True)
        self._names = [(at, frames[number].path) for at, number in names]
        self._connection: Connection | None = None

    @property
    def all_confirmed(self) -> bool:
        return self.publications.confirmed == len(self._names)

    def run(self) -> None:
        """Publish until all names are confirmed or `ended` is set."""
        begin = time.monotonic()
        seen: set[Path] = set()
        for at, path in self._names:
            if self.ended.wait(max(0.0, begin + at - time.monotonic())):
                break
            self._publish(path)
            self.publications.on_purpose += path in seen
            seen.add(path)
        self._drop_connection()

    def _publish(self, path: Path) -> None:
        while not self.ended.is_set():
            try:
                connection = self._connected()
            except FAILURES:
                self.ended.wait(0.5)
                continue
            try:
                connection.Producer().publish(
                    {"path": str(path)}, exchange=self._exchange, routing_key="", mandatory=True, confirm_timeout=10
                )
            except FAILURES:
                self.publications.unconfirmed += 1
                self._drop_connection()
            else:
                self.publications.confirmed += 1
                return

    def _connected(self) -> Connection:
        if self._connection is None:
            self._connection = fits_connection(self._settings)
            self._connection.connect()
        return self._connection

    def _drop_connection(self) -> None:
        if self._connection is not None:
            with suppress(*FAILURES):
                self._connection.close()
        self._connection = None
