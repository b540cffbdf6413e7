"""A service around the released lco-ingester, which has no service: the smallest listener and worker.

`python lco_service.py` is its listener, `celery -A lco_service worker` its workers. The predecessor's own service was
of this shape: a ConsumerMixin that makes a task of each name and acknowledges it, and a task that does all.
"""

import os

from celery import Celery
from kombu import Connection, Exchange, Queue
from kombu.mixins import ConsumerMixin

from lco_ingester.ingester import upload_file_and_ingest_to_archive

app = Celery("ingester", broker=os.environ["BROKER_URL"])
app.conf.update(
    worker_prefetch_multiplier=1,  # as the release's celery_config has it
    task_default_queue=os.environ["INGEST_QUEUE"],
    task_ignore_result=True,
    broker_connection_retry_on_startup=True,
)


@app.task(name="ingest")
def ingest(path):
    """One frame."""
    with open(path, "rb") as stream:
        upload_file_and_ingest_to_archive(stream)


class Listener(ConsumerMixin):
    """Names become tasks."""

    def __init__(self, connection):
        self.connection = connection
        exchange = Exchange(os.environ["CRAWLER_EXCHANGE_NAME"], type="fanout")
        self._queue = Queue(os.environ["FITS_QUEUE"], exchange)

    def get_consumers(self, Consumer, channel):  # noqa: N803 - kombu's name
        return [Consumer([self._queue], callbacks=[self.on_message], prefetch_count=10)]

    def on_consume_ready(self, connection, channel, consumers, **_):
        print("listening on queue", self._queue.name, flush=True)

    def on_message(self, body, message):
        ingest.delay(body["path"])
        message.ack()


if __name__ == "__main__":
    with Connection(os.environ["FITS_BROKER"]) as listened:
        Listener(listened).run()
