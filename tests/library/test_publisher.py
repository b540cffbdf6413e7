"""Announcements on the processed exchange, in memory; RabbitMQ's part is tested with the service."""

import inspect
import json
import queue
from collections.abc import Iterator
from itertools import count
from typing import Any

import amqp.exceptions
import kombu.exceptions
import pytest
from kombu import Connection, Exchange, Message, Queue
from kombu.transport.memory import Channel

from lco_ingester.exceptions import (
    BackoffRetryError,
    BrokerDeploymentError,
    BrokerUnavailableError,
    DoNotRetryError,
    IngesterError,
)
from lco_ingester.publisher import Publisher
from tests.support.scripted import closed_port, silent_port

RECORD = {"basename": "a-e00", "area": None, "EXPTIME": 30.0, "version_set": [{"key": "v", "md5": "m"}]}
PASSWORD = "hush-hush"
NUMBERS = count(1)


@pytest.fixture
def exchange() -> Exchange:
    return Exchange(f"archived-{next(NUMBERS)}", type="fanout", durable=True)


@pytest.fixture
def publisher(exchange: Exchange) -> Iterator[Publisher]:
    made = Publisher("memory://localhost", exchange.name)
    yield made
    made.close()


def heard(exchange: Exchange, *queues: str, publish: Any) -> list[Message]:
    """The messages that queues on the exchange get while `publish` is called."""
    with Connection("memory://localhost") as connection:
        channel = connection.default_channel
        bound = [Queue(name, exchange)(channel) for name in queues]
        for each in bound:
            each.declare()
        publish()
        return [message for each in bound if (message := each.get(no_ack=True)) is not None]


def test_every_queue_on_the_exchange_gets_the_record(publisher: Publisher, exchange: Exchange) -> None:
    messages = heard(exchange, "one", "two", publish=lambda: publisher.publish(RECORD, "an-md5"))
    assert [json.loads(message.body) for message in messages] == [RECORD, RECORD]


def test_a_record_goes_as_persistent_json_under_its_message_id(publisher: Publisher, exchange: Exchange) -> None:
    [message] = heard(exchange, "one", publish=lambda: publisher.publish(RECORD, "an-md5"))
    assert message.content_type == "application/json"
    assert message.content_encoding == "utf-8"
    assert message.properties["message_id"] == "an-md5"
    assert message.properties["delivery_mode"] == 2
    assert message.delivery_info["exchange"] == exchange.name


def test_an_exchange_without_a_queue_is_not_an_error(publisher: Publisher) -> None:
    publisher.publish(RECORD, "an-md5")


def test_the_exchange_is_a_durable_fanout(
    publisher: Publisher, exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    declared: list[dict[str, Any]] = []
    really = Channel.exchange_declare

    def watch(channel: Channel, **told: Any) -> None:
        declared.append(told)
        really(channel, **told)

    monkeypatch.setattr(Channel, "exchange_declare", watch)
    publisher.publish(RECORD, "an-md5")
    assert declared[0].items() >= {"exchange": exchange.name, "type": "fanout", "durable": True}.items()


@pytest.mark.timeout(20)
def test_a_broker_that_is_down_is_worth_a_later_try() -> None:
    publisher = Publisher(f"amqp://user:{PASSWORD}@127.0.0.1:{closed_port()}//", "archived_fits")
    with pytest.raises(BrokerUnavailableError, match="archived_fits") as raised:
        publisher.publish(RECORD, "an-md5")
    assert isinstance(raised.value, BackoffRetryError)
    assert PASSWORD not in str(raised.value)


@pytest.mark.timeout(20)
def test_a_silent_broker_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lco_ingester.broker_connection.CONNECT_TIMEOUT", 0.2)
    with silent_port() as port:
        publisher = Publisher(f"amqp://user:{PASSWORD}@127.0.0.1:{port}//", "archived_fits")
        with pytest.raises(BrokerUnavailableError) as raised:
            publisher.publish(RECORD, "an-md5")
    assert PASSWORD not in str(raised.value)


@pytest.mark.parametrize(
    "url",
    [
        f"amqp://user:{PASSWORD}/slash@localhost//",
        f"amqp://user:{PASSWORD}@localhost:99999//",
        f"amqp://user:{PASSWORD}@[::1//",
        f"nonsense://user:{PASSWORD}@localhost//",
        f"mongodb://user:{PASSWORD}@localhost/",
    ],
)
def test_a_url_that_cannot_be_used_is_a_fault_of_the_deployment(url: str) -> None:
    with pytest.raises(BrokerDeploymentError, match="FITS_BROKER") as raised:
        Publisher(url, "archived_fits")
    assert PASSWORD not in str(raised.value)
    assert raised.value.__suppress_context__
    assert isinstance(raised.value, DoNotRetryError)


# Errors of kombu and amqp

DEPLOYMENT = {"AccessRefused", "NotAllowed", "PreconditionFailed"}
REASONS = {"HttpError": "transports over HTTP, which none of ours is"}


def broker_errors() -> list[type[Exception]]:
    found = {**vars(kombu.exceptions), **vars(amqp.exceptions)}.values()
    return sorted(
        {each for each in found if inspect.isclass(each) and issubclass(each, Exception) and not foreign(each)},
        key=lambda each: each.__name__,
    )


def foreign(error: type[Exception]) -> bool:
    return error.__module__ == "builtins" or issubclass(error, Warning) or error.__name__ in REASONS


@pytest.mark.parametrize("error", broker_errors(), ids=lambda error: error.__name__)
def test_every_error_of_the_broker_becomes_one_of_ours(error: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error("so")

    monkeypatch.setattr(Connection, "Producer", fail)
    publisher = Publisher("amqp://localhost//", "archived_fits")
    expected: type[IngesterError] = BrokerDeploymentError if error.__name__ in DEPLOYMENT else BrokerUnavailableError
    with pytest.raises(expected) as raised:
        publisher.publish(RECORD, "an-md5")
    assert type(raised.value) is expected


def test_an_error_of_our_own_code_is_not_taken_for_the_brokers(publisher: Publisher) -> None:
    with pytest.raises(Exception, match="serializable"):
        publisher.publish({"queue": queue.Queue}, "an-md5")
