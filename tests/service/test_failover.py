"""Several URLs of one cluster in FITS_BROKER and BROKER_URL: nodes that are away, that are silent, that die."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from lco_ingester.broker_connection import Connection, connection_arguments
from lco_ingester.broker_tls import BrokerTls
from lco_ingester.publisher import Publisher
from tests.support.forwarder import forwarding
from tests.support.ports import HOST, closed_port, silent_port
from tests.support.processes import wait_until
from tests.support.rabbitmq import RabbitNode
from tests.support.servers import S3Server
from tests.support.service import INGESTER, LISTENER, WORKER, Deployment


def url(port: int) -> str:
    return f"amqp://guest:guest@{HOST}:{port}//"


def use(site: Deployment, *ports: int) -> None:
    """The processes of the site get these nodes; the test itself keeps its own URL."""
    urls = ";".join(map(url, ports))
    site.variables.update(FITS_BROKER=urls, BROKER_URL=urls)


@pytest.fixture
def silent() -> Iterator[int]:
    with silent_port() as port:
        yield port


def test_the_whole_service_runs_while_one_node_is_silent_and_one_is_away(
    site: Deployment, rabbit: RabbitNode, store: S3Server, good: list[Path], silent: int
) -> None:
    use(site, silent, closed_port(), rabbit.port)
    store.faults(kind="error", every=1, times=1)  # so that one frame waits in the delayed delivery
    listener, worker = site.start(*LISTENER), site.start(*WORKER, "-c", "1")
    listener.wait_for("listening on queue", 60)
    worker.wait_for(" ready.", 60)
    site.publish(*good[:2])
    site.wait_for_announced(2, seconds=60)
    health = subprocess.run(
        [*INGESTER, "health"], env=site.environment(), capture_output=True, text=True, timeout=60, check=False
    )
    assert health.returncode == 0, health.stdout + health.stderr
    assert worker.end() == 0
    assert site.letters() == []
    assert "guest:guest" not in "".join(program.logged() for program in site.programs)


def test_a_node_that_dies_is_replaced_by_the_next_one(
    site: Deployment, rabbit: RabbitNode, store: S3Server, good: list[Path]
) -> None:
    with forwarding(rabbit.port) as first, forwarding(rabbit.port) as second:
        use(site, first.port, second.port)
        listener, worker = site.start_listener(), site.start_worker(concurrency=1)
        site.publish(good[0])
        site.wait_for_announced(1)
        assert second.accepted == 0
        first.cut()
        wait_until("a new connection", lambda: listener.logged().count("listening on queue") == 2)
        store.faults(kind="error", every=1, times=1)
        site.publish(good[1])
        site.wait_for_announced(2, seconds=60)
        assert site.letters() == []
        assert worker.process.poll() is None


def test_a_silent_host_costs_its_time_out_once_in_a_process(rabbit: RabbitNode, silent: int) -> None:
    urls = ";".join(map(url, (silent, closed_port(), rabbit.port)))
    arguments = connection_arguments(urls, BrokerTls(), 0.5)
    with Connection(**arguments) as connection:
        connection.connect()
        assert connection.port == rabbit.port
    for made in (Connection(**arguments), Connection(**arguments).Pool(1).acquire(block=True)):
        assert made.port == rabbit.port


def test_a_channel_that_is_needed_at_once_is_opened_at_the_node_that_answers(rabbit: RabbitNode, silent: int) -> None:
    urls = ";".join(map(url, (closed_port(), silent, closed_port(), rabbit.port)))
    with Connection(**connection_arguments(urls, BrokerTls(), 0.5)) as connection:
        connection.default_channel.close()
        assert connection.port == rabbit.port


def test_an_announcement_reaches_the_node_that_answers_and_the_next_one_after_its_death(
    rabbit: RabbitNode, silent: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lco_ingester.broker_connection.FAILOVER_TIMEOUT", 0.5)
    with forwarding(rabbit.port) as first, forwarding(rabbit.port) as second:
        urls = ";".join(map(url, (silent, closed_port(), first.port, second.port)))
        publisher = Publisher(urls, "archived_fits_failover")
        publisher.publish({}, "an-md5")
        assert (first.accepted, second.accepted) == (1, 0)
        first.cut()
        publisher.publish({}, "an-md5")
        assert second.accepted == 1
        publisher.close()
