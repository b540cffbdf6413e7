"""Fixtures for all tests: running external services, and an environment with nothing of ours in it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lco_ingester import settings
from lco_ingester.settings import Settings
from tests.support.rabbitmq import PROGRAM, RabbitNode, running_rabbitmq
from tests.support.servers import ArchiveServer, S3Server, running_archive, running_s3


@pytest.fixture(scope="session")
def archive_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ArchiveServer]:
    """One Archive API for the whole session; frames of other tests are in it."""
    with running_archive(tmp_path_factory.mktemp("archive")) as server:
        yield server


@pytest.fixture(scope="session")
def ocs_archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ArchiveServer]:
    """An Archive API of nested records, for the whole session; it knows another observatory's files too."""
    with running_archive(tmp_path_factory.mktemp("ocs_archive"), record_format="ocs", extensions=[".snf"]) as server:
        yield server


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """One S3 store for the whole session; frames of other tests are in it."""
    with running_s3() as server:
        yield server


@pytest.fixture(scope="session")
def rabbit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitNode]:
    """A node that all tests share; each has queues of its own."""
    if PROGRAM is None:
        pytest.skip("needs the program rabbitmq-server, which is neither here nor could be installed")
    with running_rabbitmq(tmp_path_factory.mktemp("rabbitmq")) as node:
        yield node


@pytest.fixture
def archive(archive_server: ArchiveServer) -> Iterator[ArchiveServer]:
    """The session's Archive API; faults end with the test."""
    yield archive_server
    archive_server.clear_faults()


@pytest.fixture
def s3(s3_server: S3Server) -> Iterator[S3Server]:
    """The session's S3 store; faults end with the test."""
    yield s3_server
    s3_server.clear_faults()


@pytest.fixture
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of ours, no secret file, and no AWS file of the user who runs the tests."""
    for field in Settings.model_fields:
        monkeypatch.delenv(field.upper(), raising=False)
    monkeypatch.setattr(settings, "SECRET_FILES", tmp_path / "no-secrets")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def external_services(
    clean_environment: None, monkeypatch: pytest.MonkeyPatch, archive: ArchiveServer, s3: S3Server
) -> dict[str, str]:
    """The environment points at the running archive and store; the variables, for processes to be started."""
    variables = external_services_environment(archive, s3)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return variables


@pytest.fixture
def ocs_external_services(
    external_services: dict[str, str], monkeypatch: pytest.MonkeyPatch, ocs_archive: ArchiveServer
) -> dict[str, str]:
    """`external_services`, with an archive of nested records and the setting that says so."""
    variables = {"API_ROOT": ocs_archive.url, "AUTH_TOKEN": ocs_archive.token, "ARCHIVE_RECORD_FORMAT": "ocs"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return {**external_services, **variables}


def external_services_environment(archive: ArchiveServer, s3: S3Server) -> dict[str, str]:
    """The variables by which the library finds these two."""
    return {
        "API_ROOT": archive.url,
        "AUTH_TOKEN": archive.token,
        "BUCKET": s3.bucket,
        "AWS_ENDPOINT_URL_S3": s3.url,
        "AWS_ACCESS_KEY_ID": "demo",
        "AWS_SECRET_ACCESS_KEY": "demo-secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes in the name of a test only as a few words: others may hold the time, and all workers must agree on it."""
    if not isinstance(val, bytes):
        return None
    readable = len(val) <= 40 and val.isascii() and val.decode().isprintable()
    return val.decode() if readable else argname
