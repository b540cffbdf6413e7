"""One run: a site on private brokers, with everything that can fail failing, and its report."""

import time
from collections.abc import Callable
from pathlib import Path

from ingester_app.broker import celery_connection, queue_length
from ingester_demo.sample_frames import SampleFrame
from tests.faults import plan
from tests.faults.environment import Environment, on_stage
from tests.faults.external_services import stored_versions
from tests.faults.logged_events import by_frame, read_events, write_by_frame
from tests.faults.names import NamesThread, make_files
from tests.faults.plan import Deed, Plan
from tests.faults.report import Evidence, Report, make_ledger
from tests.support.rabbitmq import RabbitNode
from tests.support.service import Deployment

SETTLING = 5.0  # seconds: a quorum queue whose node is killed right after its declaration stays without a leader
QUIET = 8.0  # seconds without a word logged
HOPELESS = 60.0


def run(
    directory: Path, the_plan: Plan, files: int, workers: int, two_brokers: bool, say: Callable[[str], None] = print
) -> Report:
    """Follow the plan, heal everything, wait until it is quiet, and count."""
    frames = make_files(directory / "files", files)
    with on_stage(directory, the_plan.seed, workers, two_brokers, say) as environment:
        environment.supervisor.wait_until_ready()
        time.sleep(SETTLING)
        environment.api.be_flaky()
        environment.store.be_flaky()
        names = NamesThread(environment.site.settings, frames, the_plan.names)
        names.start()
        try:
            _follow(the_plan, environment)
            environment.say("the plan has ended: everything is healed")
            _heal(environment)
            _wait_for_names(names, environment)
        finally:
            names.ended.set()
        _drain(environment, sum(frame.good for frame in frames))
        deaf = environment.supervisor.end()
        return make_ledger(_gathered(environment, frames, names, deaf))


def _follow(the_plan: Plan, environment: Environment) -> None:
    """Do each deed at its time, or as soon after it as it can be done."""
    begin = time.monotonic()
    to_do = list(the_plan.deeds)
    while (now := time.monotonic() - begin) < the_plan.length or (to_do and now < the_plan.length + HOPELESS):
        environment.supervisor.keep()
        done = [deed for deed in to_do if deed.at <= now and _do(deed, environment)]
        for deed in done:
            to_do.remove(deed)
            environment.say(f"{now:6.1f} s  {deed.what}")
        time.sleep(0.05)
    for deed in to_do:
        environment.say(f"could not be done: {deed}")


def _do(deed: Deed, environment: Environment) -> bool:
    if deed.what in plan.QUICK:
        return environment.supervisor.do(deed.what, deed.which)
    node = deed.which % len(environment.nodes)
    who = deed.what if deed.what in (plan.S3_DOWN, plan.API_DOWN) else f"broker {node}"
    earlier = environment.busy.get(who)
    if earlier is not None:
        if not earlier.done():
            return False
        earlier.result()
    environment.busy[who] = environment.helpers.submit(_last, deed, environment, environment.nodes[node])
    environment.kills[f"{deed.what} {deed.seconds:.0f} s" if deed.seconds >= 30 else deed.what] += 1
    return True


def _last(deed: Deed, environment: Environment, node: RabbitNode) -> None:
    begin, end = {
        plan.KILL_BROKER: (node.kill, node.start),
        plan.STOP_BROKER: (node.stop, node.start),
        plan.FREEZE_BROKER: (node.freeze, node.thaw),
        plan.S3_DOWN: (environment.store.be_away, environment.store.be_flaky),
        plan.API_DOWN: (environment.api.kill, environment.api.restart),
    }[deed.what]
    begin()
    try:
        time.sleep(deed.seconds)
    finally:
        end()
    if deed.what in plan.BROKER_RESTARTS:
        time.sleep(SETTLING)


def _heal(environment: Environment) -> None:
    for outage in environment.busy.values():
        while not outage.done():
            environment.supervisor.keep()
            time.sleep(0.05)
        outage.result()
    environment.api.be_healthy()
    environment.store.be_healthy()


def _wait_for_names(names: NamesThread, environment: Environment) -> None:
    deadline = time.monotonic() + HOPELESS
    while names.is_alive() and time.monotonic() < deadline:
        environment.supervisor.keep()
        time.sleep(0.1)
    if not names.all_confirmed:
        raise RuntimeError("the run is void: not all names could be published")


def _drain(environment: Environment, good: int) -> None:
    """Wait until all is announced and nobody says anything more; or nobody has said anything for long."""
    logged, since = -1, time.monotonic()
    deadline = time.monotonic() + 5 * HOPELESS
    while time.monotonic() < deadline:
        environment.supervisor.keep()
        size = sum(program.log.stat().st_size for program in environment.site.programs)
        if size != logged:
            logged, since = size, time.monotonic()
        silent = time.monotonic() - since
        if silent > HOPELESS:
            environment.say("nothing moves any more")
            return
        if silent > QUIET and len({identity for identity, _ in environment.site.take_announced()}) >= good:
            return
        time.sleep(0.5)


def _gathered(environment: Environment, frames: list[SampleFrame], names: NamesThread, deaf: list[str]) -> Evidence:
    events = by_frame(read_events(program.log for program in environment.site.programs))
    write_by_frame(events, environment.directory / "frames")
    return Evidence(
        published=frames,
        publications=names.told,
        frames=environment.api.server.frames(),
        announced=environment.site.take_announced(),
        letters=environment.site.letters(),
        versions=stored_versions(environment.store.server),
        events=events,
        left_over=_left_over(environment.site),
        injected={"S3": environment.store.injected, "Archive": environment.api.injected},
        kills=environment.supervisor.kills + environment.kills,
        starts=environment.supervisor.starts,
        exits=environment.supervisor.exits,
        deaf=deaf,
    )


def _left_over(site: Deployment) -> dict[str, int]:
    """What still waits, now that no process holds a message."""
    waiting = {"names": site.names_waiting(), "frames": site.frames_waiting()}
    with celery_connection(site.settings) as connection:
        waiting["delays"] = sum(queue_length(connection, f"celery_delayed_{number}") for number in range(28))
    return waiting
