"""Messages whose properties cannot be decoded or trusted: they arrive without properties.

RabbitMQ passes on what a sender writes into the properties: a timestamp in the year 10^11, a table nested 10,000 deep,
a name that is not UTF-8. py-amqp raises ValueError or the like for it while it reads the frame. Then the program that
reads the queue ends, and the next one that gets the message ends too. And kombu unpacks a body with the header
`compression` before anybody can check it: 16 MB may become 16 GB. We send no such messages.
"""

from collections.abc import Callable
from struct import unpack_from
from typing import Any

from amqp.method_framing import frame_handler
from amqp.serialization import decode_properties_basic, dumps
from amqp.spec import Basic

from ingester_app.schema import UNDECODABLE

METHOD, HEADER = 1, 2  # types of frames (AMQP 0-9-1, 2.3.5)
_PROPERTIES_AT = 12  # after class, weight and size of the body (AMQP 0-9-1, 4.2.6.1)
_COMPRESSION = b"\x0bcompression"  # the name of a header, after its length (AMQP 0-9-1, 4.2.5.5)
_HEADERS_ONLY = b"\x20\x00"  # property flags: only the table of headers follows


def tolerant_frame_handler(connection: Any, callback: Callable[..., Any]) -> Callable[[Any], bool]:
    """py-amqp's handler of incoming frames; it replaces what cannot be decoded and is called again."""
    handle = frame_handler(connection, callback)

    def on_frame(frame: Any) -> bool:
        kind, channel, payload = frame
        if kind == METHOD:
            return bool(handle((kind, channel, _with_ascii_names(payload))))
        fault = "a compressed body" if kind == HEADER and _COMPRESSION in payload else ""
        try:
            if not fault:
                return bool(handle(frame))
        except Exception:
            # The error may also be one of the code that received the message: then the properties can be decoded.
            fault = _fault(payload) if kind == HEADER else ""
            if not fault:
                raise
        headers = dumps("F", [{UNDECODABLE: fault}])
        return bool(handle((kind, channel, payload[:_PROPERTIES_AT] + _HEADERS_ONLY + headers)))

    return on_frame


def _fault(payload: bytes) -> str:
    """Why the properties in a header frame cannot be decoded; '' if they can be."""
    try:
        decode_properties_basic(payload, _PROPERTIES_AT)
    except Exception as error:  # py-amqp has no list of what it raises
        return f"{type(error).__name__}: {error}"[:200]
    return ""


def _with_ascii_names(payload: bytes) -> bytes:
    """A method frame; in a delivery, `?` replaces each byte of exchange and routing key if these are not UTF-8."""
    method = unpack_from(">HH", payload)
    if method not in (Basic.Deliver, Basic.GetOk):
        return payload
    start = 4 if method == Basic.GetOk else 5 + payload[4]  # after the method and the consumer's tag
    start += 9  # after the delivery tag and the redelivered bit
    middle = start + 1 + payload[start]
    end = middle + 1 + payload[middle]
    try:
        payload[start + 1 : middle].decode()
        payload[middle + 1 : end].decode()
    except UnicodeDecodeError:
        names = payload[start + 1 : middle], payload[middle + 1 : end]
        ascii_names = [bytes(each if each < 128 else ord("?") for each in name) for name in names]
        lengths = payload[start : start + 1], payload[middle : middle + 1]
        return payload[:start] + lengths[0] + ascii_names[0] + lengths[1] + ascii_names[1] + payload[end:]
    return payload
