"""A broker, an Archive API and an S3 store that all tests of this folder share."""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from ingester_demo.sample_frames import make_frames
from tests.faults.names import NIGHT
from tests.support.rabbitmq import PROGRAM, RabbitNode, running_rabbitmq
from tests.support.servers import ArchiveServer, S3Server, running_archive, running_s3

_numbers = count(1, 100)


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitNode]:
    if PROGRAM is None:
        pytest.skip("needs the program rabbitmq-server, which is neither here nor could be installed")
    with running_rabbitmq(tmp_path_factory.mktemp("rabbitmq")) as running:
        yield running


@pytest.fixture(scope="session")
def bucket() -> Iterator[S3Server]:
    with running_s3("promise") as server:
        yield server


@pytest.fixture(scope="session")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ArchiveServer]:
    with running_archive(tmp_path_factory.mktemp("api")) as server:
        yield server


@pytest.fixture(scope="session")
def new_files(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], list[Path]]:
    """As many good files, which no other test uses; beside each, as `….next`, another reduction of it."""

    def make(number: int) -> list[Path]:
        first = next(_numbers)
        directory = tmp_path_factory.mktemp("files")
        made = [
            make_frames(directory / size, 2 * number, NIGHT, pixels=int(size), first=first) for size in ("100", "90")
        ]
        for now, following in zip(*made, strict=True):
            following.path.rename(now.path.with_name(f"{now.path.name}.next"))
        return [frame.path for frame in made[0] if frame.good][:number]

    return make
