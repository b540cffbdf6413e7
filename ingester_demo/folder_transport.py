"""A kombu transport for the demo: the URL `folder:///directory` makes a directory the broker.

It is kombu's `filesystem` transport with two differences. It takes its directories from the URL and creates them.
And it never shows a file before its content is complete: kombu's own creates each message under the name that consumers
look for and writes it afterwards, so that a consumer can take, and lose, half a message.

kombu looks up the scheme of a URL in a table, so each process that uses such a URL calls `register` first.
"""

import os
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

from kombu.exceptions import ChannelError
from kombu.transport import TRANSPORT_ALIASES, filesystem
from kombu.utils.json import dumps

from lco_ingester.broker_url import add_transport

SCHEME = "folder"
POLLING_INTERVAL = 0.05  # seconds


def register() -> None:
    """Make `folder://` known to kombu and to our settings, in this process and in those that it forks."""
    add_transport(SCHEME)
    TRANSPORT_ALIASES[SCHEME] = f"{__name__}:Transport"


def url_of(directory: Path) -> str:
    """The URL of the broker in `directory`, which must be an absolute path."""
    return f"{SCHEME}://{directory.as_posix()}"


class Channel(filesystem.Channel):
    """Messages in `messages/`, the tables of bindings in `control/`."""

    def __init__(self, connection: Any, **kwargs: Any) -> None:
        super().__init__(connection, **kwargs)
        for each in (self.data_folder_in, self.control_folder):
            each.mkdir(parents=True, exist_ok=True)

    @property
    def data_folder_in(self) -> Path:
        """Where messages are read."""
        return self._directory / "messages"

    @property
    def data_folder_out(self) -> Path:
        """Where messages are written: the same folder."""
        return self.data_folder_in

    @property
    def control_folder(self) -> Path:
        """Where each exchange has its table of bindings."""
        return self._directory / "control"

    @property
    def _directory(self) -> Path:
        return Path("/", self.connection.client.virtual_host)

    def _put(self, queue: str, payload: Any, **_: Any) -> None:
        """Write a message under a temporary name, then rename it.

        Raises ChannelError if it cannot be written; then no consumer sees any of it.
        """
        message = self.data_folder_out / f"{round(time.monotonic() * 1000)}_{uuid.uuid4()}.{queue}.msg"
        temporary = message.with_name(f"{message.name}.part")  # consumers ignore names that do not end in .msg
        try:
            temporary.write_bytes(dumps(payload).encode())
            temporary.rename(message)
        except OSError as error:
            raise ChannelError(f"cannot write {message}: {error}") from error

    def _queue_bind(self, exchange: str, *binding: Any) -> None:
        """Bind a queue. A new table begins as a complete empty one, because kombu's would be an empty file at first."""
        table = self._exchange_file(exchange)
        if not table.exists():
            temporary = table.with_name(f"{table.name}.{uuid.uuid4()}.part")
            temporary.write_text("[]")
            with suppress(FileExistsError):  # another process was faster, and a rename would replace its table
                os.link(temporary, table)
            temporary.unlink()
        super()._queue_bind(exchange, *binding)


class Transport(filesystem.Transport):
    """`folder:///directory`. Raises ValueError for a URL without a directory."""

    Channel = Channel
    polling_interval = POLLING_INTERVAL
    driver_type = driver_name = SCHEME

    def __init__(self, client: Any, **kwargs: Any) -> None:
        if client.virtual_host.strip("/") == "":
            raise ValueError(f"a {SCHEME} URL needs a directory, such as {SCHEME}:///tmp/broker")
        super().__init__(client, **kwargs)
