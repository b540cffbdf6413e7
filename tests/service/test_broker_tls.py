"""The whole service over `amqps://`, with a RabbitMQ that wants client certificates."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from lco_ingester.broker_connection import Connection, connection_arguments
from lco_ingester.broker_tls import BrokerTls
from tests.support.ports import HOST, closed_port
from tests.support.rabbitmq import PROGRAM, NodeTls, RabbitNode, running_rabbitmq
from tests.support.servers import ArchiveServer, S3Server
from tests.support.service import BEAT, FLOWER, INGESTER, LISTENER, PERIODIC, WORKER, Deployment, deployed

certificates = pytest.importorskip("tests.support.certificates", reason="needs the package cryptography")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The TLS settings, and what the broker needs."""
    authority = certificates.Authority(tmp_path_factory.mktemp("certificates"))
    cert_file, key_file = authority.sign("client")
    server_cert, server_key = authority.sign("server", "localhost", "rabbit.example", "127.0.0.1")
    return {
        "BROKER_CA_FILE": str(authority.certificate),
        "BROKER_CERT_FILE": str(cert_file),
        "BROKER_KEY_FILE": str(key_file),
        "server_cert": str(server_cert),
        "server_key": str(server_key),
    }


@pytest.fixture(scope="module")
def encrypted_rabbit(tmp_path_factory: pytest.TempPathFactory, files: dict[str, str]) -> Iterator[RabbitNode]:
    if PROGRAM is None:
        pytest.skip("needs the program rabbitmq-server, which is neither here nor could be installed")
    tls = NodeTls(Path(files["BROKER_CA_FILE"]), Path(files["server_cert"]), Path(files["server_key"]), True)
    with running_rabbitmq(tmp_path_factory.mktemp("encrypted"), tls=tls) as node:
        yield node


@pytest.fixture
def site(
    tmp_path: Path, encrypted_rabbit: RabbitNode, files: dict[str, str], archive: ArchiveServer, store: S3Server
) -> Iterator[Deployment]:
    """A site whose processes use TLS only; the test itself looks into the broker without."""
    with deployed(tmp_path / "site", encrypted_rabbit.url, archive, store) as deployment:
        deployment.variables.update({name: file for name, file in files.items() if name.isupper()})
        use(deployment, f"amqps://guest:guest@localhost:{encrypted_rabbit.tls_port}//")
        yield deployment
    store.clear_faults()


def use(site: Deployment, url: str) -> None:
    site.variables.update(FITS_BROKER=url, BROKER_URL=url)


def test_the_whole_service_runs_over_tls(
    site: Deployment, encrypted_rabbit: RabbitNode, store: S3Server, good: list[Path]
) -> None:
    port = encrypted_rabbit.tls_port
    use(site, f"amqps://guest:guest@{HOST}:{closed_port()}//;amqps://guest:guest@localhost:{port}//")
    store.faults(kind="error", every=1, times=1)  # so that one frame waits in the delayed delivery
    periodic = site.start(*PERIODIC)
    beat = site.start(*BEAT)
    flower = site.start(*FLOWER, "--port", str(closed_port()))
    site.start_listener()
    worker = site.start_worker(concurrency=1)
    site.publish(*good[:2])
    site.wait_for_announced(2)
    periodic.wait_for(" ready.")
    beat.wait_for("beat: Starting")
    flower.wait_for("Connected to amqps://")
    for command in (("health",), ("letters", "list")):
        done = subprocess.run(
            [*INGESTER, *command], env=site.environment(), capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert worker.end() == 0
    assert site.letters() == []


def test_lco_ingest_frame_announces_over_tls(site: Deployment, good: list[Path]) -> None:
    done = subprocess.run(
        ["lco_ingest_frame", str(good[0])],
        env=site.environment(BROKER_SERVER_NAME="rabbit.example"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    site.wait_for_announced(1)


def test_processes_without_the_client_certificate_say_so_and_wait(site: Deployment) -> None:
    del site.variables["BROKER_CERT_FILE"], site.variables["BROKER_KEY_FILE"]
    for command in (LISTENER, WORKER):
        program = site.start(*command)
        program.wait_for("set BROKER_CERT_FILE and BROKER_KEY_FILE")
        assert program.process.poll() is None
        assert "Traceback" not in program.logged()
    health = subprocess.run(
        [*INGESTER, "health"], env=site.environment(), capture_output=True, text=True, timeout=60, check=False
    )
    assert health.returncode == 1
    assert health.stdout.count("set BROKER_CERT_FILE and BROKER_KEY_FILE") == 3


def test_a_missing_file_is_one_line_at_the_start(site: Deployment) -> None:
    site.variables["BROKER_CA_FILE"] = "/missing/ca.pem"
    started = [site.start(*command) for command in (LISTENER, WORKER, (*INGESTER, "letters", "list"))]
    for program in started:
        assert program.process.wait(30) == 1
        assert (
            program.logged()
            .strip()
            .endswith("wrong settings: BROKER_CA_FILE: must be a readable file: No such file or directory")
        )
        assert program.logged().count("\n") == 1


def test_a_port_without_tls_is_named(encrypted_rabbit: RabbitNode) -> None:
    arguments = connection_arguments(f"amqps://guest:guest@localhost:{encrypted_rabbit.port}//", BrokerTls())
    with pytest.raises(Exception, match="does not speak TLS"), Connection(**arguments) as connection:
        connection.ensure_connection(max_retries=0)
