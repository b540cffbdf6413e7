"""The Archive API: where a frame's record is kept. The only user of requests (docs/archive-api.md)."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NoReturn
from urllib.parse import urlencode

import requests
import requests.cookies

from lco_ingester.exceptions import (
    ArchiveDeploymentError,
    ArchiveFailedError,
    ArchiveRefusedError,
    ArchiveUnavailableError,
    IngesterError,
)
from lco_ingester.frame import Record
from lco_ingester.redaction import Redactor

CONNECT_TIMEOUT = 10.0  # seconds
PAGE = 100  # frames in one answer
MAX_PAGES = 50  # of a contains-match on the basename, if the archive is too old for an exact match
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
_NO_ARCHIVE = "Check API_ROOT: is this an Archive API?"
_MAX_QUOTED = 500  # characters of an answer that an error quotes
_MAX_READ = 20_000  # bytes of an answer from which they are taken
_MAX_TEXT = 10_000  # characters of a text in an answer, such as a signed URL


@dataclass(frozen=True, slots=True)
class Posted:
    """The archive accepted the record: its answer, with `id`, `filename` and `url`."""

    answer: Record


@dataclass(frozen=True, slots=True)
class DuplicateVersion:
    """The archive refused the record because it has this md5."""


class Archive:
    """One Archive API, over one connection that stays open."""

    def __init__(
        self,
        api_root: str,
        auth_token: str,
        timeout: float,
        session: requests.Session | None = None,
        redact: Redactor | None = None,
    ) -> None:
        self._redact = redact or Redactor((auth_token,))
        self._root = api_root
        self._timeout = (CONNECT_TIMEOUT, timeout)
        self._session = session or requests.Session()
        self._headers = {**self._session.headers, "Accept": "application/json"}
        if auth_token:
            self._headers["Authorization"] = f"Token {auth_token}"
        self._drafts: dict[tuple[str, str], requests.PreparedRequest] = {}

    def has_version(self, md5: str) -> bool:
        """Whether the archive has a version with exactly this md5 (hex). False does not prove that it has not.

        Current archives ignore the filter and return every version, so `count` says nothing. Raises
        ArchiveUnavailableError or ArchiveDeploymentError.
        """
        found = self._page("versions/", {"md5": md5})["results"]
        return any(version.get("md5") == md5 for version in found)

    def find_frame(self, basename: str) -> Record | None:
        """The frame of exactly this basename; None if there is none, or if a lagging replica does not show it yet.

        Its `id`, `filename`, `url` and `version_set` are of the right types. Each version has `key`, `md5` and
        `extension`, the newest version comes first. Raises ArchiveUnavailableError or ArchiveDeploymentError.
        """
        query = {"basename": basename, "basename_exact": basename, "limit": PAGE}
        for page in range(MAX_PAGES):
            answer = self._page("frames/", {**query, "offset": page * PAGE})
            for frame in answer["results"]:
                if frame.get("basename") == basename:
                    if fault := _fault_of_frame(frame) or _fault_of_versions(frame):
                        raise ArchiveDeploymentError(
                            frame=basename, expected=f"a frame with {fault}", found="one without", hint=_NO_ARCHIVE
                        )
                    return dict(frame)
            if not answer.get("next"):
                return None
        return None

    def post_frame(self, record: Record) -> Posted | DuplicateVersion:
        """Post a record with its `version_set`. A posted frame's `id`, `filename` and `url` are of the right types.

        Raises ArchiveRefusedError, ArchiveUnavailableError or ArchiveDeploymentError.
        """
        frame = str(record.get("basename", ""))
        with self._redact.scrubbed(), _translated(frame, self._root):
            answer = self._post("frames/", record)
            if answer.status == 201:
                return Posted(_created(answer, frame, _fault_of_frame))
            refused = answer.refused_fields(record)
            if answer.status == 400 and refused:
                _refuse_other_format(answer, refused, record, frame)
                if _is_duplicate(answer, refused, frame):
                    return DuplicateVersion()
            raise _refusal(answer, frame, refused)

    def post_thumbnail(self, record: Record) -> Record:
        """Post a nested record with `frame_basename`, `size` and `version_set`; return the archive's answer.

        A thumbnail of the same basename is replaced. Raises ArchiveRefusedError, ArchiveUnavailableError or
        ArchiveDeploymentError.
        """
        frame = str(record.get("basename", ""))
        with self._redact.scrubbed(), _translated(frame, self._root):
            answer = self._post("thumbnails/", record)
            if answer.status == 201:
                return _created(answer, frame, _fault_of_thumbnail)
            raise _refusal(answer, frame, answer.refused_fields(record))

    def holdings(self) -> int:
        """How many frames the archive says it holds (an estimate).

        Raises ArchiveUnavailableError or ArchiveDeploymentError.
        """
        count = self._page("frames/", {"limit": 1}).get("count")
        if count is None:
            return 0
        if not _is_number(count):
            raise ArchiveDeploymentError(expected="a count of frames", found=type(count).__name__, hint=_NO_ARCHIVE)
        return int(count)

    def _post(self, resource: str, record: Record) -> "_Answer":
        request = self._draft("POST", resource)
        request.prepare_body(data=None, files=None, json=record)
        return self._answer(request)

    def _page(self, resource: str, query: dict[str, Any]) -> Record:
        """One page of a list, with its objects as `results`."""
        with self._redact.scrubbed(), _translated("", self._root):
            request = self._draft("GET", resource)
            request.url = f"{request.url}?{urlencode(query)}"
            answer = self._answer(request)
            if answer.status != 200:
                raise _refusal(answer, "", {})
            page = answer.json_object("")
            results = page.get("results")
            if not isinstance(results, list) or not all(isinstance(each, dict) for each in results):
                raise ArchiveDeploymentError(expected="a list of results", found=answer.said, hint=_NO_ARCHIVE)
            return page

    def _answer(self, request: requests.PreparedRequest) -> "_Answer":
        answer = self._send(request)
        if answer.status_code < 200 or answer.status_code in (204, 304):
            # More may follow on this connection, the final answer or a body that is not allowed. The next request must
            # not take it for its own answer.
            self._session.close()
        return _Answer.of(answer, self._redact)

    def _draft(self, method: str, resource: str) -> requests.PreparedRequest:
        """A request without its query or body. Cached, because the rest is always the same."""
        key = method, resource
        if key not in self._drafts:
            # Not prepared by the session, which would replace the token by a ~/.netrc entry for the host.
            self._drafts[key] = requests.Request(method, f"{self._root}{resource}", headers=self._headers).prepare()
        return self._drafts[key].copy()

    def _send(self, request: requests.PreparedRequest) -> requests.Response:
        """Send by the session's adapter, because the session itself doubles the time.

        The session searches the environment for proxies at every call. It also follows redirects, which turn a POST
        into a GET that answers 200 with a list.
        """
        cookies = self._session.cookies
        if cookies:
            request.prepare_cookies(cookies)
        adapter = self._session.get_adapter(request.url or "")
        answer = adapter.send(request, timeout=self._timeout, **self._environment)
        if "Set-Cookie" in answer.headers:
            requests.cookies.extract_cookies_to_jar(cookies, request, answer.raw)  # type: ignore[no-untyped-call]
        answer.content  # noqa: B018  # read it now, so that the connection is free for the next request
        return answer

    @cached_property
    def _environment(self) -> dict[str, Any]:
        """Proxies and CA bundle from the variables that requests knows (HTTPS_PROXY, REQUESTS_CA_BUNDLE and others)."""
        return dict(self._session.merge_environment_settings(self._root, {}, None, None, None))


@dataclass(frozen=True, slots=True)
class _Answer:
    """An answer of some server, which may not be an Archive API. Its texts hold neither secrets nor control characters.

    `at` is the address that was called, `sent` the size of the request's body in bytes, `said` a quotation of the
    answer, `location` where a redirect points, `retry_after` the wait in seconds that the server asked for.
    """

    status: int
    at: str
    sent: int
    content: bytes
    is_json: bool
    said: str
    location: str
    retry_after: float | None

    @classmethod
    def of(cls, answer: requests.Response, redact: Redactor) -> "_Answer":
        """The answer, as far as it can be trusted."""
        kind = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        text = answer.content[:_MAX_READ].decode(errors="replace")
        wait = answer.headers.get("Retry-After", "")
        return cls(
            status=answer.status_code,
            at=_without_query(answer.url),
            sent=len(answer.request.body or b""),
            content=answer.content,
            is_json=kind.endswith("json"),
            said="an HTML page" if "html" in kind else _quote(text, redact),
            location=_quote(_without_query(answer.headers.get("Location", "")), redact),
            retry_after=float(wait) if wait.isascii() and wait.isdecimal() else None,
        )

    def json_object(self, frame: str) -> Record:
        """The JSON object in it. Raises ArchiveUnavailableError if it is not JSON, else ArchiveDeploymentError."""
        try:
            body = json.loads(self.content, parse_constant=_no_number, object_pairs_hook=_unique)
        except (ValueError, RecursionError, MemoryError):  # also too deep, not UTF-8, or a number without end
            raise ArchiveUnavailableError(
                frame=frame, expected="JSON", found=f"an answer that is not JSON: {self.said}"
            ) from None
        if not isinstance(body, dict):
            raise ArchiveDeploymentError(frame=frame, expected="a JSON object", found=self.said, hint=_NO_ARCHIVE)
        return body

    def refused_fields(self, record: Record) -> Record:
        """The fields of the record that the archive refuses, and what it says about each.

        Empty if this is not an archive's refusal of the record: only an answer in JSON that complains about fields of
        the record is one. A proxy or a web server refuses every record, and a server that echoes a record does not
        complain.
        """
        if self.status not in (400, 413, 422) or not self.is_json:
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


def _created(answer: _Answer, frame: str, fault_of: Callable[[Record], str]) -> Record:
    body = answer.json_object(frame)
    if fault := fault_of(body):
        raise ArchiveDeploymentError(
            frame=frame, expected=f"201 with {fault}", found=f"201 {answer.said}", hint=_NO_ARCHIVE
        )
    return body


def _fault_of_frame(frame: Record) -> str:
    """What a frame in an answer should have, and has not; '' if it is right."""
    if not _is_id(frame.get("id")):
        return "id, a number or a text"
    wrong = [name for name in ("filename", "url") if not (frame.get(name) is None or _is_text(frame[name]))]
    return f"{wrong[0]}, a text without control characters" if wrong else ""


def _fault_of_versions(frame: Record) -> str:
    versions = frame.get("version_set")
    if not isinstance(versions, list) or not all(isinstance(version, dict) for version in versions):
        return "version_set, a list of objects"
    for version in versions:
        wrong = [name for name in ("key", "md5", "extension") if not _is_text(version.get(name))]
        if wrong:
            return f"version_set, each version with {wrong[0]}, a text without control characters"
    return ""


def _fault_of_thumbnail(thumbnail: Record) -> str:
    if not _is_id(thumbnail.get("frame")):
        return "frame, a number or a text"
    return (
        "" if thumbnail.get("url") is None or _is_text(thumbnail["url"]) else "url, a text without control characters"
    )


def _is_id(value: Any) -> bool:
    return _is_number(value) or (_is_text(value) and value != "")


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value.isprintable() and len(value) <= _MAX_TEXT


def _refuse_other_format(answer: _Answer, refused: Record, record: Record, frame: str) -> None:
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


def _is_duplicate(answer: _Answer, refused: Record, frame: str) -> bool:
    """Whether the archive has this md5. The refused fields decide, not the texts, which change between releases."""
    if set(answer.json_object(frame)) != {"version_set"}:
        return False
    versions = refused["version_set"]
    entries = list(versions.values()) if isinstance(versions, dict) else versions
    if not all(isinstance(entry, dict) and all(map(_complains, entry.values())) for entry in entries):
        return False
    fields = {field for entry in entries for field in entry}
    if fields == {"key"}:
        raise ArchiveRefusedError(
            frame=frame,
            expected="a VersionId that is new to the archive",
            found=answer.said,
            hint="Check that the bucket's versioning is on: without it every put has the same VersionId",
        )
    return fields in ({"md5"}, {"md5", "key"})


def _refusal(answer: _Answer, frame: str, refused: Record) -> IngesterError:
    """What an answer means that is not the one we want. Without a reason to blame this record, the frame waits."""
    status = answer.status
    found = f"{status} {answer.said}".strip()
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


def _quote(text: str, redact: Redactor) -> str:
    # Redacted before it is cut, because a piece of a secret may be too short to be known.
    return " ".join("".join(each if each.isprintable() else " " for each in redact(text)).split())[:_MAX_QUOTED]


def _without_query(url: str) -> str:
    """The address without what may be secret: query, fragment, user and password."""
    return re.sub(r"//[^/]*@", "//", re.split(r"[?#]", url, maxsplit=1)[0])


@contextmanager
def _translated(frame: str, root: str) -> Iterator[None]:
    """The one place where requests' errors become ours."""
    try:
        yield
    except IngesterError:
        raise
    except (
        requests.exceptions.MissingSchema,
        requests.exceptions.InvalidSchema,
        requests.exceptions.InvalidURL,
        requests.exceptions.InvalidHeader,
        requests.exceptions.InvalidProxyURL,
    ) as error:
        # The text of InvalidHeader quotes the header, and with it the token.
        raise ArchiveDeploymentError(frame=frame, found=type(error).__name__) from None
    except requests.exceptions.InvalidJSONError as error:
        if not isinstance(error, requests.exceptions.JSONDecodeError):
            raise ArchiveRefusedError(frame=frame, expected="a record that JSON can hold", found=str(error)) from error
        raise ArchiveUnavailableError(frame=frame, expected="JSON", found="an answer that is not JSON") from error
    except requests.RequestException as error:
        raise ArchiveUnavailableError(
            frame=frame, expected=f"an answer from {root}", found=f"{type(error).__name__}{_cause(error)}"
        ) from error
    except OSError as error:
        # Errors that requests does not wrap: a missing CA bundle …
        raise ArchiveDeploymentError(frame=frame, found=str(error)) from error
    except ValueError as error:
        # … and a host name or token with characters that HTTP cannot send.
        raise ArchiveDeploymentError(frame=frame, found=type(error).__name__) from None


def _cause(error: BaseException | None) -> str:
    """The text of the operating system's error, without the three exceptions around it."""
    while error is not None:
        if isinstance(error, OSError) and error.strerror:
            return f" ({error.strerror})"
        error = error.__cause__ or error.__context__
    return ""
