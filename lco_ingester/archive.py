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

from lco_ingester.archive_answers import (
    NO_ARCHIVE,
    Answer,
    created,
    fault_of_frame,
    fault_of_thumbnail,
    fault_of_versions,
    is_duplicate,
    is_number,
    refusal,
    refuse_other_format,
)
from lco_ingester.exceptions import (
    ArchiveDeploymentError,
    ArchiveRefusedError,
    ArchiveUnavailableError,
    IngesterError,
)
from lco_ingester.frame import Record
from lco_ingester.http_limits import MEBIBYTE, Call, limited, limited_call
from lco_ingester.redaction import Redactor

MAX_ANSWER = 8 * MEBIBYTE  # bytes, after decompression; a page of a list has some 100 KB
CONNECT_TIMEOUT = 10.0  # seconds, for each address of the host
PAGE = 100  # frames in one answer
MAX_PAGES = 50  # of a contains-match on the basename, if the archive is too old for an exact match
_PIECE = 64 * 1024  # bytes of an answer that are decompressed at a time


@dataclass(frozen=True, slots=True)
class Posted:
    """The archive accepted the record: its answer, with `id`, `filename` and `url`."""

    answer: Record


@dataclass(frozen=True, slots=True)
class DuplicateVersion:
    """The archive refused the record because it has this md5."""


class Archive:
    """One Archive API, over one connection that stays open. Each call ends within `timeout` seconds."""

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

        Its `id`, `filename`, `url` and `version_set` are of the right types. Each version has `key`, `md5` and
        `extension`, the newest version comes first. Raises ArchiveUnavailableError or ArchiveDeploymentError.
        """
        query = {"basename": basename, "basename_exact": basename, "limit": PAGE}
        for page in range(MAX_PAGES):
            answer = self._page("frames/", {**query, "offset": page * PAGE})
            for frame in answer["results"]:
                if frame.get("basename") == basename:
                    if fault := fault_of_frame(frame) or fault_of_versions(frame):
                        raise ArchiveDeploymentError(
                            frame=basename, expected=f"a frame with {fault}", found="one without", hint=NO_ARCHIVE
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
                return Posted(created(answer, frame, fault_of_frame))
            refused = answer.refused_fields(record)
            if answer.status == 400 and refused:
                refuse_other_format(answer, refused, record, frame)
                if is_duplicate(answer, refused, frame):
                    return DuplicateVersion()
            raise refusal(answer, frame, refused)

    def post_thumbnail(self, record: Record) -> Record:
        """Post a nested record with `frame_basename`, `size` and `version_set`; return the archive's answer.

        A thumbnail of the same basename is replaced. Raises ArchiveRefusedError, ArchiveUnavailableError or
        ArchiveDeploymentError.
        """
        frame = str(record.get("basename", ""))
        with self._redact.scrubbed(), _translated(frame, self._root):
            answer = self._post("thumbnails/", record)
            if answer.status == 201:
                return created(answer, frame, fault_of_thumbnail)
            raise refusal(answer, frame, answer.refused_fields(record))

    def holdings(self) -> int:
        """How many frames the archive says it holds (an estimate).

        Raises ArchiveUnavailableError or ArchiveDeploymentError.
        """
        count = self._page("frames/", {"limit": 1}).get("count")
        if count is None:
            return 0
        if not is_number(count):
            raise ArchiveDeploymentError(expected="a count of frames", found=type(count).__name__, hint=NO_ARCHIVE)
        return int(count)

    def _post(self, resource: str, record: Record) -> Answer:
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
                raise refusal(answer, "", {})
            page = answer.json_object("")
            results = page.get("results")
            if not isinstance(results, list) or not all(isinstance(each, dict) for each in results):
                raise ArchiveDeploymentError(expected="a list of results", found=answer.said, hint=NO_ARCHIVE)
            return page

    def _answer(self, request: requests.PreparedRequest) -> Answer:
        answer = self._send(request)
        if answer.status_code < 200 or answer.status_code in (204, 304):
            # More may follow on this connection, the final answer or a body that is not allowed. The next request must
            # not take it for its own answer.
            self._session.close()
        sent = len(request.body or b"")
        return Answer(answer.status_code, answer.headers, answer.content, answer.url, sent, self._redact)

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
