"""Checks whether a state of the world keeps the promise."""

from ingester_app.schema import DeadLetter
from lco_ingester import exceptions
from lco_ingester.exceptions import FailureKind
from tests.simulation import clock
from tests.simulation.broker import Announcement
from tests.simulation.files import basename_of
from tests.simulation.world import World

KINDS = {leaf.reason: leaf.failure_kind for leaf in vars(exceptions).values() if hasattr(leaf, "failure_kind")}
"""The kind of failure behind each reason, as it is before a test changes it."""
KINDS["DELIVERY_LIMIT"] = FailureKind.FRAME


def broken(world: World) -> str | None:
    """Why this state breaks the promise; None if it keeps it.

    At any time: what is announced is the archive's own version, and S3 has its bytes; a dead letter has one of the
    scenario's reasons, and none comes before its time; an md5 has one version and a basename one frame. At rest also:
    each name ended correctly.
    """
    if world.observer.wrong_announcements:
        return f"announced what is not in the archive: {world.observer.wrong_announcements[0]}"
    letters = world.broker.read_letters()
    for letter in letters:
        if letter.reason not in world.scenario.reasons:
            return f"a dead letter {letter.reason} in step {letter.step} for {letter.path}"
        policy = world.scenario.retry_policies.get(KINDS[letter.reason])
        if policy is not None and world.now < clock.START + policy.total:
            return f"{letter.path} was given up too early: {letter.reason} in step {letter.step}"
    rows, frames = world.archive.rows, world.archive.frames
    if len({row.md5 for row in rows}) < len(rows) or len({frame.basename for frame in frames}) < len(frames):
        return "something is in the archive twice"
    if not all(row.by_other or world.store.holds(row.key, row.md5, row.filename) for row in rows):
        return "the archive knows a version that is another in S3: other bytes, or another file's"
    if not world.is_at_rest:
        return None
    ends = (_wrong_end(world, path, letters) for path in dict.fromkeys(world.scenario.names))
    return next((end for end in ends if end), None) or _too_much_said(world, letters)


def _wrong_end(world: World, path: str, letters: list[DeadLetter]) -> str | None:
    """A name means the bytes it had at the last look: they must be archived and announced, or in a letter."""
    md5 = world.files.meant(path)
    if any(letter.path == path and letter.md5 in (None, md5) for letter in letters):
        return None
    basename = basename_of(path)
    row = world.archive.version(md5) if md5 else None
    if row is None or row.basename != basename:
        return f"{path} is neither archived with the bytes it was last seen with nor in a dead letter"
    if not row.by_other and Announcement.rightful(row) not in world.broker.announced:
        return f"{path} is archived, but neither announced nor in a dead letter"
    [frame] = [frame for frame in world.archive.frames if frame.basename == basename]
    # A file that went back to bytes that are archived: no API can make the archive show their record again.
    if frame.shows != md5 and basename in world.observer.outdated - world.observer.open_window:
        return f"{path}: the archive shows the record of an older version"
    return None


def _too_much_said(world: World, letters: list[DeadLetter]) -> str | None:
    """More letters or announcements than the faults explain."""
    used = world.scenario.faults - world.faults
    if len(letters) > len(world.scenario.names) + used:
        return "more dead letters than names and faults"
    if (
        used == 0
        and not world.scenario.events
        and any((row := world.archive.version(said.md5)) and row.by_other for said in world.broker.announced)
    ):
        return "a first delivery announced what someone else had archived"
    return None
