"""Does everything work that a frame needs? One line for each external service, for people and for health checks."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from celery import Celery

from ingester_app.broker import PROMPT_SECONDS, celery_connection, fits_connection, is_blocked, opened, queue_state
from ingester_app.settings import ServiceSettings
from lco_ingester.services import Services

ANSWER_SECONDS = 5.0
CONNECT_SECONDS = 1.0  # for each URL of a broker: a silent host of a list must not use up the time


@dataclass(frozen=True, slots=True)
class Finding:
    """The result for one service: `well` or not, and why in `words`."""

    what: str
    well: bool
    words: str


def findings(
    settings: ServiceSettings, app: Celery, services: Callable[[], Services], redact: Callable[[str], str]
) -> Iterator[Finding]:
    """Ask every service once, all at the same time; each has ANSWER_SECONDS.

    An error of a service is a finding and is never raised. `redact` hides secrets in it. A question that got no answer
    stays behind in a daemon thread, which does not keep the process from its end.
    """
    asked = [
        _Question("FITS broker", lambda: _names(settings)),
        _Question("Celery broker", lambda: _frames(settings)),
        _Question("workers", lambda: _workers(settings, app)),
        _Question("S3", lambda: _store(services())),
        _Question("Archive API", lambda: (True, f"{services().archive.holdings()} frames")),
    ]
    end = time.monotonic() + ANSWER_SECONDS
    for question in asked:
        finding = question.answer(end)
        yield replace(finding, words=redact(finding.words))


class _Question:
    """A question to one service, asked in a thread of its own."""

    def __init__(self, what: str, ask: Callable[[], tuple[bool, str]]) -> None:
        self._finding = Finding(what, False, f"no answer within {ANSWER_SECONDS:g} s")
        self._ask = ask
        self._thread = threading.Thread(target=self._run, name=what, daemon=True)
        self._thread.start()

    def answer(self, end: float) -> Finding:
        """The finding; that there is no answer, if none came until `end`, in seconds of time.monotonic."""
        self._thread.join(max(0.0, end - time.monotonic()))
        return self._finding

    def _run(self) -> None:
        what = self._finding.what
        try:
            self._finding = Finding(what, *self._ask())
        except Exception as error:  # a health check reports what is wrong, and does not fail itself
            self._finding = Finding(what, False, " ".join(str(error).split()) or type(error).__name__)


def _names(settings: ServiceSettings) -> tuple[bool, str]:
    with opened(fits_connection(settings, CONNECT_SECONDS)) as connection:
        waiting, listeners = queue_state(connection, settings.fits_queue)
        blocked = is_blocked(connection)
    return listeners > 0 and not blocked, _and(f"{waiting} names waiting, {listeners} listeners", blocked)


def _frames(settings: ServiceSettings) -> tuple[bool, str]:
    with opened(celery_connection(settings, CONNECT_SECONDS)) as connection:
        frames, workers = queue_state(connection, settings.ingest_queue)
        letters, _ = queue_state(connection, settings.dead_letter_queue)
        blocked = is_blocked(connection, settings.ingest_queue)
    return workers > 0 and not blocked, _and(
        f"{frames} frames waiting, {workers} workers, {letters} dead letters", blocked
    )


def _and(words: str, blocked: str) -> str:
    return f"{words}; {blocked}" if blocked else words


def _workers(settings: ServiceSettings, app: Celery) -> tuple[bool, str]:
    with opened(celery_connection(settings, CONNECT_SECONDS)) as connection:
        # On this connection, not one of Celery's pool: without a heartbeat RabbitMQ would keep it until an alarm ends.
        mailbox = app.control.mailbox(connection)
        mailbox.producer_pool = None
        answers = mailbox.multi_call("ping", timeout=PROMPT_SECONDS)
    names = sorted(name for answer in answers for name in answer)
    return bool(names), ", ".join(names) or "no worker answers"


def _store(services: Services) -> tuple[bool, str]:
    services.store.check()
    return True, f"bucket {services.store.bucket} with versioning on"
