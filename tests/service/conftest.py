"""A private broker, an S3 store and an Archive API for the service's tests."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from ingester_demo.sample_frames import SampleFrame, make_frames
from tests.support.rabbitmq import RabbitNode
from tests.support.servers import ArchiveServer, S3Server, running_archive, running_s3
from tests.support.service import Deployment, deployed

NIGHT = date(2026, 11, 1)


@pytest.fixture(scope="session")
def store() -> Iterator[S3Server]:
    with running_s3("service") as server:
        yield server


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[ArchiveServer]:
    with running_archive(tmp_path) as server:
        yield server


@pytest.fixture
def site(tmp_path: Path, rabbit: RabbitNode, archive: ArchiveServer, store: S3Server) -> Iterator[Deployment]:
    """A site on the shared broker, with nothing started yet."""
    with deployed(tmp_path / "site", rabbit.url, archive, store) as deployment:
        yield deployment
    store.clear_faults()


@pytest.fixture
def frames(tmp_path: Path) -> list[SampleFrame]:
    """Twelve small frames, the last two of them bad."""
    return make_frames(tmp_path / "frames", 12, NIGHT, pixels=100)


@pytest.fixture
def good(frames: list[SampleFrame]) -> list[Path]:
    """The good ones among them."""
    return [frame.path for frame in frames if frame.good]
