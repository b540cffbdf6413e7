"""What the processes do: the real code, with the doors of `tasks.py` and `listener.py` around it."""

import json
from typing import Any, cast

from kombu.exceptions import OperationalError

from ingester_app import letter_box
from ingester_app.broker import dispatch
from ingester_app.dead_letters import read_letter
from ingester_app.ingest import FrameMessage, Surroundings, ingest
from lco_ingester.exceptions import (
    ArchiveFailedError,
    ArchiveUnavailableError,
    BrokerUnavailableError,
    StoreUnavailableError,
)
from lco_ingester.frame import path_of
from lco_ingester.metrics import Metrics
from lco_ingester.services import Services
from listener import Listener
from tests.library.synthetic import rules
from tests.simulation import clock
from tests.simulation.files import SimulatedFile
from tests.simulation.process import Call, Run
from tests.simulation.world import World

RULES = rules()


class _App:
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


class _Store:
    def __init__(self, run: Run, world: World) -> None:
        self._run = run
        self._world = world

    def current_version(self, key: str) -> Any:
        call = Call("head", key)
        return self._run.call(call, lambda _: self._world.store.current_version(key), fails=StoreUnavailableError)

    def put(self, stream: Any, size: int, md5: str, target: Any) -> Any:
        content = stream.read()

        return self._run.call(
            Call("put", target.key),
            lambda _: self._world.put(self._run.process.name, content, size, md5, target),
            fails=StoreUnavailableError,
        )


class _Archive:
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


class _Publisher:
    def __init__(self, run: Run, world: World) -> None:
        self._run = run
        self._world = world

    def publish(self, record: dict[str, Any], message_id: str) -> None:
        self._run.call(
            Call("announce"), lambda _: self._world.announce(record, message_id), fails=BrokerUnavailableError
        )


def worker(run: Run, world: World) -> None:
    """`tasks.ingest`: one delivery, acknowledged late."""
    message = run.process.hand
    frame_message = FrameMessage.from_message(json.loads(message.body))
    app = cast(Any, _App(run, world))
    services = Services(
        cast(Any, _Store(run, world)),
        cast(Any, _Archive(run, world)),
        cast(Any, _Publisher(run, world)),
        Metrics.off(),
    )
    around = Surroundings(
        services=lambda: services,
        rules=RULES,
        file_at=lambda path: cast(Any, SimulatedFile(path, run, world.files, world.is_changing, world.look)),
        patiences=world.scenario.patiences,
        retry=lambda again, seconds: dispatch(app, again.to_message(), path_of(again.frame), countdown=seconds),
        bury=lambda letter: run.call(Call("bury"), lambda _: world.broker.put_letter(letter), fails=OperationalError),
        worker=run.process.name,
        now=lambda: run.call(Call("now"), lambda _: world.now, pauses=False),
        jitter=clock.jitter,
    )
    try:
        ingest(frame_message, message.redelivered, around)
    except Exception:
        run.call(Call("give back"), lambda _: world.broker.give_back_frame(message))
        return
    run.call(Call("ack"), lambda _: None)


class _Name:
    """A message of the FITS queue, as the listener sees it."""

    def __init__(self, run: Run, world: World) -> None:
        self.body = run.process.hand.body
        self._run = run
        self._world = world

    def ack(self) -> None:
        self._run.call(Call("ack"), lambda _: None)

    def requeue(self) -> None:
        self._run.call(Call("give back"), lambda _: self._world.broker.give_back_name(self._run.process.hand))


class _Listener(Listener):
    """The real one, which does not wait before it gives a name back."""

    def _pause(self) -> None:
        """The virtual clock stands still."""


class _NothingIgnored:
    ignored_chars = ()


def listener(run: Run, world: World) -> None:
    """`listener.py`: one name."""
    _Listener(cast(Any, None), cast(Any, _App(run, world)), cast(Any, _NothingIgnored())).on_message(_Name(run, world))


class _Letter:
    """A letter that the operator holds."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def ack(self) -> None:
        self._run.call(Call("ack"), lambda _: None)


def operator(run: Run, world: World) -> None:
    """`ingester letters replay`: one letter. If it cannot be replayed it goes back."""
    message = run.process.hand
    held = letter_box.HeldLetter(read_letter(message.body, {}, {}), _Letter(run))
    try:
        letter_box.replay(cast(Any, _App(run, world)), [held], lambda *_: None)
    except OperationalError:
        run.call(Call("give back"), lambda _: world.broker.give_back_letter(message))


BODIES = {"listener": listener, "operator": operator, "worker": worker}
"""By the name of the process; workers a, b, … are worker."""
