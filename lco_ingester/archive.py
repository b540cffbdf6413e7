"""The Archive API: where a frame's record is kept. The only user of requests (docs/archive-api.md)."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import urlencode

import requests
import requests.adapters
import requests.cookies

from lco_ingester.exceptions import (
    ArchiveDeploymentError,
    ArchiveFailedError,
    ArchiveRefusedError,
    ArchiveUnavailableError,
    IngesterError,
)
from lco_ingester.frame import Record
from lco_ingester.http_limits import MEBIBYTE, Call, limited, limited_call

MAX_ANSWER = 8 * MEBIBYTE  # bytes, after decompression; a page of a list has some 100 KB
CONNECT_TIMEOUT = 10.0  # seconds, for each address of the host
PAGE = 100  # frames in one answer
MAX_PAGES = 50  # of a contains-match on the basename, if the archive is too old for an exact match
# The fields that an archive of nested records misses in a flat record; and the other way round.
_ONLY_NESTED = frozenset(("headers", "observation_day", "configuration_type"))
_ONLY_FLAT = frozenset(("DAY_OBS",))
_PIECE = 64 * 1024  # bytes of an answer that are decompressed at a time
_MAX_QUOTED = 500  # characters of an answer that an error quotes


@dataclass(frozen=True, slots=True)
class Posted:
    """The archive accepted the record: its answer, with `id`, `filename` and `url`."""

    answer: Record


@dataclass(frozen=True, slots=True)
class DuplicateVersion:
    """The archive refused the record because it has this md5."""


class Archive:
    """One Archive API, over one connection that stays open. Each call ends within `timeout` seconds."""

    def __init__(self, api_root: str, auth_token: str, timeout: float, session: requests.Session | None = None) -> None:
        self._root = api_root
        self._timeout = timeout
        self._session = session or _limited_session()
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

        Raises ArchiveUnavailableError or ArchiveDeploymentError.
        """
        query = {"basename": basename, "basename_exact": basename, "limit": PAGE}
        for page in range(MAX_PAGES):
            answer = self._page("frames/", {**query, "offset": page * PAGE})
            for frame in answer["results"]:
                if frame.get("basename") == basename:
                    return dict(frame)
            if not answer.get("next"):
                return None
        return None

    def post_frame(self, record: Record) -> Posted | DuplicateVersion:
        """Post a record with its `version_set`.

        Raises ArchiveRefusedError, ArchiveUnavailableError or ArchiveDeploymentError.
        """
        frame = str(record.get("basename", ""))
        with _translated(frame, self._root):
            answer = self._post("frames/", record)
            if answer.status_code == 201:
                return Posted(_created(answer, frame, "id"))
            if answer.status_code == 400:
                _refuse_other_format(answer, record, frame)
                return _duplicate(answer, frame)
            raise _refusal(answer, frame)

    def post_thumbnail(self, record: Record) -> Record:
        """Post a nested record with `frame_basename`, `size` and `version_set`; return the archive's answer.

        A thumbnail of the same basename is replaced. Raises ArchiveRefusedError, ArchiveUnavailableError or
        ArchiveDeploymentError.
        """
        frame = str(record.get("basename", ""))
        with _translated(frame, self._root):
            answer = self._post("thumbnails/", record)
            if answer.status_code == 201:
                return _created(answer, frame, "frame")
            raise _refusal(answer, frame)

    def holdings(self) -> int:
        """How many frames the archive says it holds (an estimate).

        Raises ArchiveUnavailableError or ArchiveDeploymentError.
        """
        return int(self._page("frames/", {"limit": 1}).get("count") or 0)

    def _post(self, resource: str, record: Record) -> requests.Response:
        request = self._draft("POST", resource)
        request.prepare_body(data=None, files=None, json=record)
        return self._send(request)

    def _page(self, resource: str, query: dict[str, Any]) -> Record:
        """One page of a list, with its objects as `results`."""
        with _translated("", self._root):
            request = self._draft("GET", resource)
            request.url = f"{request.url}?{urlencode(query)}"
            answer = self._send(request)
            if answer.status_code != 200:
                raise _refusal(answer, "")
            page = _json_object(answer, "")
            results = page.get("results")
            if not isinstance(results, list) or not all(isinstance(each, dict) for each in results):
                raise _no_archive(answer, "", "a list of results")
            return page

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
        with limited_call(self._timeout, MAX_ANSWER, ArchiveUnavailableError) as call:
            answer = adapter.send(request, timeout=(CONNECT_TIMEOUT, self._timeout), **self._environment)
            if "Set-Cookie" in answer.headers:
                requests.cookies.extract_cookies_to_jar(cookies, request, answer.raw)  # type: ignore[no-untyped-call]
            _read_content(answer, call)  # now, so that the connection is free for the next request
        return answer

    @cached_property
    def _environment(self) -> dict[str, Any]:
        """Proxies and CA bundle from the variables that requests knows (HTTPS_PROXY, REQUESTS_CA_BUNDLE and others)."""
        return dict(self._session.merge_environment_settings(self._root, {}, None, None, None))


class _LimitedAdapter(requests.adapters.HTTPAdapter):
    """requests' own adapter, with connections that keep to the limits of a call."""

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = limited(self.poolmanager.pool_classes_by_scheme)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **options)
        manager.pool_classes_by_scheme = limited(manager.pool_classes_by_scheme)
        return manager


def _limited_session() -> requests.Session:
    session = requests.Session()
    session.mount("http://", _LimitedAdapter())
    session.mount("https://", _LimitedAdapter())
    return session


def _read_content(answer: requests.Response, call: Call) -> None:
    """Read the body as `answer.content` does, but stop where it is too large, also after decompression."""
    body = bytearray()
    try:
        for piece in answer.iter_content(_PIECE):
            body += piece
            call.check_size(len(body))
    except BaseException:
        answer.close()  # the rest of the answer is still on this connection
        raise
    answer._content = bytes(body)


def _created(answer: requests.Response, frame: str, demanded: str) -> Record:
    body = _json_object(answer, frame)
    if demanded not in body:
        raise ArchiveDeploymentError(frame=frame, expected=f"201 with {demanded}", found="201 without")
    return body


def _refuse_other_format(answer: requests.Response, record: Record, frame: str) -> None:
    """Each kind of archive refuses the other kind's records, because of the fields that it misses in them."""
    refused = set(_json_object(answer, frame))
    if isinstance(record.get("headers"), dict):
        sent, other = "nested (ocs)", "lco" if refused == _ONLY_FLAT else ""
    else:
        sent, other = "flat (lco)", "ocs" if refused >= _ONLY_NESTED else ""
    if other:
        raise ArchiveDeploymentError(
            frame=frame,
            expected=f"an archive of {sent} records",
            found=f"an archive of other records: {_quote(answer)}",
            hint=f"Set ARCHIVE_RECORD_FORMAT={other}, or check API_ROOT: the archive refuses every frame like this",
        )


def _duplicate(answer: requests.Response, frame: str) -> DuplicateVersion:
    """What a 400 means. The refused fields decide, not the texts, which change between releases."""
    fields = _refused_fields(_json_object(answer, frame))
    if fields == {"md5"} or fields == {"md5", "key"}:
        return DuplicateVersion()
    if fields == {"key"}:
        raise ArchiveRefusedError(
            frame=frame,
            expected="a VersionId that is new to the archive",
            found=_quote(answer),
            hint="Check that the bucket's versioning is on: without it every put has the same VersionId",
        )
    raise ArchiveRefusedError(frame=frame, expected="201", found=f"400 {_quote(answer)}")


def _refused_fields(body: Record) -> set[str] | None:
    """The refused fields of the version, if only the version is refused; else None."""
    if set(body) != {"version_set"}:
        return None
    versions = body["version_set"]
    entries = list(versions.values()) if isinstance(versions, dict) else versions
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        return None
    return {field for entry in entries for field in entry}


def _refusal(answer: requests.Response, frame: str) -> IngesterError:
    status = answer.status_code
    found = f"{status} {_quote(answer)}"
    if status == 429:
        return ArchiveUnavailableError(frame=frame, found=found, retry_after=_retry_after(answer))
    if status >= 500:
        return ArchiveFailedError(frame=frame, found=found, retry_after=_retry_after(answer))
    if status in (401, 403):
        return ArchiveDeploymentError(
            frame=frame, found=found, hint="Check AUTH_TOKEN: posting needs a superuser's token"
        )
    if status in (400, 413, 422):
        return ArchiveRefusedError(frame=frame, found=found)
    # Redirects, 404, 405 and other answers of a server that is not an Archive API.
    return ArchiveDeploymentError(
        frame=frame, found=f"{found} at {answer.url.split('?')[0]}", hint="Check API_ROOT, its scheme and its path"
    )


def _json_object(answer: requests.Response, frame: str) -> Record:
    body = answer.json()
    if not isinstance(body, dict):
        raise _no_archive(answer, frame, "a JSON object")
    return body


def _no_archive(answer: requests.Response, frame: str, expected: str) -> ArchiveDeploymentError:
    return ArchiveDeploymentError(
        frame=frame, expected=expected, found=_quote(answer), hint="Check API_ROOT: is this an Archive API?"
    )


def _retry_after(answer: requests.Response) -> float | None:
    seconds = answer.headers.get("Retry-After", "")
    return float(seconds) if seconds.isdecimal() else None


def _quote(answer: requests.Response) -> str:
    if "html" in answer.headers.get("Content-Type", ""):
        return "an HTML page"
    # Not answer.text, which may search megabytes for their encoding.
    beginning = answer.content[: 8 * _MAX_QUOTED].decode("utf-8", "replace")
    return " ".join(beginning.split())[:_MAX_QUOTED]


@contextmanager
def _translated(frame: str, root: str) -> Iterator[None]:
    """The one place where requests' errors become ours."""
    try:
        yield
    except IngesterError as error:
        error.frame = error.frame or frame
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
