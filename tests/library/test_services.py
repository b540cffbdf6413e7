"""The external services of a process are opened once, and again after a fork."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ingester_app.breaker import guarded
from lco_ingester.exceptions import StoreDeploymentError, StoreUnavailableError
from lco_ingester.services import Services, close_services, open_services
from lco_ingester.settings import Settings, load_settings
from tests.support.scripted import Answer, Scripted, scripted


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    close_services()
    yield
    close_services()


def settings(**changes: Any) -> Settings:
    credentials = {"aws_access_key_id": "demo", "aws_secret_access_key": "demo"}
    return load_settings(Settings, **{**credentials, **changes})


def test_the_same_settings_give_the_same_services() -> None:
    assert open_services(settings()) is open_services(settings())
    assert open_services(settings()) is not open_services(settings(bucket="another"))


def test_closed_services_are_opened_again() -> None:
    before = open_services(settings())
    close_services()
    assert open_services(settings()) is not before


def test_nothing_is_announced_if_it_is_turned_off() -> None:
    assert open_services(settings()).publisher is not None
    assert open_services(settings(postprocess_files=False)).publisher is None


def test_a_forked_child_opens_its_own() -> None:
    parents = open_services(settings())
    child = os.fork()
    if child == 0:
        os._exit(0 if open_services(settings()) is not parents else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert open_services(settings()) is parents


# A bad start is not kept


@pytest.fixture
def aws_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where AWS credentials may appear; there are none anywhere else."""
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    return tmp_path


def credentials(directory: Path, key: str) -> None:
    text = f"[default]\naws_access_key_id = {key}\naws_secret_access_key = secret\n"
    (directory / "credentials").write_text(text)


def services_of(server: Scripted, **changes: Any) -> Services:
    """The services of a worker for one frame: cached, and behind their circuit breakers."""
    without = {"aws_access_key_id": None, "aws_secret_access_key": None, "aws_default_region": "us-east-1"}
    found = open_services(settings(**{**without, "aws_endpoint_url_s3": server.url, **changes}))
    return guarded(found, failures=5, seconds=60)


def keys_of(server: Scripted) -> list[str]:
    """The access key that signed each request."""
    return [re.findall(r"Credential=(\w+)/", asked.headers["authorization"])[0] for asked in server.asked]


VERSIONED = Answer(200, "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>")


def test_credentials_that_come_after_the_start_are_found_at_the_next_frame(aws_files: Path) -> None:
    with scripted(VERSIONED) as server:
        for _ in range(2):
            with pytest.raises(StoreDeploymentError, match="NoCredentials"):
                services_of(server).store.check()
        credentials(aws_files, "FIRST")
        services_of(server).store.check()
        assert keys_of(server) == ["FIRST"]


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (403, "InvalidAccessKeyId"),
        (403, "SignatureDoesNotMatch"),
        (403, "AccessDenied"),
        (400, "ExpiredToken"),
        (400, "InvalidToken"),
        (401, ""),
    ],
)
def test_credentials_that_are_corrected_are_found_at_the_next_frame(aws_files: Path, status: int, code: str) -> None:
    credentials(aws_files, "EXPIRED")
    refusal = Answer(status, f"<Error><Code>{code}</Code></Error>" if code else "")
    with scripted(refusal, VERSIONED) as server:
        with pytest.raises(StoreDeploymentError):
            services_of(server).store.check()
        credentials(aws_files, "RENEWED")
        services_of(server).store.check()
        assert keys_of(server) == ["EXPIRED", "RENEWED"]


def test_a_region_that_is_corrected_is_found_at_the_next_frame(aws_files: Path) -> None:
    credentials(aws_files, "FIRST")
    (aws_files / "config").write_text("[default]\nregion = us-west-1\n")
    refusal = Answer(400, "<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-1</Region></Error>")
    with scripted(refusal, VERSIONED) as server:
        with pytest.raises(StoreDeploymentError, match="AWS_DEFAULT_REGION=eu-west-1"):
            services_of(server, aws_default_region="").store.check()
        (aws_files / "config").write_text("[default]\nregion = eu-west-1\n")
        services_of(server, aws_default_region="").store.check()
        assert [asked.headers["authorization"].split("/")[2] for asked in server.asked] == ["us-west-1", "eu-west-1"]


def test_a_file_of_aws_that_was_broken_at_the_start_is_read_again(aws_files: Path) -> None:
    credentials(aws_files, "FIRST")
    (aws_files / "config").write_text("not a configuration")
    with scripted(VERSIONED) as server:
        with pytest.raises(StoreDeploymentError, match="ConfigParseError"):
            services_of(server)
        (aws_files / "config").unlink()
        services_of(server).store.check()


def test_a_client_that_works_is_kept(aws_files: Path) -> None:
    """Also while the store is down, and if we have no permission to look: neither is about the client."""
    credentials(aws_files, "FIRST")
    unknown = Answer(403, headers={"x-amz-request-id": "1"})
    with scripted(VERSIONED, Answer(503), unknown, VERSIONED) as server:
        services_of(server).store.check()
        credentials(aws_files, "SECOND")
        with pytest.raises(StoreUnavailableError):
            services_of(server).store.check()
        assert services_of(server).store.current_version("k") is None
        services_of(server).store.check()
        assert keys_of(server) == ["FIRST"] * 4


def test_settings_that_cannot_be_used_are_deployment_errors() -> None:
    with pytest.raises(StoreDeploymentError, match="endpoint"):
        open_services(settings(aws_endpoint_url_s3="nonsense"))
