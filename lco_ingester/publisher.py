"""The processed exchange, where archived frames are announced."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from amqp.exceptions import AccessRefused, AMQPError, MessageNacked, NotAllowed, PreconditionFailed
from kombu import Connection, Exchange
from kombu.exceptions import KombuError, OperationalError

from lco_ingester.exceptions import BrokerDeploymentError, BrokerUnavailableError
from lco_ingester.frame import Record
from lco_ingester.rabbitmq import bound_waits

CONNECT_TIMEOUT = 10.0  # seconds
CONFIRM_TIMEOUT = 30.0  # seconds to wait for the broker's confirm
POOL_SIZE = 4
_RETRY_ONCE = {"max_retries": 1, "interval_start": 0, "interval_step": 0.2}


def transport_options(broker_url: str) -> dict[str, Any]:
    """kombu's options for a broker.

    RabbitMQ: publisher confirms, which are off by default (RabbitMQ documentation, "Publisher Confirms"). Others: none.
    """
    if urlsplit(broker_url).scheme in ("amqp", "amqps", "pyamqp"):
        return {"confirm_publish": True}
    return {}


class Publisher:
    """A durable fanout exchange, on connections that stay open.

    Raises BrokerDeploymentError for a URL that kombu cannot use. Connects at the first publish.
    """

    def __init__(self, broker_url: str, exchange_name: str) -> None:
        bound_waits()
        self._exchange = Exchange(exchange_name, type="fanout", durable=True)
        try:
            connection = Connection(
                broker_url, transport_options=transport_options(broker_url), connect_timeout=CONNECT_TIMEOUT
            )
            self._transport_errors = (*connection.connection_errors, *connection.channel_errors)
        except (ValueError, LookupError, ImportError, AttributeError) as error:
            # kombu finds no transport, no library for it, or no port. The text may quote a part of the password.
            raise BrokerDeploymentError(
                expected="a URL of a broker",
                found=type(error).__name__,
                hint="Check FITS_BROKER: its transport, its port, and that / and @ in a password are written %2F, %40",
            ) from None
        self._pool = connection.Pool(limit=POOL_SIZE)

    def publish(self, record: Record, message_id: str) -> None:
        """Publish a record as persistent JSON and wait for the broker's confirm.

        Not published as mandatory, because an exchange without a queue is not an error. Raises
        BrokerUnavailableError or BrokerDeploymentError.
        """
        with self._translated(), self._pool.acquire(block=True) as connection:
            connection.Producer().publish(
                record,
                exchange=self._exchange,
                declare=[self._exchange],
                routing_key="",
                serializer="json",
                delivery_mode="persistent",
                message_id=message_id,
                confirm_timeout=CONFIRM_TIMEOUT,
                retry=True,
                retry_policy=_RETRY_ONCE,
            )

    def close(self) -> None:
        """Close the connections."""
        self._pool.force_close_all()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """The one place where kombu's and its transports' errors become ours."""
        try:
            yield
        except (AccessRefused, NotAllowed, PreconditionFailed) as error:
            raise BrokerDeploymentError(
                expected=f"to publish on exchange {self._exchange.name}",
                found=str(error),
                hint="Check FITS_BROKER's user and password, and that the exchange is a durable fanout",
            ) from error
        except (KombuError, OperationalError, AMQPError, MessageNacked, OSError, *self._transport_errors) as error:
            raise BrokerUnavailableError(
                expected=f"exchange {self._exchange.name} to accept a message", found=f"{type(error).__name__}: {error}"
            ) from error
