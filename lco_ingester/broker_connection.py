"""kombu's connections to a broker, made in one way for every process: from the URLs and the TLS settings."""

import ssl
from typing import Any

import kombu
from kombu.connection import ConnectionPool, PooledConnection
from kombu.transport import pyamqp
from kombu.utils.url import parse_url

from lco_ingester.broker_tls import BrokerTls, BrokerTlsError
from lco_ingester.broker_url import rabbitmq_urls
from lco_ingester.rabbitmq import AMQPConnection

# Seconds for the TCP connection, and again for the answer of the broker.
CONNECT_TIMEOUT = 10.0
FAILOVER_TIMEOUT = 4.0  # for each URL of a list, because the next one may answer

# The URL of each list that answered last in this process. A child inherits it.
_answered: dict[tuple[str, ...], str] = {}


def connection_arguments(text: str, tls: BrokerTls, connect_timeout: float | None = None) -> dict[str, Any]:
    """The arguments of `Connection` for a broker's URL, or for several.

    RabbitMQ confirms publishes, which is off by default (RabbitMQ documentation, "Publisher Confirms"). Raises
    ValueError for a URL that cannot be used.
    """
    urls = rabbitmq_urls(text)
    connect_timeout = connect_timeout or (FAILOVER_TIMEOUT if len(urls) > 1 else CONNECT_TIMEOUT)
    if not urls:
        return {"hostname": text, "transport_options": {}, "ssl": False, "connect_timeout": connect_timeout}
    return {
        "hostname": text,
        "transport_options": {"confirm_publish": True},
        "ssl": tls.options() if urls[0].is_encrypted else False,
        "connect_timeout": connect_timeout,
    }


class Transport(pyamqp.Transport):  # type: ignore[misc]
    """kombu's transport, on whose connections every wait ends."""

    Connection = AMQPConnection


class SSLTransport(pyamqp.SSLTransport):  # type: ignore[misc]
    """kombu's transport, which expects in the certificate the name of the host that it connects to.

    kombu itself keeps the name of the first URL for all others of the list, and 127.0.0.1 for localhost.
    """

    Connection = AMQPConnection

    def establish_connection(self) -> Any:
        """Connect. Raises BrokerTlsError if the handshake fails."""
        client = self.client
        options, host = client.ssl, client.hostname
        if isinstance(options, dict):
            client.ssl = {**options, "server_hostname": options.get("server_hostname") or host}
        try:
            return super().establish_connection()
        except ssl.SSLError as error:
            raise BrokerTlsError.of(error, host) from error
        finally:
            client.ssl, client.hostname = options, host


class Connection(kombu.Connection):  # type: ignore[misc]
    """kombu's connection, with the TLS of this module, and for several URLs of one cluster.

    It begins with the URL that answered last: otherwise a silent host would cost each new connection its time-out. And
    each URL gets its attempt, where kombu stops after the number of attempts or the time that one URL needs.
    """

    def __init__(self, hostname: str = "localhost", *args: Any, **kwargs: Any) -> None:
        # Here too, because Celery's commands take BROKER_URL from the environment, past the settings.
        urls = rabbitmq_urls(hostname) if "://" in hostname else ()
        super().__init__(";".join(map(str, urls)) or hostname, *args, **kwargs)
        if answered := _answered.get(tuple(self.alt)):
            self.switch(answered)

    def ensure(
        self, obj: Any, fun: Any, errback: Any = None, max_retries: int | None = None, *args: Any, **kwargs: Any
    ) -> Any:
        """The function, called again after errors of the connection."""
        return super().ensure(obj, fun, errback, self._for_each_url(max_retries), *args, **kwargs)

    def _ensure_connection(
        self,
        errback: Any = None,
        max_retries: int | None = None,
        *args: Any,
        timeout: float | None = None,
        **kwargs: Any,
    ) -> Any:
        timeout = timeout and timeout * max(len(self.alt), 1)
        return super()._ensure_connection(errback, self._for_each_url(max_retries), *args, timeout=timeout, **kwargs)

    def _for_each_url(self, max_retries: int | None) -> int | None:
        return None if max_retries is None else max(max_retries, len(self.alt))

    def Pool(self, limit: int | None = None, **kwargs: Any) -> "_Pool":  # noqa: N802 - kombu's name
        """A pool of connections of this class; kombu's own holds kombu's."""
        return _Pool(self, limit, **kwargs)

    def _connection_factory(self) -> Any:
        made = super()._connection_factory()
        for url in self.alt:
            parts = parse_url(url)
            if (parts["hostname"], parts["port"]) == (self.hostname, self.port):
                _answered[tuple(self.alt)] = url
        return made

    def get_transport_cls(self) -> Any:
        """kombu's transport of the URL's scheme, or ours in its place."""
        found = super().get_transport_cls()
        return {pyamqp.Transport: Transport, pyamqp.SSLTransport: SSLTransport}.get(found, found)


class _PooledConnection(PooledConnection, Connection):  # type: ignore[misc]
    pass


class _Pool(ConnectionPool):  # type: ignore[misc]
    def new(self) -> _PooledConnection:
        return _PooledConnection(self, **dict(self.connection._info(resolve=False)))
