"""What an answer of the Archive API means, and whether it is one (docs/archive-api.md). Pure: no I/O.

An answer may come from a proxy, a web server or a login page. So nothing in it is trusted before it is checked.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from lco_ingester.exceptions import (
    ArchiveDeploymentError,
    ArchiveFailedError,
    ArchiveRefusedError,
    ArchiveUnavailableError,
    IngesterError,
)
from lco_ingester.frame import Record
from lco_ingester.redaction import Redactor

# The fields that an archive of nested records misses in a flat record; and the other way round.
_ONLY_NESTED = frozenset(("headers", "observation_day", "configuration_type"))
_ONLY_FLAT = frozenset(("DAY_OBS",))
# What an archive's refusal may name besides the fields that are in the record: required ones that the record lacks, and
# Django REST framework's name for a fault of several fields together.
_FIELDS = frozenset((
    "basename", "area", "version_set", "DAY-OBS", "DAY_OBS", "headers", "observation_day", "configuration_type",
    "related_frame_filenames", "frame_basename", "size", "non_field_errors",
))  # fmt: skip
# Answers by which a server says that it cannot take the request now: a time-out, a conflict with another request, a
# connection to the wrong server, a lock, too early, too many requests.
_BUSY = frozenset((408, 409, 421, 423, 425, 429))
NO_ARCHIVE = "Check API_ROOT: is this an Archive API?"
_MAX_QUOTED = 500  # characters of an answer that an error quotes
_MAX_READ = 20_000  # bytes of an answer from which they are taken
_MAX_TEXT = 10_000  # characters of a text in an answer, such as a signed URL


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of some server, which may not be an Archive API.

    `url` is the address that was called, `sent` the size of the request's body in bytes. `redact` hides secrets in the
    texts that an error quotes: `said`, `at` and `location`. They hold no control characters.
    """

    status: int
    headers: Mapping[str, str]
    content: bytes
    url: str
    sent: int
    redact: Redactor

    @property
    def said(self) -> str:
        """A quotation of the answer."""
        if "html" in self._content_type:
            return "an HTML page"
        return self._quote(self.content[:_MAX_READ].decode(errors="replace"))

    @property
    def at(self) -> str:
        """The address that was called, without its query."""
        return self._quote(_without_query(self.url))

    @property
    def location(self) -> str:
        """Where a redirect points, without its query."""
        return self._quote(_without_query(self.headers.get("Location", "")))

    @property
    def retry_after(self) -> float | None:
        """The wait in seconds that the server asked for."""
        seconds = self.headers.get("Retry-After", "")
        return float(seconds) if seconds.isascii() and seconds.isdecimal() else None

    @property
    def _content_type(self) -> str:
        return self.headers.get("Content-Type", "").partition(";")[0].strip().lower()

    def _quote(self, text: str) -> str:
        # Redacted before it is cut, because a piece of a secret may be too short to be known.
        shown = "".join(each if each.isprintable() else " " for each in self.redact(text))
        return " ".join(shown.split())[:_MAX_QUOTED]

    def json_object(self, frame: str) -> Record:
        """The JSON object in it. Raises ArchiveUnavailableError if it is not JSON, else ArchiveDeploymentError."""
        try:
            body = json.loads(self.content, parse_constant=_no_number, object_pairs_hook=_unique)
        except (ValueError, RecursionError, MemoryError):  # also too deep, not UTF-8, or a number without end
            raise ArchiveUnavailableError(
                frame=frame, expected="JSON", found=f"an answer that is not JSON: {self.said}"
            ) from None
        if not isinstance(body, dict):
            raise ArchiveDeploymentError(frame=frame, expected="a JSON object", found=self.said, hint=NO_ARCHIVE)
        return body

    def refused_fields(self, record: Record) -> Record:
        """The fields of the record that the archive refuses, and what it says about each.

        Empty if this is not an archive's refusal of the record: only an answer in JSON that complains about fields of
        the record is one. A proxy or a web server refuses every record, and a server that echoes a record does not
        complain.
        """
        if self.status not in (400, 413, 422) or not self._content_type.endswith("json"):
            return {}
        try:
            body = self.json_object("")
        except IngesterError:
            return {}
        return {
            name: said
            for name, said in body.items()
            if (name in record or name in _FIELDS) and said != record.get(name) and _complains(said)
        }


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")


def _unique(pairs: list[tuple[str, Any]]) -> Record:
    """An object of JSON. If it has a name twice, its meaning would depend on who reads it."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name twice")
    return found


def _complains(said: Any, depth: int = 4) -> bool:
    """Whether this is what the archive says about a field: texts in a list, perhaps by inner fields or positions."""
    inner = list(said.values()) if isinstance(said, dict) else said
    if not isinstance(inner, list) or depth == 0:
        return False
    return any((isinstance(each, str) and isinstance(said, list)) or _complains(each, depth - 1) for each in inner)


def created(answer: Answer, frame: str, fault_of: Callable[[Record], str]) -> Record:
    """What the archive says about what it created. Raises an error of the archive if that is not as expected."""
    body = answer.json_object(frame)
    if fault := fault_of(body):
        raise ArchiveDeploymentError(
            frame=frame, expected=f"201 with {fault}", found=f"201 {answer.said}", hint=NO_ARCHIVE
        )
    return body


def fault_of_frame(frame: Record) -> str:
    """What a frame in an answer should have, and has not; '' if it is right."""
    if not _is_id(frame.get("id")):
        return "id, a number or a text"
    return _fault_of_texts(frame)


def fault_of_versions(frame: Record) -> str:
    """The same for its `version_set`."""
    versions = frame.get("version_set")
    if not isinstance(versions, list) or not all(isinstance(version, dict) for version in versions):
        return "version_set, a list of objects"
    for version in versions:
        wrong = [name for name in ("key", "md5", "extension") if not _is_text(version.get(name))]
        if wrong:
            return f"version_set, each version with {wrong[0]}, a text without control characters"
    return next((f"version_set, each version with {fault}" for fault in map(_fault_of_texts, versions) if fault), "")


def fault_of_thumbnail(thumbnail: Record) -> str:
    """The same for a thumbnail, which has no id of its own."""
    if not _is_id(thumbnail.get("frame")):
        return "frame, a number or a text"
    return _fault_of_texts(thumbnail)


def _fault_of_texts(created: Record) -> str:
    wrong = [name for name in ("filename", "url") if not (created.get(name) is None or _is_text(created[name]))]
    return f"{wrong[0]}, a text without control characters" if wrong else ""


def _is_id(value: Any) -> bool:
    return is_number(value) or (_is_text(value) and value != "")


def is_number(value: Any) -> bool:
    """Whether this is a number of things, or a number in a database."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value.isprintable() and len(value) <= _MAX_TEXT


def refuse_other_format(answer: Answer, refused: Record, record: Record, frame: str) -> None:
    """Each kind of archive refuses the other kind's records, because of the fields that it misses in them."""
    names = set(answer.json_object(frame))
    if isinstance(record.get("headers"), dict):
        sent, other = "nested (ocs)", "lco" if names == _ONLY_FLAT else ""
    else:
        sent, other = "flat (lco)", "ocs" if refused.keys() >= _ONLY_NESTED else ""
    if other:
        raise ArchiveDeploymentError(
            frame=frame,
            expected=f"an archive of {sent} records",
            found=f"an archive of other records: {answer.said}",
            hint=f"Set ARCHIVE_RECORD_FORMAT={other}, or check API_ROOT: the archive refuses every frame like this",
        )


def is_duplicate(answer: Answer, refused: Record, frame: str) -> bool:
    """Whether the archive has this md5. The refused fields decide, not the texts, which change between releases."""
    return _refused_of_version(answer, refused, frame) in ({"md5"}, {"md5", "key"})


def _refused_of_version(answer: Answer, refused: Record, frame: str) -> set[str]:
    """The fields of the version that the archive refuses; empty if it complains about anything else too."""
    if set(answer.json_object(frame)) != {"version_set"} or "version_set" not in refused:
        return set()
    versions = refused["version_set"]
    entries = list(versions.values()) if isinstance(versions, dict) else versions
    if not all(isinstance(entry, dict) and all(map(_complains, entry.values())) for entry in entries):
        return set()
    return {field for entry in entries for field in entry}


def refusal(answer: Answer, frame: str, refused: Record) -> IngesterError:
    """What an answer means that is not the one we want. `refused`: what `refused_fields` returns.

    Without refused fields there is no reason to blame this record, so the frame waits.
    """
    status = answer.status
    found = f"{status} {answer.said}".strip()
    if refused and _refused_of_version(answer, refused, frame) == {"key"}:  # not of the file: S3 gave it
        return ArchiveDeploymentError(
            frame=frame,
            expected="a VersionId that is new to the archive and has a length that it takes",
            found=found,
            hint="Check that the bucket's versioning is on, and that the archive can hold the store's VersionIds",
        )
    if refused:
        return ArchiveRefusedError(frame=frame, expected="201", found=found)
    if status >= 500:
        return ArchiveFailedError(frame=frame, found=found, retry_after=answer.retry_after)
    if status in _BUSY:
        return ArchiveUnavailableError(frame=frame, found=found, retry_after=answer.retry_after)
    if status in (401, 403):
        return ArchiveDeploymentError(
            frame=frame, found=found, hint="Check AUTH_TOKEN: posting needs a superuser's token"
        )
    if status == 413:
        return ArchiveDeploymentError(
            frame=frame,
            found=f"{found}, for a record of {answer.sent} bytes",
            hint="Raise the limit on request bodies of the server before the archive (nginx: client_max_body_size)",
        )
    if 300 <= status < 400 and answer.location:
        found = f"{status}, a redirect to {answer.location}"
    # 404, 405 and every answer that we do not know: the server is not an Archive API, or something stands before it.
    return ArchiveDeploymentError(
        frame=frame,
        found=f"{found}, at {answer.at}",
        hint="Check API_ROOT, its scheme and its path, and the proxies before the archive",
    )


def _without_query(url: str) -> str:
    """The address without what may be secret: query, fragment, user and password."""
    return re.sub(r"//[^/]*@", "//", re.split(r"[?#]", url, maxsplit=1)[0])
