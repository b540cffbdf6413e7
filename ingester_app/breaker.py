"""A circuit breaker for each external service: a server that is down costs a frame microseconds, not a time-out."""

import copy
import logging
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, wraps
from typing import ParamSpec, TypeVar

from celery.exceptions import SoftTimeLimitExceeded
from circuitbreaker import CircuitBreaker

from ingester_app import logs
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

P = ParamSpec("P")
T = TypeVar("T")

logger = logging.getLogger(__name__)


class Breaker:
    """Opens after `failures` calls in a row without an answer; then the server is not called for `seconds` seconds.

    After that a call goes through: an answer closes the circuit, a failure opens it again. A refusal is an answer.
    """

    def __init__(
        self, server: str, unavailable: type[BackoffRetryError], failures: int, seconds: float, metrics: Metrics
    ) -> None:
        self._server = server
        self._unavailable = unavailable
        self._seconds = seconds
        self._metrics = metrics
        # A call that hangs until the soft time limit got no answer either.
        self._circuit = CircuitBreaker(failures, seconds, (BackoffRetryError, SoftTimeLimitExceeded), server)

    def guard(self, method: Callable[P, T]) -> Callable[P, T]:
        """The method behind this breaker.

        It raises the method's own errors, or, while the circuit is open, the error for a server that is unavailable,
        with `was_called` False.
        """

        @wraps(method)
        def call(*arguments: P.args, **named: P.kwargs) -> T:
            if self._circuit.opened:
                raise self._refusal()
            was_closed = self._circuit.closed
            try:
                with self._circuit:
                    return method(*arguments, **named)
            finally:
                self._report(was_closed)

        return call

    def _refusal(self) -> BackoffRetryError:
        return self._unavailable(
            detail=f"not called: the circuit is open after {self._circuit.failure_count} failures in a row",
            found=self._last_failure(),
            was_called=False,
        )

    def _last_failure(self) -> str:
        """The server's last failure, without the frame, key or id that it happened to: that was another frame."""
        error = copy.copy(self._circuit.last_failure)
        if isinstance(error, IngesterError):
            error.frame = error.detail = ""
        return str(error)

    def _report(self, was_closed: bool) -> None:
        is_closed = self._circuit.closed
        if is_closed == was_closed:
            return
        self._metrics.send("ingester.circuit_open", 0 if is_closed else 1, server=self._server)
        if is_closed:
            logs.report(logger, logging.WARNING, f"circuit closed: {self._server} answers again")
            return
        failed = f"{self._server} failed {self._circuit.failure_count} times in a row"
        logs.report(logger, logging.ERROR, f"circuit open: {failed}; not called for {self._seconds:g} s")


@lru_cache(maxsize=4)
def guarded(services: Services, failures: int, seconds: float) -> Services:
    """The same services with each call that needs the server behind a breaker of its own.

    Data and `close` stay as they are. Cached, because a breaker counts the failures of all frames of a process.
    """

    def breaker(server: str, unavailable: type[BackoffRetryError]) -> Breaker:
        return Breaker(server, unavailable, failures, seconds, services.metrics)

    store, archive = breaker("S3", StoreUnavailableError), breaker("Archive-API", ArchiveUnavailableError)
    exchange = breaker("processed-exchange", BrokerUnavailableError)
    return replace(
        services,
        store=_with_guard(services.store, store, Store.put, Store.current_version, Store.check),
        archive=_with_guard(
            services.archive,
            archive,
            Archive.has_version,
            Archive.find_frame,
            Archive.post_frame,
            Archive.post_thumbnail,
            Archive.holdings,
        ),
        publisher=services.publisher and _with_guard(services.publisher, exchange, Publisher.publish),
    )


def _with_guard(server: T, breaker: Breaker, *methods: Callable[..., object]) -> T:
    """A copy of the adapter that calls these methods of the original by way of the breaker."""
    copied = copy.copy(server)
    for method in methods:
        setattr(copied, method.__name__, breaker.guard(getattr(server, method.__name__)))
    return copied
