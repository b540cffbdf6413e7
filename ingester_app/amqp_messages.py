"""Makes py-amqp read any message.

A few bytes in a header (a time after the year 9999, a text that is not UTF-8, thousands of tables in each other) raise
an exception inside py-amqp. It ends the process, the message returns to its queue, and it ends the next process too.
Also, kombu unpacks a body whose header `compression` says so, without a limit. We send no such messages.
"""

from functools import cache
from typing import Any

from amqp import abstract_channel
from amqp.serialization import GenericContent, loads


@cache
def read_any_message() -> None:
    """From now on a message in this process loses properties that cannot be read, and its body is never unpacked."""
    read = GenericContent._load_properties

    def _load_properties(self: GenericContent, class_id: int, buf: bytes, offset: int) -> Any:
        try:
            end = read(self, class_id, buf, offset)
        except Exception:
            self.properties = {}
            return offset
        (self.properties.get("application_headers") or {}).pop("compression", None)
        return end

    GenericContent._load_properties = _load_properties
    abstract_channel.loads = _loads


def _loads(form: bytes | str, buf: bytes, offset: int) -> Any:
    """The arguments of a method, such as the routing key, which may be any bytes."""
    try:
        return loads(form, buf, offset)
    except UnicodeDecodeError:
        return loads(form, _AnyText(buf), offset)


class _AnyText(bytes):
    """Bytes that can always be decoded."""

    def __getitem__(self, key: Any) -> Any:
        part = super().__getitem__(key)
        return _AnyText(part) if isinstance(part, bytes) else part

    def decode(self, *_: Any, **__: Any) -> str:
        return super().decode(errors="replace")
