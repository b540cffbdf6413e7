"""Celery's native delayed delivery: its exchanges and queues, declared on the worker's own connection."""

from typing import Any

from celery.worker.consumer.delayed_delivery import DelayedDelivery
from kombu.transport.native_delayed_delivery import (
    bind_queue_to_native_delayed_delivery_exchange,
    declare_native_delayed_delivery_exchanges_and_queues,
)

from ingester_app.broker import declare_queues


class DelaysOnThisConnection(DelayedDelivery):
    """Declares the delays at every start and after every loss of the connection.

    Celery's own step opens a connection to each URL of a failover list. A host that accepts and does not answer then
    keeps the worker until RabbitMQ closes its real connection because of missed heartbeats, and so on for ever. An
    error of the broker is not caught here: without delays no frame could be retried, so the worker connects again.
    """

    def start(self, c: Any) -> None:
        """Declare and bind. The queues first, because somebody may have deleted them, or their virtual host."""
        declare_queues(c.connection, *c.app.declared_queues)
        declare_native_delayed_delivery_exchanges_and_queues(
            c.connection, c.app.conf.broker_native_delayed_delivery_queue_type
        )
        for queue in c.app.amqp.queues.values():
            bind_queue_to_native_delayed_delivery_exchange(c.connection, queue)
