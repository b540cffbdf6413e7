"""The Archive API: where a frame's record is kept. The only user of requests (docs/archive-api.md)."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any
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

CONNECT_TIMEOUT = 10.0  # seconds
PAGE = 100  # frames asked for at a time
MOST_PAGES = 50  # of a contains-match on the basename, where the archive is too old for an exact one
# What an archive of nested records misses in a flat one, and all that one of flat records says of a nested one.
_ONLY_NESTED = frozenset(("headers", "observation_day", "configuration_type"))
_ONLY_FLAT = frozenset(("DAY_OBS",))
_SHOWN = 500  # characters of an answer that an error quotes


@dataclass(frozen=True, slots=True)
class Posted:
    """The archive took the record: its answer, with `id`, `filename` and `url`."""

    answer: Record


@dataclass(frozen=True, slots=True)
class DuplicateVersion:
    """The archive refused the record because it has this md5."""


class Archive:
    """One Archive API, spoken to over one connection that is kept open."""

    def __init__(self, api_root: str, auth_token: str, timeout: float, session: requests.Session | None = None) -> None:
        self._root = api_root
        self._timeout = (CONNECT_TIMEOUT, timeout)
        self._session = session or requests.Session()
        self._headers = {**self._session.headers, "Accept": "application/json"}
        if auth_token:
            self._headers["Authorization"] = f"Token {auth_token}"
        self._drafts: dict[tuple[str, str], requests.PreparedRequest] = {}

    def has_version(self, md5: str) -> bool:
        """Whether a version with exactly this md5 (hex) is known; False is no proof.

        Current archives ignore the filter and answer with every version, so `count` means nothing. Raises
        ArchiveUnavailableError or ArchiveDeploymentError.
        """
        found = self._page("versions/", {"md5": md5})["results"]
        return any(version.get("md5") == md5 for version in found)

    def find_frame(self, basename: str) -> Record | None:
        """The frame of exactly this basename; None if there is none, or a lagging replica does not show it yet.

        Raises ArchiveUnavailableError or ArchiveDeploymentError.
        """
        query = {"basename": basename, "basename_exact": basename, "limit": PAGE}
        for page in range(MOST_PAGES):
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
        """A request that lacks only its query or body: all else of it is the same each time."""
        key = method, resource
        if key not in self._drafts:
            # Prepared by itself, for the session would put a ~/.netrc entry for the host in the token's place.
            self._drafts[key] = requests.Request(method, f"{self._root}{resource}", headers=self._headers).prepare()
        return self._drafts[key].copy()

    def _send(self, request: requests.PreparedRequest) -> requests.Response:
        """By the session's adapter: what the session itself does beside that takes as long again.

        It searches the environment for proxies at every call, and follows redirects, which would turn the POST into a
        GET that answers 200 with a list.
        """
        cookies = self._session.cookies
        if cookies:
            request.prepare_cookies(cookies)
        adapter = self._session.get_adapter(request.url or "")
        answer = adapter.send(request, timeout=self._timeout, **self._environment)
        if "Set-Cookie" in answer.headers:
            requests.cookies.extract_cookies_to_jar(cookies, request, answer.raw)  # type: ignore[no-untyped-call]
        answer.content  # noqa: B018  # read now, so that the connection is free again whatever becomes of the answer
        return answer

    @cached_property
    def _environment(self) -> dict[str, Any]:
        """Proxies and CA bundle from the variables that requests knows (HTTPS_PROXY, REQUESTS_CA_BUNDLE and others)."""
        return dict(self._session.merge_environment_settings(self._root, {}, None, None, None))


def _created(answer: requests.Response, frame: str, demanded: str) -> Record:
    body = _json_object(answer, frame)
    if demanded not in body:
        raise ArchiveDeploymentError(frame=frame, expected=f"201 with {demanded}", found="201 without")
    return body


def _refuse_other_format(answer: requests.Response, record: Record, frame: str) -> None:
    """Each kind of archive refuses the other's records by what it misses in them."""
    refused = set(_json_object(answer, frame))
    if isinstance(record.get("headers"), dict):
        sent, other = "nested (ocs)", "lco" if refused == _ONLY_FLAT else ""
    else:
        sent, other = "flat (lco)", "ocs" if refused >= _ONLY_NESTED else ""
    if other:
        raise ArchiveDeploymentError(
            frame=frame,
            expected=f"an archive of {sent} records",
            found=f"one that asks for others: {_quote(answer)}",
            hint=f"Set ARCHIVE_RECORD_FORMAT={other}, or check API_ROOT: every frame will be refused alike",
        )


def _duplicate(answer: requests.Response, frame: str) -> DuplicateVersion:
    """What a 400 means: the place that is refused tells, not the words, which change between releases."""
    fields = _refused_fields(_json_object(answer, frame))
    if fields == {"md5"} or fields == {"md5", "key"}:
        return DuplicateVersion()
    if fields == {"key"}:
        raise ArchiveRefusedError(
            frame=frame,
            expected="a VersionId that the archive does not know yet",
            found=_quote(answer),
            hint="Check that versioning is on in the bucket, for without it every put has the same VersionId",
        )
    raise ArchiveRefusedError(frame=frame, expected="201", found=f"400 {_quote(answer)}")


def _refused_fields(body: Record) -> set[str] | None:
    """The refused fields of the version, if nothing but the version is refused; else None."""
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
    # Redirects, 404, 405 and whatever else a server answers that is no Archive API.
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
    return " ".join(answer.text.split())[:_SHOWN]


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
        raise ArchiveUnavailableError(frame=frame, expected="JSON", found="an answer that is none") from error
    except requests.RequestException as error:
        raise ArchiveUnavailableError(
            frame=frame, expected=f"an answer from {root}", found=f"{type(error).__name__}{_cause(error)}"
        ) from error
    except OSError as error:
        # What requests lets through: a CA bundle that is not there …
        raise ArchiveDeploymentError(frame=frame, found=str(error)) from error
    except ValueError as error:
        # … and a host name or a token with characters that cannot be sent.
        raise ArchiveDeploymentError(frame=frame, found=type(error).__name__) from None


def _cause(error: BaseException | None) -> str:
    """What the operating system said, without the three layers of names that are wrapped around it."""
    while error is not None:
        if isinstance(error, OSError) and error.strerror:
            return f" ({error.strerror})"
        error = error.__cause__ or error.__context__
    return ""
