"""The promise when brokers, dead letters, deployments or whole processes fail."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kombu import Exchange

from ingester_app.broker import celery_connection, fits_connection
from ingester_demo.sample_frames import make_frames
from tests.faults.hooks import EVERY_TIME, Hook
from tests.faults.killable_site import KillableSite, killable_site
from tests.faults.names import NIGHT
from tests.faults.report import md5
from tests.support.processes import Program, wait_until
from tests.support.rabbitmq import RabbitNode
from tests.support.servers import ArchiveServer, S3Server

pytestmark = pytest.mark.timeout(180)

Make = Callable[[int], list[Path]]


def test_a_frame_that_kills_or_hangs_its_worker_each_time_is_a_letter_and_the_others_are_archived(
    tmp_path: Path, node: RabbitNode, api: ArchiveServer, bucket: S3Server, new_files: Make
) -> None:
    poison, hanging, slow, *innocent = new_files(6)
    hooks = [
        Hook("before:upload", poison.name, ("die",), EVERY_TIME),
        Hook("before:upload", hanging.name, ("hang",), EVERY_TIME),
        Hook("before:upload", slow.name, ("nap",)),
    ]
    limits = {"DELIVERY_LIMIT": "3", "SOFT_TIME_LIMIT": "1", "HARD_TIME_LIMIT": "2"}
    with killable_site(tmp_path, node, api, bucket, hooks, **limits) as site:
        worker = site.start_worker(2)
        site.dispatch(poison, hanging, slow, *innocent)
        letters = site.site.wait_for_letters(2, 90)
        site.wait_for_quiet()
        assert {(letter.path, letter.reason) for letter in letters} == {
            (str(poison), "DELIVERY_LIMIT"),
            (str(hanging), "DELIVERY_LIMIT"),
        }
        for path in (poison, hanging):
            assert site.hooks.times_reached("before:upload", path.name) == 4, "once, and three times more"
            assert site.archived_md5s(path) == []
        for path in (slow, *innocent):
            site.assert_archived_once_and_announced(path)
        assert "TOOK_TOO_LONG" in site.logged(slow)
        assert worker.process.poll() is None


def test_frames_wait_in_the_broker_until_a_wrong_bucket_is_corrected_even_if_workers_die_meanwhile(
    tmp_path: Path, node: RabbitNode, api: ArchiveServer, bucket: S3Server, new_files: Make
) -> None:
    [path] = new_files(1)
    client = bucket.client()
    with killable_site(tmp_path, node, api, bucket, BUCKET="corrected-later") as site:
        worker = site.start_worker(1)
        site.dispatch(path)
        site.wait_until_logged(path, "STORE_DEPLOYMENT")
        worker.kill()
        client.create_bucket(Bucket="corrected-later")
        site.start_worker(1)
        site.wait_until_logged(path, "BUCKET_NOT_VERSIONED")
        client.put_bucket_versioning(Bucket="corrected-later", VersioningConfiguration={"Status": "Enabled"})
        wait_until("its announcement", lambda: site.announced(md5(path)), 60)
        site.assert_archived_once_and_announced(path)
        assert site.site.letters() == []


def test_a_letter_that_cannot_be_written_is_written_when_it_can(
    tmp_path: Path, node: RabbitNode, api: ArchiveServer, bucket: S3Server
) -> None:
    bad = make_frames(tmp_path / "files", 12, NIGHT, pixels=40)[-1]
    assert bad.reason == "HEADER_MISSING"
    with killable_site(tmp_path, node, api, bucket) as site:
        worker = site.start_worker(1, PUT_BACK_AFTER="1")
        worker.wait_for(" ready.", 60)
        name = site.site.settings.dead_letter_queue
        _replace_exchange(site, name, "direct")  # nothing that is sent to it arrives
        site.send(bad.path)
        site.wait_until_logged(bad.path, "run begins")
        wait_until("a second run", lambda: site.logged(bad.path).count("run begins") > 1, 60)
        _replace_exchange(site, name, "fanout")
        [letter] = site.site.wait_for_letters(1, 60)
        assert letter.reason == "HEADER_MISSING"
        site.wait_for_quiet()
        assert len(site.site.letters()) == 1
        assert worker.process.poll() is None


def _replace_exchange(site: KillableSite, name: str, kind: str) -> None:
    with celery_connection(site.site.settings) as connection:
        channel = connection.default_channel
        channel.exchange_delete(name)
        Exchange(name, type=kind, durable=True)(channel).declare()
        if kind == "fanout":
            channel.queue_bind(name, name, "")


@pytest.mark.parametrize("without", ["", "mandatory"])
def test_a_name_is_kept_while_celerys_queue_is_missing_because_its_task_is_mandatory(
    tmp_path: Path, node: RabbitNode, api: ArchiveServer, bucket: S3Server, new_files: Make, without: str
) -> None:
    before, path = new_files(2)
    with killable_site(tmp_path, node, api, bucket, without=without) as site:
        listener = site.start_listener()
        site.site.publish(before)
        wait_until("the name before", lambda: site.site.frames_waiting() == 1)
        with celery_connection(site.site.settings) as connection:
            connection.default_channel.queue_delete(site.site.settings.ingest_queue)
        site.site.publish(path)
        if without:
            site.wait_until_logged(path, "dispatched")
            site.site.declare_ingest_queue()
            assert site.site.names_waiting() == site.site.frames_waiting() == 0, "it is lost"
            return
        listener.wait_for("could not be dispatched and is given back")
        site.start_worker(1)
        wait_until("its announcement", lambda: site.announced(md5(path)), 60)
        site.assert_archived_once_and_announced(path)


def test_queues_of_names_and_letters_never_drop_a_message_that_is_returned_often(
    tmp_path: Path, node: RabbitNode, api: ArchiveServer, bucket: S3Server, new_files: Make
) -> None:
    [path] = new_files(1)
    with killable_site(tmp_path, node, api, bucket) as site:
        listener = site.start_listener()
        site.site.publish(b"[1, 2]", content_type="application/json", content_encoding="utf-8")
        site.site.wait_for_letters(1)
        listener.end()
        site.site.publish(path)
        queues = (
            (fits_connection(site.site.settings), site.site.settings.fits_queue),
            (celery_connection(site.site.settings), site.site.settings.dead_letter_queue),
        )
        for connection, queue in queues:
            with connection:
                for _ in range(30):
                    _take_and_return(connection.default_channel, queue)


def _take_and_return(channel: Any, queue: str) -> None:
    message = wait_until(f"the message of {queue}", lambda: channel.basic_get(queue), 5)
    channel.basic_reject(message.delivery_tag, requeue=True)


def test_a_rolling_restart_of_two_workers_under_load_loses_and_repeats_nothing(
    tmp_path: Path, node: RabbitNode, api: ArchiveServer, bucket: S3Server, new_files: Make
) -> None:
    paths = new_files(16)
    with killable_site(tmp_path, node, api, bucket) as site:
        old = [site.start_worker(1), site.start_worker(1)]
        for worker in old:
            worker.wait_for(" ready.", 60)
        bucket.faults(kind="slow", seconds=0.5)
        try:
            site.dispatch(*paths)
            for worker in old:
                wait_until("its first frame", lambda: "run begins" in worker.logged())  # noqa: B023
                new = site.start_worker(1)
                _drain(worker)
                new.wait_for(" ready.", 60)
        finally:
            bucket.clear_faults()
        wait_until("all announcements", lambda: len(site.site.take_announced()) >= len(paths), 60)
        site.wait_for_quiet()
        for path in paths:
            site.assert_archived_once_and_announced(path)
            assert site.logged(path).count("run begins") == 1
            assert len(site.versions(path)) == 1
        assert len(site.site.announced) == len(paths)


def _drain(worker: Program) -> None:
    os.kill(worker.pid, signal.SIGTERM)
    assert worker.process.wait(30) == 0
