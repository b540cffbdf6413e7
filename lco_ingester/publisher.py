"""The processed exchange, where archived frames are announced."""

from collections.abc import Iterator
from contextlib import contextmanager

from amqp.exceptions import AccessRefused, AMQPError, MessageNacked, NotAllowed, PreconditionFailed
from kombu import Exchange
from kombu.exceptions import KombuError, OperationalError

from lco_ingester.broker_connection import Connection, connection_arguments
from lco_ingester.broker_tls import BrokerTls, BrokerTlsError
from lco_ingester.exceptions import BrokerDeploymentError, BrokerUnavailableError
from lco_ingester.frame import Record
from lco_ingester.redaction import Redactor

CONFIRM_TIMEOUT = 30.0  # seconds to wait for the broker's confirm
POOL_SIZE = 4
NO_TLS_SETTINGS = BrokerTls()
_RETRY_ONCE = {"max_retries": 1, "interval_start": 0, "interval_step": 0.2}


class Publisher:
    """A durable fanout exchange, on connections that stay open.

    Raises BrokerDeploymentError for a URL that cannot be used. Connects at the first publish.
    """

    def __init__(
        self,
        broker_url: str,
        exchange_name: str,
        tls: BrokerTls = NO_TLS_SETTINGS,
        redact: Redactor | None = None,
    ) -> None:
        self._redact = redact or Redactor((broker_url,))
        self._exchange = Exchange(exchange_name, type="fanout", durable=True)
        try:
            connection = Connection(**connection_arguments(broker_url, tls))
        except ValueError as error:
            raise BrokerDeploymentError(f"FITS_BROKER {error}") from None
        self._transport_errors = (*connection.connection_errors, *connection.channel_errors)
        self._pool = connection.Pool(limit=POOL_SIZE)

    def publish(self, record: Record, message_id: str) -> None:
        """Publish a record as persistent JSON and wait for the broker's confirm.

        Not published as mandatory, because an exchange without a queue is not an error. Raises
        BrokerUnavailableError or BrokerDeploymentError.
        """
        with self._redact.scrubbed(), self._translated(), self._pool.acquire(block=True) as connection:
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
            if isinstance(error, BrokerTlsError) or isinstance(error.__cause__, BrokerTlsError):
                raise BrokerDeploymentError(str(error)) from error
            raise BrokerUnavailableError(
                expected=f"exchange {self._exchange.name} to accept a message", found=f"{type(error).__name__}: {error}"
            ) from error
