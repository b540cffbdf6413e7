"""Does everything work that a frame needs? One line for each external service, for people and for health checks."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from celery import Celery

from ingester_app.broker import celery_connection, fits_connection, queue_state
from ingester_app.settings import ServiceSettings
from lco_ingester.services import Services

PING_SECONDS = 2.0
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
    """Ask every service once. An error of a service is a finding and is never raised. `redact` hides secrets in it."""
    for finding in _findings(settings, app, services):
        yield replace(finding, words=redact(finding.words))


def _findings(settings: ServiceSettings, app: Celery, services: Callable[[], Services]) -> Iterator[Finding]:
    yield _asked("FITS broker", lambda: _names(settings))
    yield _asked("Celery broker", lambda: _frames(settings))
    yield _asked("workers", lambda: _workers(settings, app))
    yield _asked("S3", lambda: _store(services()))
    yield _asked("Archive API", lambda: (True, f"{services().archive.holdings()} frames"))


def _asked(what: str, ask: Callable[[], tuple[bool, str]]) -> Finding:
    try:
        well, words = ask()
    except Exception as error:  # a health check reports what is wrong, and does not fail itself
        return Finding(what, False, " ".join(str(error).split()) or type(error).__name__)
    return Finding(what, well, words)


def _names(settings: ServiceSettings) -> tuple[bool, str]:
    with _prompt(fits_connection(settings, CONNECT_SECONDS)) as connection:
        waiting, listeners = queue_state(connection, settings.fits_queue)
    return listeners > 0, f"{waiting} names waiting, {listeners} listeners"


def _frames(settings: ServiceSettings) -> tuple[bool, str]:
    with _prompt(celery_connection(settings, CONNECT_SECONDS)) as connection:
        frames, workers = queue_state(connection, settings.ingest_queue)
        letters, _ = queue_state(connection, settings.dead_letter_queue)
    return workers > 0, f"{frames} frames waiting, {workers} workers, {letters} dead letters"


def _prompt(connection: Any) -> Any:
    """The connection, opened within two attempts, or one for each URL."""
    return connection.ensure_connection(max_retries=1, interval_start=0, timeout=PING_SECONDS)


def _workers(settings: ServiceSettings, app: Celery) -> tuple[bool, str]:
    with _prompt(celery_connection(settings, CONNECT_SECONDS)) as connection:
        answers = app.control.ping(timeout=PING_SECONDS, connection=connection)
    names = sorted(name for answer in answers for name in answer)
    return bool(names), ", ".join(names) or "no worker answers"


def _store(services: Services) -> tuple[bool, str]:
    services.store.check()
    return True, f"bucket {services.store.bucket} with versioning on"
