"""The circuit breaker: not every frame waits for a server that is down."""

import time
from typing import Any

import pytest

from ingester_app.breaker import Breaker, guarded
from lco_ingester.exceptions import ArchiveRefusedError, StoreUnavailableError
from lco_ingester.metrics import Metrics
from lco_ingester.services import Services


class Server:
    """Answers, refuses or is down, and counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.error: Exception | None = StoreUnavailableError(frame="a.fits", found="no answer")

    def ask(self) -> str:
        self.asked += 1
        if self.error is not None:
            raise self.error
        return "answer"


class Sent(Metrics):
    """Metrics that are kept."""

    def __init__(self) -> None:
        super().__init__(None, "", asynchronous=False)
        self.values: list[tuple[str, float, dict[str, str]]] = []

    def send(self, name: str, value: float, **tags: str) -> None:
        self.values.append((name, value, tags))


def test_a_server_that_is_down_is_not_called_and_costs_no_time() -> None:
    server, metrics = Server(), Sent()
    breaker = Breaker("S3", StoreUnavailableError, 3, 60, metrics)
    for _ in range(1000):
        with pytest.raises(StoreUnavailableError):
            breaker.call(server.ask)
    assert server.asked == 3
    assert metrics.values == [("ingester.circuit_open", 1, {"server": "S3"})]
    with pytest.raises(StoreUnavailableError, match=r"not asked.*3 times.*no answer") as raised:
        breaker.call(server.ask)
    assert "a.fits" not in str(raised.value), "another frame is in hand"


def test_it_is_asked_again_after_a_while_and_one_answer_closes_the_circuit(caplog: pytest.LogCaptureFixture) -> None:
    server, metrics = Server(), Sent()
    breaker = Breaker("S3", StoreUnavailableError, 2, 1, metrics)
    for _ in range(5):
        with pytest.raises(StoreUnavailableError):
            breaker.call(server.ask)
    server.error = None
    time.sleep(1.1)
    assert breaker.call(server.ask) == "answer"
    assert breaker.call(server.ask) == "answer"
    assert [value for _, value, _ in metrics.values] == [1, 0]
    assert "S3 does not answer" in caplog.text
    assert "S3 answers again" in caplog.text


def test_a_trial_that_fails_leaves_the_circuit_open() -> None:
    server = Server()
    breaker = Breaker("S3", StoreUnavailableError, 2, 1, Sent())
    for _ in range(2):
        with pytest.raises(StoreUnavailableError):
            breaker.call(server.ask)
    time.sleep(1.1)
    for _ in range(10):
        with pytest.raises(StoreUnavailableError):
            breaker.call(server.ask)
    assert server.asked == 3


def test_a_refusal_is_an_answer() -> None:
    server = Server()
    server.error = ArchiveRefusedError(found="400")
    breaker = Breaker("Archive-API", StoreUnavailableError, 2, 60, Sent())
    for _ in range(10):
        with pytest.raises(ArchiveRefusedError):
            breaker.call(server.ask)
    assert server.asked == 10


def test_each_service_has_a_breaker_of_its_own() -> None:
    store, archive = Server(), Server()
    archive.error = None
    services: Any = guarded(Services(store, archive, None, Metrics.off()), 1, 60)  # type: ignore[arg-type]
    for _ in range(3):
        with pytest.raises(StoreUnavailableError):
            services.store.ask()
    assert store.asked == 1
    assert services.archive.ask() == "answer"
    assert services.publisher is None
