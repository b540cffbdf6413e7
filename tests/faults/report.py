"""The report of a run: what was published, what the result is, and the verdict."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ingester_app.schema import DeadLetter
from ingester_demo.sample_frames import SampleFrame
from tests.faults.logged_events import Event
from tests.faults.names import Publications

SHOWN = 30  # of the faults that were found


@dataclass(frozen=True)
class StoredVersion:
    """One version in the bucket; `etag` is the md5 of its bytes."""

    key: str
    version_id: str
    etag: str


@dataclass(frozen=True)
class Evidence:
    """All that is known when a run is over."""

    published: Sequence[SampleFrame]
    publications: Publications
    frames: Sequence[dict[str, Any]]
    announced: Sequence[tuple[str, dict[str, Any]]]
    letters: Sequence[DeadLetter]
    versions: Sequence[StoredVersion]
    events: Mapping[str, Sequence[Event]]
    left_over: Mapping[str, int]
    injected: Mapping[str, Mapping[str, int]]
    kills: Mapping[str, int]
    starts: Mapping[str, int]
    exits: Mapping[str, int]
    not_ended: Sequence[str] = ()


@dataclass(frozen=True)
class Report:
    """The lines to print, and what is wrong."""

    lines: list[str]
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        verdict = ["VERDICT: nothing lost, nothing twice"]
        if self.wrong:
            verdict = [f"VERDICT: WRONG in {len(self.wrong)} ways", *self.wrong[:SHOWN]]
        return "\n".join([*self.lines, *verdict])


def make_report(evidence: Evidence) -> Report:
    """Count everything and decide what is wrong."""
    good = {frame.path.name: md5(frame.path) for frame in evidence.published if frame.good}
    bad = {frame.path.name: frame.reason for frame in evidence.published if not frame.good}
    wrong = [
        *_wrong_frames(evidence, good),
        *_wrong_letters(evidence, bad),
        *_wrong_versions(evidence, good),
        *(f"{number} messages left over in {queue}" for queue, number in evidence.left_over.items() if number),
        *(f"{name} did not end on SIGTERM" for name in evidence.not_ended),
    ]
    return Report(_lines(evidence, good, bad), wrong)


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def runs_of(evidence: Evidence, name: str) -> list[Event]:
    """The runs of a frame's messages."""
    return [event for event in evidence.events.get(name, ()) if event.get("event") == "run begins"]


def _wrong_frames(evidence: Evidence, good: dict[str, str]) -> list[str]:
    wrong = []
    versions = [(version["md5"], frame) for frame in evidence.frames for version in frame["version_set"]]
    archived = dict(versions)
    announced = dict(evidence.announced)
    for name, digest in good.items():
        frame, record = archived.get(digest), announced.get(digest)
        if frame is None:
            wrong.append(f"{name} is not archived")
        elif record is None:
            wrong.append(f"{name} is archived but was not announced")
        elif (record["frameid"], record["version_set"][0]["key"]) != (frame["id"], frame["version_set"][0]["key"]):
            wrong.append(f"{name} was announced with another frame or version than the archive's")
    wrong += [f"{name} is archived {n} times" for name, n in _several(frame["basename"] for frame in evidence.frames)]
    wrong += [f"md5 {digest} is archived {n} times" for digest, n in _several(digest for digest, _ in versions)]
    wrong += [f"an unknown md5 {digest} is archived" for digest in archived if digest not in good.values()]
    return wrong


def _wrong_letters(evidence: Evidence, bad: dict[str, str | None]) -> list[str]:
    reasons: dict[str, set[str]] = {}
    for letter in evidence.letters:
        reasons.setdefault(Path(letter.path).name, set()).add(letter.reason)
    wrong = [f"{name} should be a dead letter {why} but is {reasons.get(name)}" for name, why in bad.items()
             if reasons.get(name) != {why}]  # fmt: skip
    return wrong + [
        f"{name} is an unexplained dead letter: {found}" for name, found in reasons.items() if name not in bad
    ]


def _wrong_versions(evidence: Evidence, good: dict[str, str]) -> list[str]:
    wrong = []
    stored = {version.version_id.replace("-", ""): version for version in evidence.versions}
    for frame in evidence.frames:
        for version in frame["version_set"]:
            found = stored.get(version["key"])
            if found is None or found.etag != version["md5"]:
                wrong.append(f"{frame['basename']}: the archive's version {version['key']} holds {found}")
    puts = Counter(Path(version.key).name for version in evidence.versions)
    for name in good:
        runs = len(runs_of(evidence, name))
        if puts[name] > runs:
            wrong.append(f"{name}: {puts[name]} versions in S3 from {runs} runs")
    extra = sum(puts.values()) - len(puts)
    explained = sum(_repetitions(evidence).values())
    if extra > explained:
        wrong.append(f"{extra} extra versions in S3, more than {explained} repetitions explain")
    return wrong


def _repetitions(evidence: Evidence) -> Counter[str]:
    counts: Counter[str] = Counter()
    for name in evidence.events:
        runs = runs_of(evidence, name)
        counts["redeliveries"] += sum(bool(run["redelivered"]) for run in runs)
        counts["retries"] += sum(run["attempts"] > 0 for run in runs)
        counts["repeated dispatches"] += max(0, len({run["task_id"] for run in runs}) - 1)
    return counts


def _several(things: Any) -> list[tuple[str, int]]:
    return [(thing, number) for thing, number in Counter(things).items() if number > 1]


def _lines(evidence: Evidence, good: dict[str, str], bad: dict[str, str | None]) -> list[str]:
    sent = evidence.publications
    identities = Counter(identity for identity, _ in evidence.announced)
    versions = Counter(Counter(version.key for version in evidence.versions).values())
    outcomes = Counter(
        str(event["event"])
        for events in evidence.events.values()
        for event in events
        if event.get("event") in ("archived", "archived already")
    )
    retries = Counter(
        str(event.get("reason")) for events in evidence.events.values() for event in events if event.get("retry_in")
    )
    return [
        f"names published       {len(good)} good, {len(bad)} bad; {sent.confirmed} confirmed publications: "
        f"{sent.on_purpose} repeated on purpose, {sent.unconfirmed} sent again because no confirm came",
        f"frames archived       {len(evidence.frames)}, "
        f"with {sum(len(frame['version_set']) for frame in evidence.frames)} versions",
        f"processed messages    {len(identities)} distinct, {len(evidence.announced) - len(identities)} repeated",
        f"results of runs       {_counts(outcomes)}",
        f"dead letters          {_counts(Counter(letter.reason for letter in evidence.letters))}; "
        f"{len({letter.path for letter in evidence.letters})} distinct files",
        f"S3 versions a key     {_counts({f'{n} version(s)': keys for n, keys in sorted(versions.items())})}; "
        f"{sum((n - 1) * keys for n, keys in versions.items())} extra",
        f"repetitions           {_counts(_repetitions(evidence))}",
        f"retries by reason     {_counts(retries)}",
        f"kills and stops       {_counts(evidence.kills)}",
        f"processes started     {_counts(evidence.starts)}",
        f"other exits           {_counts(evidence.exits)}",
        *(f"injected by {server:<10}{_counts(counts)}" for server, counts in evidence.injected.items()),
        f"left in the queues    {sum(evidence.left_over.values())}",
    ]


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{number} × {what}" for what, number in counts.items() if number) or "none"
