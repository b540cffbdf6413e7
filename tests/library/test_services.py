"""The external services of a process are opened once, and again after a fork."""

import os
from collections.abc import Iterator
from typing import Any

import pytest

from lco_ingester.exceptions import StoreDeploymentError
from lco_ingester.services import close_services, open_services
from lco_ingester.settings import Settings, load_settings


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


def test_settings_that_cannot_be_used_are_deployment_errors() -> None:
    with pytest.raises(StoreDeploymentError, match="endpoint"):
        open_services(settings(aws_endpoint_url_s3="nonsense"))
