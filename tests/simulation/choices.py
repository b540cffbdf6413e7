"""The choices in a world: all that is possible next."""

from tests.simulation.process import Process
from tests.simulation.world import World

READS = frozenset(("has_version", "find_frame", "head"))
WRITES = frozenset(("put", "post", "announce", "publish", "bury"))
PRIVATE = frozenset(("ack", "give back", "announce", "bury"))


def choices(world: World, *, saves_time: bool = True) -> list[str]:
    """All that is possible next; what costs a fault comes last.

    If a process is before a call that no other process can notice or prevent, only its choices count: the others can
    as well act after it. And a kill is a choice only after a call that changed something: otherwise it equals the
    kill before that call. Both only save time (`test_promise.py`).
    """
    private = [each for each in world.processes if each.pending and each.pending.name in PRIVATE]
    alone = private[:1] if saves_time else []
    plain: list[str] = []
    faults: list[str] = []
    for process in alone or world.processes:
        own, own_faults = _of(process, world, saves_time)
        plain += own
        faults += own_faults
    if not alone:
        plain += ["wait"] if world.broker.delayed else []
        plain += [f"file {world.events}"] if world.is_changing else []
        is_replaying = any(process.name == "operator" for process in world.processes)
        plain += ["replay"] if world.replays and world.broker.letters and not is_replaying else []
    return plain + (faults if world.faults else [])


def _of(process: Process, world: World, saves_time: bool) -> tuple[list[str], list[str]]:
    """The choices of one process: without a fault, and with one."""
    call = process.pending
    if call is None:
        return [], []
    step = f"{process.name}:{call.name}"
    stale = call.name in READS and world.archive.may_lag(call.name, call.about, world.now)
    faults = [f"{step}!error"] if call.name in READS | WRITES else []
    faults += [f"{step}!lost"] if call.name in WRITES else []
    faults += [f"{step}!killed"] if process.may_matter_dead or not saves_time else []
    return [step] + [f"{step}?stale"] * stale, faults
