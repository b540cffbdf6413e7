"""The external services as one process sees them: it pauses before each call."""

from typing import Any

from kombu.exceptions import OperationalError

from lco_ingester.exceptions import (
    ArchiveFailedError,
    ArchiveUnavailableError,
    BrokerUnavailableError,
    StoreUnavailableError,
)
from tests.simulation import clock
from tests.simulation.process import Call, Run
from tests.simulation.world import World


class App:
    """As much of a Celery app as `dispatch` needs."""

    def __init__(self, run: Run, world: World) -> None:
        self._run = run
        self._world = world

    def send_task(self, _: str, kwargs: dict[str, Any], countdown: int | None = None, **__: Any) -> None:
        world = self._world
        kwargs = {**kwargs, "first_time": clock.START}  # the listener's own is of the real clock
        self._run.call(
            Call("publish"),
            lambda _: world.broker.publish_frame(kwargs, world.now + (countdown or 0), world.now),
            fails=OperationalError,
        )


class Store:
    """As `lco_ingester.store.Store`: each call stops before it is made."""

    def __init__(self, run: Run, world: World) -> None:
        self._run = run
        self._world = world

    def current_version(self, key: str) -> Any:
        call = Call("head", key)
        return self._run.call(call, lambda _: self._world.store.current_version(key), fails=StoreUnavailableError)

    def put(self, stream: Any, size: int, md5: str, target: Any) -> Any:
        self._run.only_sends = True
        content = stream.read()
        self._run.only_sends = False
        return self._run.call(
            Call("put", target.key),
            lambda _: self._world.put(self._run.process.name, content, size, md5, target),
            fails=StoreUnavailableError,
        )


class Archive:
    """As `lco_ingester.archive.Archive`."""

    def __init__(self, run: Run, world: World) -> None:
        self._run = run
        self._world = world

    def has_version(self, md5: str) -> Any:
        return self._read("has_version", md5)

    def find_frame(self, basename: str) -> Any:
        return self._read("find_frame", basename)

    def post_frame(self, record: dict[str, Any]) -> Any:
        return self._run.call(
            Call("post", record["basename"]),
            lambda _: self._world.post(self._run.process.name, record),
            fails=ArchiveFailedError,
        )

    def _read(self, name: str, about: str) -> Any:
        read = getattr(self._world.archive, name)
        return self._run.call(
            Call(name, about),
            lambda outcome: read(about, self._world.now, stale=outcome == "stale"),
            fails=ArchiveUnavailableError,
        )


class Publisher:
    """As `lco_ingester.publisher.Publisher`."""

    def __init__(self, run: Run, world: World) -> None:
        self._run = run
        self._world = world

    def publish(self, record: dict[str, Any], message_id: str) -> None:
        self._run.call(
            Call("announce"), lambda _: self._world.announce(record, message_id), fails=BrokerUnavailableError
        )
