"""One run: a site on private brokers, in which everything fails at times, and its report."""

import time
from collections.abc import Callable
from pathlib import Path

from ingester_app.broker import celery_connection, queue_length
from ingester_demo.sample_frames import SampleFrame
from tests.faults import plan
from tests.faults.environment import Environment, running_environment
from tests.faults.external_services import stored_versions
from tests.faults.logged_events import by_frame, read_events, write_by_frame
from tests.faults.names import NamesThread, make_files
from tests.faults.plan import Plan, PlannedFault
from tests.faults.report import Evidence, Report, make_report
from tests.support.rabbitmq import RabbitNode
from tests.support.service import Deployment

SETTLE_SECONDS = 5.0  # a quorum queue whose node is killed right after its declaration stays without a leader
QUIET_SECONDS = 8.0  # without a line in any log
GIVE_UP_SECONDS = 60.0  # without progress


def run(
    directory: Path, the_plan: Plan, files: int, workers: int, two_brokers: bool, say: Callable[[str], None] = print
) -> Report:
    """Follow the plan, end all faults, wait until nothing moves, and make the report."""
    frames = make_files(directory / "files", files)
    with running_environment(directory, the_plan.seed, workers, two_brokers, say) as environment:
        environment.supervisor.wait_until_ready()
        time.sleep(SETTLE_SECONDS)
        environment.api.start_faults()
        environment.store.start_faults()
        names = NamesThread(environment.site.settings, frames, the_plan.names)
        names.start()
        try:
            _follow(the_plan, environment)
            environment.say("the plan has ended: all faults end")
            _end_all_faults(environment)
            _wait_for_names(names, environment)
        finally:
            names.ended.set()
        _drain(environment, sum(frame.good for frame in frames))
        not_ended = environment.supervisor.end()
        return make_report(_gathered(environment, frames, names, not_ended))


def _follow(the_plan: Plan, environment: Environment) -> None:
    """Inject each fault at its time, or as soon after it as possible."""
    begin = time.monotonic()
    waiting = list(the_plan.faults)
    while (now := time.monotonic() - begin) < the_plan.length or (waiting and now < the_plan.length + GIVE_UP_SECONDS):
        environment.supervisor.restart_ended()
        done = [fault for fault in waiting if fault.at <= now and _inject(fault, environment)]
        for fault in done:
            waiting.remove(fault)
            environment.say(f"{now:6.1f} s  {fault.what}")
        time.sleep(0.05)
    for fault in waiting:
        environment.say(f"could not be injected: {fault}")


def _inject(fault: PlannedFault, environment: Environment) -> bool:
    if fault.what in plan.PROCESS_FAULTS:
        return environment.supervisor.do(fault.what, fault.which)
    node = fault.which % len(environment.nodes)
    who = fault.what if fault.what in (plan.S3_DOWN, plan.API_DOWN) else f"broker {node}"
    earlier = environment.busy.get(who)
    if earlier is not None:
        if not earlier.done():
            return False
        earlier.result()
    environment.busy[who] = environment.helpers.submit(_outage, fault, environment, environment.nodes[node])
    environment.kills[f"{fault.what} {fault.seconds:.0f} s" if fault.seconds >= 30 else fault.what] += 1
    return True


def _outage(fault: PlannedFault, environment: Environment, node: RabbitNode) -> None:
    begin, end = {
        plan.KILL_BROKER: (node.kill, node.start),
        plan.STOP_BROKER: (node.stop, node.start),
        plan.FREEZE_BROKER: (node.freeze, node.thaw),
        plan.S3_DOWN: (environment.store.start_outage, environment.store.start_faults),
        plan.API_DOWN: (environment.api.kill, environment.api.restart),
    }[fault.what]
    begin()
    try:
        time.sleep(fault.seconds)
    finally:
        end()
    if fault.what in plan.BROKER_RESTARTS:
        time.sleep(SETTLE_SECONDS)


def _end_all_faults(environment: Environment) -> None:
    for outage in environment.busy.values():
        while not outage.done():
            environment.supervisor.restart_ended()
            time.sleep(0.05)
        outage.result()
    environment.api.stop_faults()
    environment.store.stop_faults()


def _wait_for_names(names: NamesThread, environment: Environment) -> None:
    deadline = time.monotonic() + GIVE_UP_SECONDS
    while names.is_alive() and time.monotonic() < deadline:
        environment.supervisor.restart_ended()
        time.sleep(0.1)
    if not names.all_confirmed:
        raise RuntimeError("the run is void: not all names could be published")


def _drain(environment: Environment, good: int) -> None:
    """Wait until all is announced and no process logs anything more; or no process has logged anything for long."""
    logged, since = -1, time.monotonic()
    deadline = time.monotonic() + 5 * GIVE_UP_SECONDS
    while time.monotonic() < deadline:
        environment.supervisor.restart_ended()
        size = sum(program.log.stat().st_size for program in environment.site.programs)
        if size != logged:
            logged, since = size, time.monotonic()
        silent = time.monotonic() - since
        if silent > GIVE_UP_SECONDS:
            environment.say("no process makes progress any more")
            return
        if silent > QUIET_SECONDS and len({identity for identity, _ in environment.site.take_announced()}) >= good:
            return
        time.sleep(0.5)


def _gathered(
    environment: Environment, frames: list[SampleFrame], names: NamesThread, not_ended: list[str]
) -> Evidence:
    events = by_frame(read_events(program.log for program in environment.site.programs))
    write_by_frame(events, environment.directory / "frames")
    return Evidence(
        published=frames,
        publications=names.publications,
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
        not_ended=not_ended,
    )


def _left_over(site: Deployment) -> dict[str, int]:
    """What still waits now that no process holds a message."""
    waiting = {"names": site.names_waiting(), "frames": site.frames_waiting()}
    with celery_connection(site.settings) as connection:
        waiting["delays"] = sum(queue_length(connection, f"celery_delayed_{number}") for number in range(28))
    return waiting
