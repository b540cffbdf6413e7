"""Whole messages in the demo's broker, which is kombu's own in a folder.

That one writes a message where it is read, so that now and then half a message is taken, and lost. Here it is written
under another name and renamed.
"""

import os
import time
import uuid
from pathlib import Path
from typing import Any

from kombu.exceptions import ChannelError
from kombu.transport import filesystem
from kombu.utils.json import dumps


def write_whole() -> None:
    """From now on, in this process and those that it forks."""
    filesystem.Channel._put = _put


def _put(channel: Any, queue: str, payload: Any, **_: Any) -> None:
    message = Path(channel.data_folder_out, f"{round(time.monotonic() * 1000)}_{uuid.uuid4()}.{queue}.msg")
    unread = message.with_name(f"{message.name}.part")  # no reader takes a name that ends like this
    try:
        unread.write_text(dumps(payload))
        os.rename(unread, message)
    except OSError as error:
        raise ChannelError(f"cannot write {message}") from error
