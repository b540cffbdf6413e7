"""What the processes have logged, as events, and the events of each frame."""

import json
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path, PurePath
from typing import Any

Event = dict[str, Any]


def read_events(logs: Iterable[Path]) -> list[Event]:
    """All JSON lines of these logs in the order of their times; `log` is the file they come from."""
    events: list[Event] = []
    for log in logs:
        for line in log.read_text(errors="replace").splitlines():
            if not line.startswith("{"):
                continue
            try:
                event = json.loads(line)
            except ValueError:  # its process was killed while it wrote
                continue
            if isinstance(event, dict):
                events.append({**event, "log": log.name})
    return sorted(events, key=lambda event: str(event.get("timestamp", "")))


def frame_of(event: Event) -> str | None:
    """The file's name that an event is about."""
    named = event.get("frame") or event.get("path")
    return PurePath(str(named)).name if named else None


def by_frame(events: Iterable[Event]) -> dict[str, list[Event]]:
    """The events of each file's name."""
    frames: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        name = frame_of(event)
        if name:
            frames[name].append(event)
    return frames


def write_by_frame(frames: dict[str, list[Event]], directory: Path) -> None:
    """One file a frame, a JSON line an event."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, events in frames.items():
        (directory / f"{name}.jsonl").write_text("".join(f"{json.dumps(event)}\n" for event in events))
