"""The library's tests never see the environment of the user who runs them."""

import pytest

from lco_ingester.services import Services, open_services
from lco_ingester.settings import Settings, load_settings


@pytest.fixture(autouse=True)
def _isolated(clean_environment: None) -> None:
    """Each test sets what it needs."""


@pytest.fixture
def services(external_services: dict[str, str]) -> Services:
    """The running archive and store, without announcements."""
    return open_services(load_settings(Settings, postprocess_files=False))
