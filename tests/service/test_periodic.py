"""The periodic tasks: how many wait, and what the archive holds, as metrics on a real receiver."""

from pathlib import Path

from tests.support.metrics import MetricsReceiver, receiving_metrics
from tests.support.processes import wait_until
from tests.support.servers import ArchiveServer
from tests.support.service import PERIODIC, Deployment


def run_periodic(site: Deployment, receiver: MetricsReceiver, task: str) -> None:
    """A periodic worker, and one task for it as beat sends it."""
    worker = site.start(
        *PERIODIC, OPENTSDB_HOSTNAME="127.0.0.1", OPENTSDB_PORT=str(receiver.port),
    )  # fmt: skip
    worker.wait_for(" ready.")
    site.app().send_task(task)


def test_the_length_of_each_queue_is_sent_under_its_name(site: Deployment, good: list[Path]) -> None:
    with receiving_metrics() as receiver:
        site.start_listener().end()
        site.publish(*good[:3])
        run_periodic(site, receiver, "queue_lengths")
        wait_until("three values", lambda: len(receiver.named("ingester.queue_length")) >= 3)
    lengths = {each["tags"]["queue"]: each["value"] for each in receiver.named("ingester.queue_length")}
    assert lengths == {
        site.settings.fits_queue: 3,
        site.settings.ingest_queue: 0,
        site.settings.dead_letter_queue: 0,
    }


def test_the_archives_holdings_and_its_response_time_are_sent(
    site: Deployment, good: list[Path], archive: ArchiveServer
) -> None:
    site.start_worker(concurrency=1)
    site.start_listener()
    site.publish(*good[:2])
    site.wait_for_announced(2)
    with receiving_metrics() as receiver:
        run_periodic(site, receiver, "archive_holdings")
        wait_until("both values", lambda: receiver.named("archive.total_products"))
    assert receiver.named("archive.total_products")[0]["value"] == 2
    assert receiver.named("archive.response_time.runtime")[0]["value"] > 0


def test_an_ingest_sends_its_metrics_and_a_silent_server_does_not_hold_it_up(
    site: Deployment, good: list[Path]
) -> None:
    site.start_listener()
    with receiving_metrics() as receiver:
        variables = {"OPENTSDB_HOSTNAME": "127.0.0.1", "OPENTSDB_PORT": str(receiver.port)}
        worker = site.start_worker(1, SUBMIT_METRICS_ASYNCHRONOUSLY="true", **variables)
        site.publish(good[0])
        wait_until("the last of them", lambda: receiver.named("ingester.runtime"))
        for name in ("get_md5.runtime", "upload_file.runtime", "post_frame.runtime", "ingest_lag", "runtime"):
            assert len(receiver.named(f"ingester.{name}")) == 1, name
        assert receiver.named("ingester.s3_upload_bytes_per_second")
        worker.end()
        receiver.silent = True
        site.start_worker(1, **variables)
        site.publish(*good[1:5])
        site.wait_for_announced(5, seconds=15)
