"""The periodic metrics: lengths of the queues, and the size of the archive."""

from ingester_app.broker import celery_connection, fits_connection, queue_length
from ingester_app.settings import ServiceSettings
from lco_ingester.services import Services


def queue_lengths(settings: ServiceSettings) -> dict[str, int]:
    """How many messages wait in each queue, by the queue's name: names, frames, dead letters.

    It uses AMQP, so no management plugin or password is needed. Raises a connection error.
    """
    with fits_connection(settings) as fits, celery_connection(settings) as celery:
        return {
            settings.fits_queue: queue_length(fits, settings.fits_queue),
            settings.ingest_queue: queue_length(celery, settings.ingest_queue),
            settings.dead_letter_queue: queue_length(celery, settings.dead_letter_queue),
        }


def send_queue_lengths(settings: ServiceSettings, services: Services) -> dict[str, int]:
    """Send one `ingester.queue_length` for each queue."""
    lengths = queue_lengths(settings)
    for queue, length in lengths.items():
        services.metrics.send("ingester.queue_length", length, queue=queue)
    return lengths


def send_archive_holdings(services: Services) -> int:
    """Send how many frames the archive holds, and how long it took to answer."""
    with services.metrics.timed("archive.response_time"):
        holdings = services.archive.holdings()
    services.metrics.send("archive.total_products", holdings)
    return holdings
