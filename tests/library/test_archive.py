"""The Archive API: what its answers mean, and what every error of requests becomes (docs/archive-api.md)."""

import inspect
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from requests import exceptions as http

from lco_ingester.archive import Archive, DuplicateVersion, Posted
from lco_ingester.exceptions import (
    ArchiveDeploymentError,
    ArchiveFailedError,
    ArchiveRefusedError,
    ArchiveUnavailableError,
    BackoffRetryError,
    DoNotRetryError,
    IngesterError,
)
from lco_ingester.frame import Record
from tests.support.scripted import Answer, Scripted, closed_port, scripted, silent_port
from tests.support.servers import ArchiveServer, running_archive
from tests.support.synthetic import CARDS, new_basename

TOKEN = "hush-hush-token"
NUMBERS = count(1)


def client(url: str, token: str = TOKEN, timeout: float = 10.0) -> Archive:
    return Archive(url, token, timeout)


def record(**changes: Any) -> Record:
    """A record that the archive takes, with a version unlike all others; `key` and `md5` change the version."""
    number = next(NUMBERS)
    version = {"key": changes.pop("key", f"{number:032d}"), "md5": changes.pop("md5", f"{number + 10**9:032x}")}
    made = {**CARDS, "basename": new_basename(), "area": None, "version_set": [{**version, "extension": ".fits"}]}
    return made | changes


def version_of(posted: Record) -> dict[str, str]:
    return dict(posted["version_set"][0])


@pytest.fixture
def api(archive: ArchiveServer) -> Archive:
    return client(archive.url, archive.token)


@pytest.fixture(scope="module")
def server() -> Iterator[Scripted]:
    """A server with answers that a test gives it."""
    with scripted(Answer()) as running:
        yield running


CALLS: list[Callable[[Archive], Any]] = [
    lambda api: api.has_version("d41d8cd98f00b204e9800998ecf8427e"),
    lambda api: api.find_frame("a-e00"),
    lambda api: api.post_frame(record()),
    lambda api: api.holdings(),
]
each_call = pytest.mark.parametrize("call", CALLS, ids=["has_version", "find_frame", "post_frame", "holdings"])


# Posting


def test_a_new_frame_is_posted(api: Archive, archive: ArchiveServer) -> None:
    new = record()
    posted = api.post_frame(new)
    assert isinstance(posted, Posted)
    assert posted.answer["filename"] == f"{new['basename']}.fits"
    assert posted.answer["id"] in [frame["id"] for frame in archive.frames()]


def test_a_new_version_of_a_known_frame_is_posted_under_the_same_id(api: Archive) -> None:
    first = record()
    second = record(basename=first["basename"])
    answers = [api.post_frame(first), api.post_frame(second)]
    assert len({answer.answer["id"] for answer in answers if isinstance(answer, Posted)}) == 1


@pytest.fixture(scope="module", params=["list", "dict"])
def refusing(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    """Archives of both framework releases, which shape their refusals differently."""
    directory = tmp_path_factory.mktemp("refusing")
    with running_archive(directory, dict_refusals=request.param == "dict") as running:
        yield client(running.url, running.token)


def test_an_identical_repost_is_a_duplicate_with_its_key(refusing: Archive) -> None:
    known = record()
    refusing.post_frame(known)
    assert refusing.post_frame(known) == DuplicateVersion()


def test_the_same_bytes_under_another_version_are_a_duplicate(refusing: Archive) -> None:
    known = record()
    refusing.post_frame(known)
    assert refusing.post_frame(record(md5=version_of(known)["md5"])) == DuplicateVersion()


def test_a_repeated_version_of_other_bytes_waits_with_a_hint_at_the_bucket(refusing: Archive) -> None:
    known = record()
    refusing.post_frame(known)
    with pytest.raises(ArchiveDeploymentError, match="versioning is on"):
        refusing.post_frame(record(key=version_of(known)["key"]))


def test_a_duplicate_among_other_faults_is_a_refusal(refusing: Archive) -> None:
    known = record()
    refusing.post_frame(known)
    with pytest.raises(ArchiveRefusedError, match="SITEID"):
        refusing.post_frame({**known, "SITEID": "too long"})


@pytest.mark.parametrize(
    "body",
    [
        {"version_set": ["This field may not be empty."]},
        {"version_set": {"non_field_errors": ["no"]}},
        {"version_set": [{"md5": ["no"], "extension": ["no"]}]},
        {"version_set": [{"md5": ["no"]}], "SITEID": ["no"]},
        {"version_set": {"0": {"extension": ["no"]}}},
    ],
    ids=str,
)
def test_other_refusals_are_none_of_a_duplicate(server: Scripted, body: Any) -> None:
    server.tell(Answer(400, body))
    with pytest.raises(ArchiveRefusedError):
        client(server.url).post_frame(record())


def test_words_do_not_matter_where_a_duplicate_is_recognised(server: Scripted) -> None:
    server.tell(Answer(400, {"version_set": [{"md5": ["Wert schon vorhanden"]}]}))
    assert client(server.url).post_frame(record()) == DuplicateVersion()


def test_a_refusal_shows_what_the_archive_says(api: Archive) -> None:
    with pytest.raises(ArchiveRefusedError) as raised:
        api.post_frame(record(basename="a-e00", SITEID="coj1"))
    assert "no more than 3 characters" in raised.value.found
    assert raised.value.frame == "a-e00"
    assert isinstance(raised.value, DoNotRetryError)


@pytest.mark.parametrize(
    ("fields", "sent", "other"),
    [
        (("headers", "observation_day", "configuration_type", "related_frame_filenames"), {}, "ocs"),
        (("DAY_OBS",), {"headers": {"SITEID": "coj"}}, "lco"),
    ],
)
def test_an_archive_of_other_records_is_a_trouble_of_the_deployment(
    server: Scripted, fields: tuple[str, ...], sent: dict[str, Any], other: str
) -> None:
    server.tell(Answer(400, {field: ["This field is required."] for field in fields}))
    with pytest.raises(ArchiveDeploymentError, match=f"Set ARCHIVE_RECORD_FORMAT={other}"):
        client(server.url).post_frame(record(**sent))


@pytest.mark.parametrize(
    ("fields", "sent"),
    [(("DAY_OBS",), {}), (("DAY_OBS", "SITEID"), {"headers": {}}), (("observation_day",), {"headers": {}})],
)
def test_a_refusal_of_one_field_is_of_this_record_alone(
    server: Scripted, fields: tuple[str, ...], sent: dict[str, Any]
) -> None:
    server.tell(Answer(400, {field: ["This field is required."] for field in fields}))
    with pytest.raises(ArchiveRefusedError):
        client(server.url).post_frame(record(**sent))


def test_a_long_refusal_is_cut(server: Scripted) -> None:
    server.tell(Answer(400, {"SITEID": ["long " * 10000]}))
    with pytest.raises(ArchiveRefusedError) as raised:
        client(server.url).post_frame(record())
    assert len(str(raised.value)) < 1000


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_record_that_json_cannot_hold_is_refused_before_it_is_sent(server: Scripted, value: float) -> None:
    server.tell(Answer())
    with pytest.raises(ArchiveRefusedError, match="JSON"):
        client(server.url).post_frame(record(EXPTIME=value))
    assert server.asked == []


def test_201_without_an_id_is_not_from_an_archive(server: Scripted) -> None:
    server.tell(Answer(201, {"name": "something else"}))
    with pytest.raises(ArchiveDeploymentError, match="201 with id"):
        client(server.url).post_frame(record())


@pytest.mark.parametrize("status", [200, 202, 204])
def test_only_201_means_posted(server: Scripted, status: int) -> None:
    server.tell(Answer(status, {"id": 7}))
    with pytest.raises(ArchiveDeploymentError):
        client(server.url).post_frame(record())


def test_a_post_is_never_turned_into_a_get_by_a_redirect(archive: ArchiveServer, server: Scripted) -> None:
    server.tell(Answer(301, "", {"Location": f"{archive.url}frames/"}))
    with pytest.raises(ArchiveDeploymentError, match="301"):
        client(server.url, archive.token).post_frame(record())
    assert len(server.asked) == 1


# Answers that mean the same whatever was asked


@each_call
@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Answer(401, {"detail": "Invalid token."}), ArchiveDeploymentError),
        (Answer(403, {"detail": "You do not have permission."}), ArchiveDeploymentError),
        (Answer(404, "<html>Not found</html>"), ArchiveDeploymentError),
        (Answer(405, {"detail": "Method not allowed."}), ArchiveDeploymentError),
        (Answer(301, "", {"Location": "/elsewhere/"}), ArchiveDeploymentError),
        (Answer(302, "", {"Location": "/login/"}), ArchiveDeploymentError),
        (Answer(413, "<html>too large</html>"), ArchiveDeploymentError),
        (Answer(429, {"detail": "throttled"}), ArchiveUnavailableError),
        (Answer(500, "<html>\n<h1>Server Error</h1>\n</html>"), ArchiveFailedError),
        (Answer(502, ""), ArchiveFailedError),
        (Answer(503, {"detail": "down"}), ArchiveFailedError),
    ],
    ids=lambda value: str(getattr(value, "status", "")),
)
def test_an_answer_becomes_the_error_it_means(
    server: Scripted, call: Callable[[Archive], Any], answer: Answer, error: type[IngesterError]
) -> None:
    server.tell(answer)
    with pytest.raises(error) as raised:
        call(client(server.url))
    assert type(raised.value) is error
    assert str(answer.status) in raised.value.found
    assert "<" not in str(raised.value), "a page is not quoted"
    assert TOKEN not in str(raised.value)


def test_a_page_instead_of_a_list_is_tried_again_later(server: Scripted) -> None:
    server.tell(Answer(200, "<html>Please log in</html>"))
    for call in (CALLS[0], CALLS[1], CALLS[3]):
        with pytest.raises(ArchiveUnavailableError, match="JSON"):
            call(client(server.url))


def test_a_page_instead_of_the_answer_to_a_post_is_tried_again_later(server: Scripted) -> None:
    server.tell(Answer(201, "<html>proxy</html>"))
    with pytest.raises(ArchiveUnavailableError, match="JSON"):
        client(server.url).post_frame(record())


@each_call
@pytest.mark.parametrize("body", [[], ["a"], 7, None, {}, {"results": None}, {"results": 7}, {"results": [7]}], ids=str)
def test_json_of_another_shape_is_of_no_archive(server: Scripted, call: Callable[[Archive], Any], body: Any) -> None:
    server.tell(Answer(200, body))
    with pytest.raises(ArchiveDeploymentError, match="API_ROOT"):
        call(client(server.url))


@pytest.mark.parametrize(("header", "seconds"), [("7200", 7200.0), ("Wed, 21 Oct 2026 07:28:00 GMT", None), ("", None)])
@pytest.mark.parametrize("status", [429, 503])
def test_the_archive_may_say_how_long_to_wait(
    server: Scripted, status: int, header: str, seconds: float | None
) -> None:
    server.tell(Answer(status, {}, {"Retry-After": header}))
    with pytest.raises(ArchiveUnavailableError) as raised:
        client(server.url).has_version("a")
    assert raised.value.retry_after == seconds
    assert isinstance(raised.value, BackoffRetryError)


@each_call
def test_a_wrong_token_is_a_trouble_of_the_deployment(archive: ArchiveServer, call: Callable[[Archive], Any]) -> None:
    with pytest.raises(ArchiveDeploymentError, match="AUTH_TOKEN") as raised:
        call(client(archive.url))
    assert TOKEN not in str(raised.value)


# Connections that fail


@each_call
def test_an_archive_that_is_down_is_worth_a_later_try(call: Callable[[Archive], Any]) -> None:
    with pytest.raises(ArchiveUnavailableError, match="Connection refused") as raised:
        call(client(f"http://127.0.0.1:{closed_port()}/"))
    assert TOKEN not in str(raised.value)


@each_call
def test_a_silent_archive_is_given_up_after_the_time_out(call: Callable[[Archive], Any]) -> None:
    with silent_port() as port, pytest.raises(ArchiveUnavailableError, match=r"within 0\.1 s"):
        call(client(f"http://127.0.0.1:{port}/", timeout=0.1))


@pytest.mark.parametrize("kind", ["drop_answer", "cut", "down"])
def test_a_post_whose_answer_is_lost_is_tried_again_later(api: Archive, archive: ArchiveServer, kind: str) -> None:
    new = record()
    archive.faults(kind=kind, method="POST", times=1)
    with pytest.raises(ArchiveUnavailableError) as raised:
        api.post_frame(new)
    assert not isinstance(raised.value, ArchiveFailedError)
    again = api.post_frame(new)
    assert again == DuplicateVersion() if kind != "down" else isinstance(again, Posted)


@pytest.mark.parametrize("token", [f"{TOKEN}\n", f"{TOKEN}…", f" {TOKEN}\r\nX: y"])
def test_a_token_that_cannot_be_sent_is_a_trouble_of_the_deployment_and_is_not_shown(
    archive: ArchiveServer, token: str
) -> None:
    with pytest.raises(ArchiveDeploymentError) as raised:
        client(archive.url, token).has_version("a")
    assert TOKEN not in str(raised.value)
    assert raised.value.__suppress_context__


@pytest.mark.parametrize(
    "url", ["http://[::1/", "http://a..b/", "http://localhost:99999/", "ftp://archive/", "http:///"]
)
def test_an_invalid_address_is_a_deployment_error(url: str) -> None:
    with pytest.raises(ArchiveDeploymentError, match="API_ROOT"):
        client(url).has_version("a")


def test_the_token_is_not_replaced_by_one_of_a_netrc_file(
    archive: ArchiveServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login someone password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    assert client(archive.url, archive.token).has_version("a") is False


@pytest.fixture
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment that names neither proxies nor a CA bundle."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "requests_ca_bundle", "curl_ca_bundle"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return monkeypatch


def test_the_way_leads_through_the_proxy_of_the_environment(
    server: Scripted, plain_environment: pytest.MonkeyPatch
) -> None:
    plain_environment.setenv("HTTP_PROXY", server.url)
    server.tell(Answer(200, {"results": []}))
    client("http://archive.invalid/").has_version("a")
    assert server.asked[0].headers["host"] == "archive.invalid"


def test_no_proxy_is_asked_for_a_host_that_needs_none(server: Scripted, plain_environment: pytest.MonkeyPatch) -> None:
    plain_environment.setenv("HTTP_PROXY", f"http://localhost:{closed_port()}")
    plain_environment.setenv("NO_PROXY", str(urlsplit(server.url).hostname))
    server.tell(Answer(200, {"results": []}))
    client(server.url).has_version("a")
    assert len(server.asked) == 1


def test_the_environment_is_looked_at_once(server: Scripted, plain_environment: pytest.MonkeyPatch) -> None:
    server.tell(Answer(200, {"results": []}))
    api = client(server.url)
    api.has_version("a")
    plain_environment.setenv("HTTP_PROXY", f"http://localhost:{closed_port()}")
    api.has_version("a")
    assert len(server.asked) == 2


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_a_ca_bundle_that_is_not_there_is_a_trouble_of_the_deployment(
    name: str, plain_environment: pytest.MonkeyPatch
) -> None:
    plain_environment.setenv(name, "/nowhere/bundle.pem")
    with pytest.raises(ArchiveDeploymentError, match=r"/nowhere/bundle\.pem"):
        client("https://archive.invalid/").has_version("a")


def test_a_cookie_is_sent_back(server: Scripted) -> None:
    server.tell(Answer(200, {"results": []}, {"Set-Cookie": "replica=2"}))
    api = client(server.url)
    api.has_version("a")
    api.has_version("a")
    assert server.asked[1].headers["cookie"] == "replica=2"


def test_a_cookie_that_is_taken_back_is_sent_no_more(server: Scripted) -> None:
    api = client(server.url)
    for cookie in ("replica=2", "replica=2; Max-Age=0"):
        server.tell(Answer(200, {"results": []}, {"Set-Cookie": cookie}))
        api.has_version("a")
    api.has_version("a")
    assert "cookie" not in server.asked[-1].headers


def test_without_a_token_none_is_sent(server: Scripted) -> None:
    server.tell(Answer(200, {"results": []}))
    client(server.url, token="").has_version("a")
    assert "authorization" not in server.asked[0].headers


def test_one_connection_serves_many_calls(
    api: Archive, archive: ArchiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.has_version("a")
    with monkeypatch.context() as patched:
        patched.setattr("urllib3.util.connection.create_connection", None)
        for call in CALLS:
            call(api)


# Looking things up


@pytest.fixture(scope="module", params=["filters", "ignores its filters"])
def reading(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    """Archives that heed the md5 filter and the exact basename, and ones that ignore both."""
    ignores = request.param != "filters"
    directory = tmp_path_factory.mktemp("reading")
    with running_archive(directory, ignores_md5_filter=ignores, ignores_basename_exact=ignores) as running:
        yield client(running.url, running.token)


def test_a_version_is_known_by_exactly_its_md5(reading: Archive) -> None:
    known = version_of(posted := record())
    assert reading.has_version(known["md5"]) is False
    reading.post_frame(posted)
    assert reading.has_version(known["md5"]) is True
    assert reading.has_version(f"{77:032x}") is False
    assert reading.has_version("") is False


def test_a_frame_is_found_by_exactly_its_basename(reading: Archive) -> None:
    posted = record()
    for suffix in ("_cat", "-2", ""):
        reading.post_frame(record(basename=posted["basename"] + suffix))
    found = reading.find_frame(posted["basename"])
    assert found is not None
    assert found["basename"] == posted["basename"]
    assert {"id", "url", "version_set"} <= found.keys()
    assert reading.find_frame(posted["basename"][:-1]) is None
    assert reading.find_frame("no-such-frame") is None


def test_a_frame_is_found_on_a_later_page_of_a_contains_match(server: Scripted) -> None:
    def page(first: int) -> dict[str, Any]:
        return {"next": "more", "results": [{"basename": f"a-e00-{number}"} for number in range(first, first + 100)]}

    wanted = {"basename": "a-e00", "id": 7, "version_set": []}
    server.tell(Answer(200, page(0)), Answer(200, page(100)), Answer(200, {"next": None, "results": [wanted]}))
    assert client(server.url).find_frame("a-e00") == wanted
    assert [asked.query["offset"] for asked in server.asked] == [["0"], ["100"], ["200"]]
    assert all(asked.query["basename"] == asked.query["basename_exact"] == ["a-e00"] for asked in server.asked)


def test_the_search_for_a_frame_has_an_end(server: Scripted) -> None:
    server.tell(Answer(200, {"next": "more", "results": []}))
    assert client(server.url).find_frame("a-e00") is None
    assert len(server.asked) == 50


def test_a_lagging_replica_does_not_show_a_frame_yet(tmp_path: Path) -> None:
    with running_archive(tmp_path, lag_seconds=60) as running:
        api = client(running.url, running.token)
        posted = record()
        api.post_frame(posted)
        assert api.find_frame(posted["basename"]) is None
        assert api.post_frame(posted) == DuplicateVersion()


def test_the_archive_says_how_much_it_holds(api: Archive) -> None:
    before = api.holdings()
    api.post_frame(record())
    assert api.holdings() == before + 1


# Errors of requests

UNAVAILABLE = {
    "RequestException", "HTTPError", "ConnectionError", "ProxyError", "SSLError", "Timeout", "ConnectTimeout",
    "ReadTimeout", "TooManyRedirects", "ChunkedEncodingError", "ContentDecodingError", "StreamConsumedError",
    "RetryError", "UnrewindableBodyError", "JSONDecodeError", "URLRequired",
}  # fmt: skip
DEPLOYMENT = {"MissingSchema", "InvalidSchema", "InvalidURL", "InvalidHeader", "InvalidProxyURL"}
REFUSED = {"InvalidJSONError"}
REASONS = {
    "RequestsWarning": "a warning",
    "FileModeWarning": "a warning",
    "RequestsDependencyWarning": "a warning",
}


def requests_errors() -> Iterator[type[Exception]]:
    for each in vars(http).values():
        if inspect.isclass(each) and issubclass(each, Exception) and each.__module__ == http.__name__:
            yield each


def test_every_error_of_requests_is_accounted_for() -> None:
    names = {each.__name__ for each in requests_errors()}
    assert names == UNAVAILABLE | DEPLOYMENT | REFUSED | REASONS.keys(), "new in this release of requests?"


@pytest.mark.parametrize("error", [each for each in requests_errors() if each.__name__ not in REASONS])
def test_every_error_of_requests_becomes_one_of_ours(error: type[Exception]) -> None:
    class FailingAdapter(requests.adapters.BaseAdapter):
        def send(self, *_: Any, **__: Any) -> requests.Response:
            raise error("hush", "", 0) if issubclass(error, http.JSONDecodeError) else error("so")

        def close(self) -> None: ...

    session = requests.Session()
    session.mount("http://", FailingAdapter())
    expected = next(
        mapped
        for names, mapped in (
            (UNAVAILABLE, ArchiveUnavailableError),
            (DEPLOYMENT, ArchiveDeploymentError),
            (REFUSED, ArchiveRefusedError),
        )
        if error.__name__ in names
    )
    for call in CALLS:
        with pytest.raises(expected) as raised:
            call(Archive("http://archive.example/", TOKEN, 1.0, session))
        assert type(raised.value) is expected
