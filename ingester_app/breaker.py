"""A circuit breaker before each neighbour: a server that is down costs a frame microseconds, and not a time-out."""

import copy
import logging
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any, cast

from circuitbreaker import CircuitBreaker

from lco_ingester.archive import Archive
from lco_ingester.exceptions import (
    ArchiveUnavailableError,
    BackoffRetryError,
    BrokerUnavailableError,
    IngesterError,
    StoreUnavailableError,
)
from lco_ingester.metrics import Metrics
from lco_ingester.publisher import Publisher
from lco_ingester.services import Services
from lco_ingester.store import Store

logger = logging.getLogger(__name__)


class Breaker:
    """Stands before a server: after some calls in a row without an answer it is left alone for some seconds.

    Then one call goes through, and decides. What the server refuses is an answer.
    """

    def __init__(
        self, server: str, unavailable: type[BackoffRetryError], failures: int, seconds: float, metrics: Metrics
    ) -> None:
        self._server = server
        self._unavailable = unavailable
        self._metrics = metrics
        self._circuit = CircuitBreaker(failures, seconds, BackoffRetryError, server)

    def call(self, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """Call the server's method. Raises its errors, or the server's unavailability without asking it."""
        if self._circuit.opened:
            raise self._unavailable(
                detail=f"not asked, for it gave no answer {self._circuit.failure_count} times in a row",
                found=self._last_failure(),
            )
        was_closed = self._circuit.closed
        try:
            with self._circuit:
                return function(*arguments, **named)
        finally:
            self._tell(was_closed)

    def _last_failure(self) -> str:
        """What the server did last, without the frame that it did it to: another one is in hand now."""
        error = copy.copy(self._circuit.last_failure)
        if isinstance(error, IngesterError):
            error.frame = ""
        return str(error)

    def _tell(self, was_closed: bool) -> None:
        is_closed = self._circuit.closed
        if is_closed == was_closed:
            return
        self._metrics.send("ingester.circuit_open", 0 if is_closed else 1, server=self._server)
        if is_closed:
            logger.warning("%s answers again", self._server)
        else:
            logger.error("%s does not answer; it is left alone for a while", self._server)


class _Guarded:
    """Any server of ours, each call of it by way of a breaker."""

    def __init__(self, server: Any, breaker: Breaker) -> None:
        self._server = server
        self._breaker = breaker

    def __getattr__(self, name: str) -> Any:
        return partial(self._breaker.call, getattr(self._server, name))


@lru_cache
def guarded(services: Services, failures: int, seconds: float) -> Services:
    """The same services, each behind a breaker of its own.

    Cached: a breaker counts the failures of all frames of a process.
    """

    def guard(server: Any, name: str, unavailable: type[BackoffRetryError]) -> Any:
        return _Guarded(server, Breaker(name, unavailable, failures, seconds, services.metrics))

    publisher = services.publisher
    return replace(
        services,
        store=cast(Store, guard(services.store, "S3", StoreUnavailableError)),
        archive=cast(Archive, guard(services.archive, "Archive-API", ArchiveUnavailableError)),
        publisher=publisher and cast(Publisher, guard(publisher, "processed-exchange", BrokerUnavailableError)),
    )
