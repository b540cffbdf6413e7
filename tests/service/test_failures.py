"""Failures of servers, brokers and processes: nothing is lost, nothing is archived twice."""

import os
import signal
from pathlib import Path

import pytest

from ingester_app.broker import celery_connection, dead_letter_queue
from ingester_app.dead_letter_queue import REPLAYED, checked_out, replay
from tests.support.processes import wait_until
from tests.support.rabbitmq import PROGRAM, RabbitNode, running_rabbitmq
from tests.support.servers import ArchiveServer, S3Server, running_archive
from tests.support.service import LISTENER, WORKER, Deployment, deployed


def archived_once(archive: ArchiveServer, paths: list[Path]) -> None:
    """One frame a basename, one version a file."""
    frames = archive.frames()
    assert sorted(frame["basename"] for frame in frames) == sorted(path.name.partition(".")[0] for path in paths)
    md5s = [version["md5"] for frame in frames for version in frame["version_set"]]
    assert len(md5s) == len(set(md5s)) == len(paths)


@pytest.mark.parametrize("fault", ["error", "cut", "drop_answer"])
@pytest.mark.parametrize("service", ["archive", "store"])
def test_every_frame_gets_through_when_every_second_request_fails(
    site: Deployment, good: list[Path], archive: ArchiveServer, store: S3Server, service: str, fault: str
) -> None:
    server = archive if service == "archive" else store
    site.start_worker()
    site.start_listener()
    server.faults(kind=fault, every=2)
    site.publish(*good[:5])
    site.wait_for_announced(5, seconds=60)
    assert sum(server.clear_faults()["injected"].values()) > 0
    archived_once(archive, good[:5])


def test_a_post_whose_answer_was_lost_is_announced_with_the_frame_that_it_made(
    site: Deployment, good: list[Path], archive: ArchiveServer
) -> None:
    site.start_worker(concurrency=1)
    site.start_listener()
    archive.faults(kind="drop_answer", method="POST", every=1, times=1)
    site.publish(good[0])
    [(_, record)] = site.wait_for_announced(1)
    [frame] = archive.frames()
    assert record["frameid"] == frame["id"]
    assert record["version_set"][0]["key"] == frame["version_set"][0]["key"]


def test_a_wrong_token_costs_no_frame_and_every_frame_is_archived_once_it_is_corrected(
    site: Deployment, good: list[Path], archive: ArchiveServer
) -> None:
    wrong = site.start_worker(AUTH_TOKEN="mistyped")
    site.start_listener()
    site.publish(*good[:3])
    wrong.wait_for("ARCHIVE_DEPLOYMENT")
    wrong.end()
    assert site.letters() == []
    site.start_worker()
    site.wait_for_announced(3)
    archived_once(archive, good[:3])


def test_a_wrong_record_format_costs_no_frame_and_every_frame_is_archived_once_it_is_corrected(
    site: Deployment, good: list[Path], tmp_path: Path
) -> None:
    directory = tmp_path / "nested"
    directory.mkdir()
    with running_archive(directory, record_format="ocs") as nested:
        site.variables.update(API_ROOT=nested.url, AUTH_TOKEN=nested.token)
        wrong = site.start_worker(concurrency=1)
        site.start_listener()
        site.publish(*good[:3])
        wrong.wait_for("Set ARCHIVE_RECORD_FORMAT=ocs")
        wrong.kill()
        assert site.letters() == []
        corrected = site.start_worker(ARCHIVE_RECORD_FORMAT="ocs")
        site.wait_for_announced(3)
        assert "the settings have changed" in corrected.logged()
        archived_once(nested, good[:3])


def test_a_letter_is_replayed_under_the_settings_of_its_replay(
    site: Deployment, good: list[Path], archive: ArchiveServer
) -> None:
    wrong = site.start_worker(concurrency=1, SITE_ID_KEY="SITENAME")
    site.start_listener()
    site.publish(good[0])
    [letter] = site.wait_for_letters(1)
    assert (letter.step, letter.reason) == ("upload", "HEADER_VALUE")
    wrong.kill()
    site.start_worker(concurrency=1)
    with (
        celery_connection(site.settings) as connection,
        checked_out(connection, dead_letter_queue(site.settings)) as letters,
    ):
        assert [what for _, what in replay(site.app(), letters)] == [REPLAYED]
    site.wait_for_announced(1)
    archived_once(archive, good[:1])


def test_a_file_that_comes_late_is_archived(site: Deployment, tmp_path: Path, good: list[Path]) -> None:
    site.start_worker(concurrency=1)
    site.start_listener()
    late = tmp_path / "late" / good[0].name
    site.publish(late)
    wait_until("a first try", lambda: "FILE_MISSING" in site.programs[0].logged())
    late.parent.mkdir()
    late.write_bytes(good[0].read_bytes())
    site.wait_for_announced(1)


def test_a_message_that_is_not_a_task_becomes_a_letter_and_the_worker_lives(site: Deployment, good: list[Path]) -> None:
    worker = site.start_worker(concurrency=1)
    headers = {"task": "ingest", "id": "not-an-id", "lang": "py"}
    queue = site.settings.ingest_queue
    app = site.app()
    with app.producer_or_acquire() as producer:
        send = {"exchange": queue, "routing_key": queue}
        producer.publish(b"\x00\x01", content_type="application/x-nonsense", content_encoding="binary", **send)
        producer.publish(b"no json", content_type="application/json", content_encoding="utf-8", **send)
        producer.publish({"shape": "wrong"}, serializer="json", headers=headers, **send)
        producer.publish([[], {}, {}], serializer="json", headers={**headers, "task": "unknown"}, **send)
        producer.publish([[], {"frame": {"state": "no such"}}, {}], serializer="json", headers=headers, **send)
    letters = site.wait_for_letters(5)
    assert {letter.reason for letter in letters} <= {"MESSAGE_UNREADABLE", "DELIVERY_LIMIT"}
    assert worker.process.poll() is None
    site.start_listener()
    site.publish(good[0])
    wait_until("the frame after them", lambda: site.take_announced())


def test_frames_whose_worker_was_killed_run_again_elsewhere(
    site: Deployment, good: list[Path], archive: ArchiveServer, store: S3Server
) -> None:
    store.faults(kind="slow", seconds=1, every=1)
    first = site.start_worker(concurrency=2)
    site.start_listener()
    site.publish(*good[:4])
    wait_until("frames that the worker holds", lambda: store.fault_state()["requests"] > 0)
    first.kill()
    store.clear_faults()
    site.start_worker(concurrency=2)
    site.wait_for_announced(4)
    archived_once(archive, good[:4])


def test_a_killed_child_of_a_worker_costs_no_frame(
    site: Deployment, good: list[Path], archive: ArchiveServer, store: S3Server
) -> None:
    store.faults(kind="slow", seconds=1, every=1, times=2)
    worker = site.start_worker(concurrency=1)
    site.start_listener()
    site.publish(*good[:2])
    wait_until("a frame that the child holds", lambda: store.fault_state()["requests"] > 0)
    os.kill(worker.children()[0], signal.SIGKILL)
    site.wait_for_announced(2)
    archived_once(archive, good[:2])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_listener_ends_cleanly(site: Deployment, number: signal.Signals) -> None:
    listener = site.start_listener()
    assert listener.end(number, seconds=10) == 0
    assert "stopped" in listener.logged()


def test_a_listener_without_a_broker_waits_and_can_be_stopped(site: Deployment) -> None:
    listener = site.start(*LISTENER, FITS_BROKER="amqp://guest:secret-word@127.0.0.1:1//")
    listener.wait_for("no broker")
    assert listener.process.poll() is None
    assert listener.end(signal.SIGTERM, seconds=10) == 0
    assert "secret-word" not in listener.logged()


def test_names_wait_while_celerys_broker_is_down(site: Deployment, good: list[Path]) -> None:
    site.start_listener().end()
    away = site.start(*LISTENER, BROKER_URL="amqp://guest:guest@127.0.0.1:1//")
    away.wait_for("no broker")
    site.publish(good[0])
    away.end()
    assert site.names_waiting() == 1
    site.start_listener()
    site.start_worker(concurrency=1)
    site.wait_for_announced(1)


@pytest.mark.parametrize("program", ["listener", "worker"])
def test_a_broker_in_memory_is_refused_in_one_line(site: Deployment, program: str) -> None:
    command = LISTENER if program == "listener" else WORKER
    started = site.start(*command, BROKER_URL="memory://localhost", FITS_BROKER="memory://localhost")
    assert started.process.wait(20) == 1
    assert "FITS_BROKER and BROKER_URL" in started.logged()
    assert len(started.logged().strip().splitlines()) == 1


@pytest.mark.parametrize("program", ["listener", "worker"])
def test_wrong_settings_are_all_named_in_one_line_without_their_values(site: Deployment, program: str) -> None:
    command = LISTENER if program == "listener" else WORKER
    started = site.start(*command, BROKER_URL="p4ssw0rd", HARD_TIME_LIMIT="3", LOG_FORMAT="loud")
    assert started.process.wait(20) == 1
    [line] = started.logged().strip().splitlines()
    for name in ("BROKER_URL", "HARD_TIME_LIMIT", "LOG_FORMAT"):
        assert name in line
    assert "p4ssw0rd" not in line


@pytest.mark.parametrize(("right", "wrong"), [("guest:guest@", "guest:p4ssw0rd@"), ("//", "/nowhere")])
@pytest.mark.parametrize("program", ["listener", "worker"])
def test_a_broker_that_refuses_the_login_is_one_line_that_says_what_to_check(
    site: Deployment, program: str, right: str, wrong: str
) -> None:
    command = LISTENER if program == "listener" else WORKER
    before, found, after = site.variables["BROKER_URL"].rpartition(right)
    assert found
    url = before + wrong + after
    started = site.start(*command, BROKER_URL=url, FITS_BROKER=url)
    assert started.process.wait(20) == 1
    *others, line = started.logged().strip().splitlines()  # Celery first warns of the superuser, if it is one
    assert not any("Traceback" in other for other in others)
    assert "Check user, password and virtual host" in line
    assert "p4ssw0rd" not in line


def test_a_queue_that_is_there_with_other_arguments_is_named_with_what_to_do(site: Deployment) -> None:
    from ingester_app.broker import fits_connection

    with fits_connection(site.settings) as connection:
        connection.default_channel.queue_declare(queue=site.settings.fits_queue, durable=True, auto_delete=False)
    listener = site.start(*LISTENER)
    assert listener.process.wait(20) == 1
    [line] = listener.logged().strip().splitlines()
    assert site.settings.fits_queue in line
    assert "x-queue-type" in line
    assert "docs/operating.md" in line


@pytest.mark.skipif(PROGRAM is None, reason="needs the program rabbitmq-server")
def test_listener_and_worker_continue_after_the_broker_was_killed_and_started_again(
    tmp_path: Path, archive: ArchiveServer, store: S3Server, good: list[Path]
) -> None:
    with running_rabbitmq(tmp_path / "node", "killable") as node, _site(tmp_path, node, archive, store) as site:
        listener, worker = site.start_listener(), site.start_worker()
        site.publish(*good[:2])
        site.wait_for_announced(2)
        node.kill()
        listener.wait_for("no broker")
        node.start()
        wait_until("the broker to take names again", lambda: _publishes(site, good[2:5]), seconds=60)
        site.wait_for_announced(5, seconds=60)
        archived_once(archive, good[:5])
        assert listener.process.poll() is None
        assert worker.process.poll() is None


def _site(directory: Path, node: RabbitNode, archive: ArchiveServer, store: S3Server):
    return deployed(directory / "site", node.url, archive, store)


def _publishes(site: Deployment, paths: list[Path]) -> bool:
    try:
        site.publish(*paths)
    except OSError:
        return False
    return True
