"""What the processes do: the real code, with what `tasks.py` and `listener.py` do around it."""

import json
from typing import Any, cast

from kombu.exceptions import OperationalError

from ingester_app import dead_letter_queue
from ingester_app.broker import dispatch
from ingester_app.dead_letters import read_letter
from ingester_app.ingest import TaskContext, ingest
from ingester_app.listener import Listener
from ingester_app.schema import DeadLetter, FrameMessage
from lco_ingester.frame import path_of
from lco_ingester.metrics import Metrics
from lco_ingester.services import Services
from tests.simulation import clock
from tests.simulation.external_services import App, Archive, Publisher, Store
from tests.simulation.files import SITES_EXTENSION
from tests.simulation.process import Call, Run
from tests.simulation.reading import SimulatedFile
from tests.simulation.world import World
from tests.support.synthetic import checks, rules

RULES = rules()
CHECKS = checks(archive_extensions=(".fits", SITES_EXTENSION))


def retry(run: Run, world: World, again: FrameMessage, seconds: int) -> None:
    """The message's next try."""
    dispatch(cast(Any, App(run, world)), again.to_message(), path_of(again.frame), countdown=seconds)


def bury(run: Run, world: World, letter: DeadLetter) -> None:
    """A dead letter."""
    run.call(Call("bury"), lambda _: world.broker.put_letter(letter), fails=OperationalError)


def worker(run: Run, world: World) -> None:
    """`tasks.ingest`: one delivery, acknowledged late."""
    message = run.process.hand
    frame_message = FrameMessage.from_message(json.loads(message.body))
    services = Services(
        cast(Any, Store(run, world)),
        cast(Any, Archive(run, world)),
        cast(Any, Publisher(run, world)),
        Metrics.off(),
    )
    context = TaskContext(
        services=lambda: services,
        rules=RULES,
        checks=CHECKS,
        file_at=lambda path: cast(Any, SimulatedFile(path, run, world.files, world.is_changing, world.look)),
        retry_policies=world.scenario.retry_policies,
        retry=lambda again, seconds: retry(run, world, again, seconds),
        bury=lambda letter: bury(run, world, letter),
        worker=run.process.name,
        now=lambda: run.call(Call("now"), lambda _: world.now, pauses=False),
        jitter=clock.jitter,
    )
    try:
        ingest(frame_message, message.redelivered, context)
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
    """The real listener, without its wait before it gives a name back, and without its connection."""

    _producer = None

    def _pause(self, seconds: float = 0) -> None:
        """The virtual clock stands still."""


class _NothingIgnored:
    ignored_chars = ()

    def secrets(self) -> tuple[str, ...]:
        return ()


def listener(run: Run, world: World) -> None:
    """`listener.py`: one name."""
    _Listener(cast(Any, None), cast(Any, App(run, world)), cast(Any, _NothingIgnored())).on_message(_Name(run, world))


class _Letter:
    """A letter that the operator holds."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def ack(self) -> None:
        self._run.call(Call("ack"), lambda _: None)


def operator(run: Run, world: World) -> None:
    """`ingester letters replay`: one letter. If it cannot be replayed it goes back."""
    message = run.process.hand
    checked_out = dead_letter_queue.CheckedOutLetter(read_letter(message.body, {}, {}), _Letter(run).ack)
    try:
        list(dead_letter_queue.replay(cast(Any, App(run, world)), [checked_out]))
    except OperationalError:
        run.call(Call("give back"), lambda _: world.broker.give_back_letter(message))


BODIES = {"listener": listener, "operator": operator, "worker": worker}
"""By the name of the process; workers a, b, … are worker."""
