"""The demo's broker never gives half a message."""

import os
import threading
from pathlib import Path

import pytest
from kombu import Connection
from kombu.transport import filesystem

from ingester_demo.whole_messages import write_whole

MESSAGES = 300


def test_whoever_reads_while_messages_are_written_gets_each_of_them_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filesystem.Channel, "_put", filesystem.Channel._put)  # put back after the test
    write_whole()
    asides = 0
    rename = os.rename

    def counted(written: Path | str, message: Path | str) -> None:
        nonlocal asides
        asides += str(written).endswith(".part") and str(message).endswith(".msg")
        rename(written, message)

    monkeypatch.setattr(os, "rename", counted)
    for folder in ("messages", "control"):
        (tmp_path / folder).mkdir()
    options = {
        "data_folder_in": str(tmp_path / "messages"),
        "data_folder_out": str(tmp_path / "messages"),
        "control_folder": str(tmp_path / "control"),
    }

    def write() -> None:
        with Connection("filesystem://", transport_options=options) as connection:
            queue = connection.SimpleQueue("names")
            for number in range(MESSAGES):
                queue.put({"number": number, "filling": "x" * 10_000})

    writer = threading.Thread(target=write)
    with Connection("filesystem://", transport_options=options) as connection:
        queue = connection.SimpleQueue("names")
        writer.start()
        found: set[int] = set()
        while len(found) < MESSAGES:  # a queue of this transport may be bound twice, and have a message twice
            found.add(queue.get(timeout=20).payload["number"])
    writer.join()
    assert found <= set(range(MESSAGES))
    assert asides >= MESSAGES, "each was written aside"
