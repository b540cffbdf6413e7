"""The circuit breaker: not every frame waits for a server that is down."""

import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from ingester_app.breaker import Breaker, guarded
from lco_ingester.archive import Archive
from lco_ingester.exceptions import ArchiveRefusedError, BackoffRetryError, StoreUnavailableError
from lco_ingester.metrics import Metrics
from lco_ingester.publisher import Publisher
from lco_ingester.services import Services
from lco_ingester.store import open_store
from tests.support.ports import free_port


class Server:
    """Answers, refuses or is down, and counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.error: Exception | None = StoreUnavailableError("S3 key x/a.fits", frame="a.fits", found="no answer")

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
            breaker.guard(server.ask)()
    assert server.asked == 3
    assert metrics.values == [("ingester.circuit_open", 1, {"server": "S3"})]
    with pytest.raises(StoreUnavailableError, match=r"not called.*3 failures.*no answer") as raised:
        breaker.guard(server.ask)()
    assert "a.fits" not in str(raised.value), "the error is about another frame"
    assert not raised.value.was_called


def test_it_is_asked_again_after_a_while_and_one_answer_closes_the_circuit(caplog: pytest.LogCaptureFixture) -> None:
    server, metrics = Server(), Sent()
    breaker = Breaker("S3", StoreUnavailableError, 2, 1, metrics)
    for _ in range(5):
        with pytest.raises(StoreUnavailableError):
            breaker.guard(server.ask)()
    server.error = None
    time.sleep(1.1)
    assert breaker.guard(server.ask)() == "answer"
    assert breaker.guard(server.ask)() == "answer"
    assert [value for _, value, _ in metrics.values] == [1, 0]
    assert "circuit open: S3 failed 2 times in a row; not called for 1 s" in caplog.text
    assert "circuit closed: S3 answers again" in caplog.text


def test_a_trial_that_fails_leaves_the_circuit_open() -> None:
    server = Server()
    breaker = Breaker("S3", StoreUnavailableError, 2, 1, Sent())
    for _ in range(2):
        with pytest.raises(StoreUnavailableError):
            breaker.guard(server.ask)()
    time.sleep(1.1)
    for _ in range(10):
        with pytest.raises(StoreUnavailableError):
            breaker.guard(server.ask)()
    assert server.asked == 3


def test_a_refusal_is_an_answer() -> None:
    server = Server()
    server.error = ArchiveRefusedError(found="400")
    breaker = Breaker("Archive-API", StoreUnavailableError, 2, 60, Sent())
    for _ in range(10):
        with pytest.raises(ArchiveRefusedError):
            breaker.guard(server.ask)()
    assert server.asked == 10


@pytest.fixture
def services() -> Services:
    """Real adapters of servers that are not there."""
    store = open_store(
        "frames", access_key_id="a", secret_access_key="b", endpoint_url=f"http://127.0.0.1:{free_port()}"
    )
    archive = Archive(f"http://127.0.0.1:{free_port()}/", "token", timeout=1)
    publisher = Publisher(f"amqp://guest:guest@127.0.0.1:{free_port()}//", "archived_fits")
    return Services(store, archive, publisher, Metrics.off())


CALLS = [
    ("store", lambda services: services.store.current_version("a")),
    ("store", lambda services: services.store.check()),
    ("archive", lambda services: services.archive.has_version("a")),
    ("archive", lambda services: services.archive.find_frame("a")),
    ("archive", lambda services: services.archive.post_frame({})),
    ("archive", lambda services: services.archive.post_thumbnail({})),
    ("archive", lambda services: services.archive.holdings()),
    ("publisher", lambda services: services.publisher.publish({}, "a")),
]


@pytest.mark.parametrize(("server", "call"), CALLS)
def test_after_a_failure_no_call_reaches_the_server_and_the_other_servers_are_called(
    services: Services, server: str, call: Callable[[Services], object]
) -> None:
    behind_breakers = guarded(services, failures=1, seconds=60)
    called = []
    for _ in range(3):
        with pytest.raises(BackoffRetryError) as raised:
            call(behind_breakers)
        called.append(raised.value.was_called)
    assert called == [True, False, False]
    other, other_call = next(each for each in CALLS if each[0] != server)
    with pytest.raises(BackoffRetryError) as raised:
        other_call(behind_breakers)
    assert raised.value.was_called, f"the circuit of {other} is another one"


def test_every_public_method_that_needs_the_server_is_guarded(services: Services) -> None:
    """A method that is added to an adapter must be guarded, or be named here as one that needs no server."""
    behind_breakers = guarded(services, failures=1, seconds=60)
    for original, copied in (
        (services.store, behind_breakers.store),
        (services.archive, behind_breakers.archive),
        (services.publisher, behind_breakers.publisher),
    ):
        methods = {name for name, value in vars(type(original)).items() if callable(value) and name[0] != "_"}
        assert methods - set(vars(copied)) <= {"close"}


def test_data_and_close_pass_whatever_the_state_of_the_circuit(services: Services) -> None:
    behind_breakers = guarded(services, failures=1, seconds=60)
    assert behind_breakers.store.bucket == "frames"
    assert behind_breakers.publisher is not None
    with pytest.raises(BackoffRetryError):
        behind_breakers.publisher.publish({}, "a")
    behind_breakers.publisher.close()
    assert not hasattr(behind_breakers.store, "nonsense")


def test_services_without_a_publisher_have_none_behind_breakers(services: Services) -> None:
    assert guarded(replace(services, publisher=None), 1, 60).publisher is None


def test_the_same_services_keep_their_breakers_and_others_get_new_ones(services: Services) -> None:
    other = replace(services, publisher=None)
    assert guarded(services, 1, 60) is guarded(services, 1, 60)
    assert guarded(other, 1, 60).store is not guarded(services, 1, 60).store
