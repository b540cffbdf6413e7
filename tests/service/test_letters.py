"""The command `ingester`: dead letters are listed, replayed and discarded, none is lost; health says what is wrong."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ingester_app.dead_letter_queue import Selection, checked_out, replay
from ingester_app.schema import DeadLetter
from tests.support.processes import wait_until
from tests.support.servers import ArchiveServer
from tests.support.service import ROOT, Deployment


def ingester(site: Deployment, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """The command as an operator runs it at this site."""
    return subprocess.run(
        [sys.executable, "-m", "ingester_app.cli", *arguments],
        cwd=ROOT,
        env=site.environment(**variables),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.fixture
def buried(site: Deployment, tmp_path: Path, good: list[Path]) -> tuple[Path, Path]:
    """A truncated frame and one that is missing, both dead letters; the worker and the listener go on."""
    truncated, missing = tmp_path / good[0].name, tmp_path / "later" / good[1].name
    truncated.write_bytes(good[0].read_bytes()[:9000])
    site.start_worker(concurrency=1)
    site.start_listener()
    site.publish(truncated, missing)
    site.wait_for_letters(2)
    return truncated, missing


def test_letters_are_listed_shown_and_exported_and_stay_where_they_are(
    site: Deployment, buried: tuple[Path, Path]
) -> None:
    truncated, missing = buried
    listed = ingester(site, "letters", "list")
    assert listed.returncode == 0
    assert {line.split()[4] for line in listed.stdout.splitlines()} == {"FITS_TRUNCATED", "FILE_MISSING"}
    only = ingester(site, "letters", "list", "--reason", "FILE_MISSING", "--step", "validate", "--newer-than", "1h")
    [line] = only.stdout.splitlines()
    assert line.endswith(str(missing))
    shown = ingester(site, "letters", "show", line.split()[0])
    assert "FileMissingError" in shown.stdout
    assert "Traceback" in shown.stdout
    assert "attempts:" in shown.stdout
    exported = [json.loads(row) for row in ingester(site, "letters", "export").stdout.splitlines()]
    assert {each["path"] for each in exported} == {str(truncated), str(missing)}
    assert ingester(site, "letters", "list", "--older-than", "1h").stdout == ""
    assert len(site.letters()) == 2


def test_a_replayed_letter_goes_on_and_leaves_the_queue_and_one_that_fails_again_writes_a_new_one(
    site: Deployment, buried: tuple[Path, Path], good: list[Path], archive: ArchiveServer
) -> None:
    truncated, missing = buried
    truncated.write_bytes(good[0].read_bytes())
    dry = ingester(site, "letters", "replay", "--all", "--dry-run")
    assert dry.stdout.count("would be replayed") == 2
    assert len(site.letters()) == 2
    assert ingester(site, "letters", "replay", "--all").returncode == 0
    wait_until("the corrected frame", lambda: site.take_announced())
    wait_until("the other's new letter", lambda: [x for x in site.letters() if x.attempts > 3])
    [letter] = site.letters()
    assert letter.path == str(missing)
    assert [frame["basename"] for frame in archive.frames()] == [truncated.name.partition(".")[0]]


def test_a_dry_run_says_what_a_replay_would_do_also_of_a_letter_that_names_no_file(site: Deployment) -> None:
    site.start_listener()
    site.publish({"nothing": "here"})
    site.wait_for_letters(1)
    for options in (("--dry-run",), ()):
        told = ingester(site, "letters", "replay", "--all", *options)
        assert "cannot be replayed: it does not name a file: MESSAGE_UNREADABLE" in told.stdout
        assert told.returncode == 1
    assert len(site.letters()) == 1


def test_a_replay_resumes_at_the_step_that_failed(site: Deployment, good: list[Path], archive: ArchiveServer) -> None:
    site.variables.update(RETRY_SERVER_PATIENCE="2", BREAKER_FAILURES="1000")
    worker = site.start_worker(concurrency=1)
    site.start_listener()
    archive.faults(kind="error", method="POST", every=1)
    site.publish(good[0])
    [letter] = site.wait_for_letters(1)
    assert (letter.step, letter.reason) == ("post", "ARCHIVE_FAILED")
    assert letter.message is not None
    assert letter.message["frame"]["state"] == "uploaded"
    archive.clear_faults()
    assert ingester(site, "letters", "replay", "--step", "post").returncode == 0
    [(_, record)] = wait_until("the announcement", lambda: site.take_announced())
    assert record["version_set"][0]["key"] == letter.message["frame"]["version_id"].replace("-", "")
    assert site.letters() == []
    assert worker.process.poll() is None


def test_letters_are_discarded_only_when_told_which_and_confirmed(site: Deployment, buried: tuple[Path, Path]) -> None:
    assert ingester(site, "letters", "discard").returncode == 2
    assert ingester(site, "letters", "discard", "--all").returncode == 1
    assert len(site.letters()) == 2
    done = ingester(site, "letters", "discard", "--name", buried[1].name, "--yes")
    assert done.returncode == 0
    assert [letter.path for letter in site.letters()] == [str(buried[0])]
    assert ingester(site, "letters", "replay", "no-such-id").returncode == 1


def test_a_replay_that_cannot_be_published_leaves_the_letter_in_the_queue(
    site: Deployment, buried: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from ingester_app import dead_letter_queue as module
    from ingester_app.broker import celery_connection, dead_letter_queue

    def unpublished(*_: object, **__: object) -> None:
        raise OSError("the broker went away")

    monkeypatch.setattr(module, "dispatch", unpublished)
    with (
        pytest.raises(OSError, match="went away"),
        celery_connection(site.settings) as connection,
        checked_out(connection, dead_letter_queue(site.settings)) as letters,
    ):
        list(replay(site.app(), letters))
    assert len(site.letters()) == 2


def test_the_brokers_own_letters_look_like_ours_and_can_be_replayed(site: Deployment, good: list[Path]) -> None:
    """A worker that refuses the task, as one does that lost its child too often, leaves the letter to the broker."""
    site.declare_ingest_queue()
    queue = site.settings.ingest_queue
    site.start_listener()
    site.publish(good[0])
    wait_until("the task", lambda: site.frames_waiting() == 1)
    with site.app().connection_for_read() as connection:
        message = connection.default_channel.basic_get(queue)
        message.channel.basic_reject(message.delivery_tag, requeue=False)
    [letter] = site.wait_for_letters(1)
    assert letter.path == str(good[0])
    assert letter.step == "worker"
    assert queue in letter.text
    assert letter.last_time > 0
    again = site.letters()
    assert [each.id for each in again] == [letter.id]
    assert ingester(site, "letters", "replay", letter.id[:8]).returncode == 0
    site.start_worker(concurrency=1)
    site.wait_for_announced(1)


def test_the_health_names_what_is_wrong(site: Deployment) -> None:
    asleep = ingester(site, "health")
    assert asleep.returncode == 1
    assert "BAD  FITS broker" in asleep.stdout
    assert "BAD  workers" in asleep.stdout
    site.start_worker(concurrency=1)
    site.start_listener()
    well = ingester(site, "health")
    assert well.returncode == 0, well.stdout + well.stderr
    assert "BAD" not in well.stdout
    wrong = ingester(site, "health", BUCKET="no-such-bucket", AUTH_TOKEN="mistyped", FITS_BROKER="amqp://127.0.0.1:1//")
    assert wrong.returncode == 1
    for what in ("FITS broker", "S3", "Archive API"):
        assert f"BAD  {what}" in wrong.stdout
    assert "mistyped" not in wrong.stdout + wrong.stderr


def letter(**fields: object) -> DeadLetter:
    known = dict.fromkeys(DeadLetter.__dataclass_fields__, "") | {"last_time": 100.0} | fields
    return DeadLetter(**known)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("selection", "fits"),
    [
        (Selection(), True),
        (Selection(ids=("ab",)), True),
        (Selection(ids=("b",)), False),
        (Selection(steps=("post", "validate")), True),
        (Selection(reasons=("OTHER",)), False),
        (Selection(name="*-e00.fits"), True),
        (Selection(name="e91.fits"), False),
        (Selection(older_than=50.0), True),
        (Selection(older_than=150.0), False),
        (Selection(newer_than=150.0, steps=("post",)), True),
    ],
)
def test_a_selection_takes_what_fits_everything_given(selection: Selection, fits: bool) -> None:
    one = letter(id="abc", step="post", reason="ARCHIVE_REFUSED", path="/data/x-e00.fits")
    assert selection.fits(one, now=200.0) is fits
