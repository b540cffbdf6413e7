"""What the demo prints: one line for each frame that ends, then a table of all frames and the dead letters."""

from pathlib import Path
from typing import Any

from ingester_demo.servers import ArchiveServer, S3Server
from ingester_demo.watch import Outcome

COLUMNS = ("frame", "outcome", "S3 key", "frame id", "processed message", "seconds")


def print_outcome(outcome: Outcome) -> None:
    """Print one line for a frame whose outcome is known."""
    detail = outcome.letter.reason if outcome.letter else ""
    print(f"  {outcome.seconds:6.2f} s  {outcome.word:<12} {outcome.path.name} {detail}".rstrip(), flush=True)


def table(outcomes: list[Outcome], keys: dict[str, str]) -> str:
    """One row a frame; `keys` are the S3 keys by VersionId, as the store lists them."""
    rows = [COLUMNS, *(_row(outcome, keys) for outcome in outcomes)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def letters(outcomes: list[Outcome]) -> str:
    """The dead letters, each with its reason; empty if there are none."""
    return "\n".join(
        f"  {outcome.path.name}: {outcome.letter.reason} after {_times(outcome.letter.attempts)} in step "
        f"{outcome.letter.step}\n    {outcome.letter.text}"
        for outcome in outcomes
        if outcome.letter is not None
    )


def stored_keys(store: S3Server) -> dict[str, str]:
    """The key of every version in the bucket, by its VersionId as the archive writes it: without dashes."""
    pages = store.client().get_paginator("list_object_versions").paginate(Bucket=store.bucket)
    versions = [version for page in pages for version in page.get("Versions", [])]
    return {version["VersionId"].replace("-", ""): version["Key"] for version in versions}


def is_as_expected(outcome: Outcome, bad: dict[Path, str], archive: ArchiveServer, keys: dict[str, str]) -> bool:
    """Whether a good frame is stored, archived and announced, or a bad one is a dead letter for the right reason."""
    if outcome.path in bad:
        return outcome.letter is not None and outcome.letter.reason == bad[outcome.path]
    if outcome.word == "ignored":
        return True
    if outcome.record is None:
        return False
    version = outcome.record["version_set"][0]
    archived = [known for frame in archive.frames() for known in frame["version_set"]]
    return version["key"] in keys and any(known["md5"] == outcome.md5 for known in archived)


def _times(attempts: int) -> str:
    return "1 attempt" if attempts == 1 else f"{attempts} attempts"


def _row(outcome: Outcome, keys: dict[str, str]) -> tuple[str, ...]:
    record: dict[str, Any] = outcome.record or {}
    word = f"{outcome.word}: {outcome.letter.reason}" if outcome.letter else outcome.word
    version = (record.get("version_set") or [{}])[0]
    return (
        outcome.path.name,
        word,
        keys.get(version.get("key", ""), "-"),
        str(record.get("frameid", "-")),
        "received" if outcome.record else "-",
        "-" if outcome.seconds is None else f"{outcome.seconds:.2f}",
    )
