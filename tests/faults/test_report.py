"""The report's verdict finds each kind of fault: a verdict that is never bad would prove nothing."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ingester_app.schema import DeadLetter
from ingester_demo.sample_frames import SampleFrame
from tests.faults.names import Publications
from tests.faults.report import Evidence, StoredVersion, make_report, md5

Change = Callable[[Evidence], Evidence]


@pytest.fixture
def evidence(tmp_path: Path) -> Evidence:
    """One good file, archived and announced once, and one bad file, a letter."""
    good, bad = tmp_path / "good.fits", tmp_path / "bad.fits"
    good.write_bytes(b"good")
    bad.write_bytes(b"bad")
    version = {"key": "v1", "md5": md5(good)}
    return Evidence(
        published=[SampleFrame(good, "raw", True, None), SampleFrame(bad, "raw", False, "HEADER_MISSING")],
        publications=Publications(confirmed=2),
        frames=[{"id": 1, "basename": "good", "version_set": [version]}],
        announced=[(md5(good), {"frameid": 1, "version_set": [version]})],
        letters=[_letter(bad, "HEADER_MISSING")],
        versions=[StoredVersion("raw/good.fits", "v-1", md5(good))],
        events={"good.fits": [_run(0, False)]},
        left_over={"names": 0},
        injected={},
        kills={},
        starts={},
        exits={},
    )


def _letter(path: Path, reason: str) -> DeadLetter:
    return DeadLetter("id", str(path), path.stem, None, "validate", reason, "", "", "", 1, 0.0, 0.0, "", None)


def _run(attempts: int, redelivered: bool) -> dict[str, Any]:
    return {"event": "run begins", "attempts": attempts, "redelivered": redelivered, "task_id": "t"}


def _second_version(evidence: Evidence) -> Evidence:
    [version] = evidence.versions
    return replace(evidence, versions=[version, replace(version, version_id="v-2")])


def test_a_run_without_loss_or_doubling_is_good(evidence: Evidence) -> None:
    assert make_report(evidence).wrong == []


def test_a_second_version_after_a_second_run_is_explained(evidence: Evidence) -> None:
    runs = {"good.fits": [_run(0, False), _run(0, True)]}
    assert make_report(replace(_second_version(evidence), events=runs)).wrong == []


BROKEN: dict[str, tuple[Change, str]] = {
    "lost": (lambda e: replace(e, frames=[], versions=[]), "good.fits is not archived"),
    "silent": (lambda e: replace(e, announced=[]), "was not announced"),
    "two frames": (lambda e: replace(e, frames=[*e.frames, *e.frames]), "good is archived 2 times"),
    "another id": (lambda e: replace(e, frames=[{**e.frames[0], "id": 2}]), "another frame or version"),
    "no letter": (lambda e: replace(e, letters=[]), "should be a dead letter"),
    "wrong letter": (
        lambda e: replace(e, letters=[replace(e.letters[0], reason="NOT_FITS")]),
        "should be a dead letter",
    ),
    "a letter more": (
        lambda e: replace(e, letters=[*e.letters, _letter(e.published[0].path, "PROGRAM_ERROR")]),
        "unexplained dead letter",
    ),
    "other bytes": (lambda e: replace(e, versions=[replace(e.versions[0], etag="0")]), "the archive's version v1"),
    "put twice": (_second_version, "2 versions in S3 from 1 runs"),
    "left over": (lambda e: replace(e, left_over={"names": 3}), "3 messages left over in names"),
    "not ended": (lambda e: replace(e, not_ended=["listener"]), "did not end on SIGTERM"),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_what_went_wrong_is_found(evidence: Evidence, broken: str) -> None:
    change, said = BROKEN[broken]
    assert any(said in line for line in make_report(change(evidence)).wrong)
