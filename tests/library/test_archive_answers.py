"""Whose fault an answer is: only an archive's complaint about the record's own fields is the frame's.

Every other answer may come from a proxy, a web server, a login page or a broken archive, so the frame waits.
"""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lco_ingester.archive import Archive, DuplicateVersion, Posted
from lco_ingester.exceptions import (
    ArchiveDeploymentError,
    ArchiveFailedError,
    ArchiveRefusedError,
    ArchiveUnavailableError,
    IngesterError,
)
from lco_ingester.frame import Record
from tests.support.scripted import Answer, Scripted, scripted

MD5 = "d41d8cd98f00b204e9800998ecf8427e"
VERSION = {"key": "k" * 32, "md5": MD5, "extension": ".fits"}
FLAT: Record = {"basename": "a-e00", "SITEID": "coj", "DAY-OBS": "20261122", "area": None, "version_set": [VERSION]}
NESTED: Record = {
    "basename": "a-e00",
    "headers": {"SITEID": "coj"},
    "observation_day": "2026-11-22",
    "configuration_type": "EXPOSE",
    "related_frame_filenames": ["b-e00", "c-e00"],
    "area": {"type": "Polygon", "coordinates": [[[1.0, 2.0]]]},
    "version_set": [VERSION],
}
RECORDS = {"flat": FLAT, "nested": NESTED, "thumbnail": {**NESTED, "frame_basename": "a-e00", "size": "small"}}

CALLS: dict[str, Callable[[Archive], Any]] = {
    "has_version": lambda api: api.has_version(MD5),
    "find_frame": lambda api: api.find_frame("a-e00"),
    "holdings": lambda api: api.holdings(),
    "post_frame": lambda api: api.post_frame(FLAT),
    "post a nested frame": lambda api: api.post_frame(NESTED),
    "post_thumbnail": lambda api: api.post_thumbnail(RECORDS["thumbnail"]),
}
READS, POSTS = ("has_version", "find_frame", "holdings"), ("post_frame", "post a nested frame", "post_thumbnail")
PLAIN = {"Content-Type": "text/plain"}


@pytest.fixture(scope="module")
def server() -> Iterator[Scripted]:
    with scripted(Answer()) as running:
        yield running


@pytest.fixture(scope="module")
def api(server: Scripted) -> Archive:
    return Archive(server.url, "", 10.0)


# What each status means, whatever the body is

PAGE, EMPTY, TEXT = Answer(body="<h1>nginx</h1>"), Answer(body=b"", headers=PLAIN), Answer(body=b"no", headers=PLAIN)
BODIES: dict[str, Answer] = {
    "a page": PAGE,
    "empty": EMPTY,
    "plain text": TEXT,
    "empty JSON": Answer(body=b""),
    "null": Answer(body=None),
    "a list": Answer(body=["SITEID"]),
    "a number": Answer(body=7),
    "a text": Answer(body=b'"SITEID"'),
    "an empty object": Answer(body={}),
    "detail": Answer(body={"detail": "JSON parse error - Expecting value: line 1 column 1 (char 0)"}),
    "error": Answer(body={"error": "bad gateway"}),
    "errors": Answer(body={"errors": ["bad gateway"]}),
    "errors of a CDN": Answer(body={"success": False, "errors": [{"code": 1000, "message": "no"}], "messages": []}),
    "message": Answer(body={"message": None}),
    "a field without a complaint": Answer(body={"SITEID": "coj"}),
    "a field with an empty complaint": Answer(body={"SITEID": [], "basename": [{}], "version_set": [{}]}),
    "a field in plain text": Answer(body=b'{"SITEID": ["no"], "headers": ["no"]}', headers=PLAIN),
    "a field in a page": Answer(body=b'{"basename": ["no"]}', headers={"Content-Type": "text/html"}),
    "half a complaint": Answer(body=b'{"basename": ["no"'),
    "not UTF-8": Answer(body=b'{"basename": ["\xff\xfe"]}'),
    "NaN": Answer(body=b'{"basename": ["no"], "x": NaN}'),
    "a number of many digits": Answer(body=b'{"basename": ["no"], "x": ' + b"9" * 5000 + b"}"),
    "a name twice": Answer(body=b'{"basename": ["no"], "basename": "a-e00"}'),
    "deep lists": Answer(body=b"[" * 100_000),
    "deep objects": Answer(body=b'{"basename":' * 100_000),
    "deep and closed": Answer(body=b'{"basename":' + b"[" * 50_000 + b"]" * 50_000 + b"}"),
    "a deep complaint": Answer(body=b'{"basename":' + b"[" * 500 + b'"no"' + b"]" * 500 + b"}"),
}
STATUSES: dict[int, type[IngesterError]] = {
    **dict.fromkeys((408, 409, 421, 423, 425, 429), ArchiveUnavailableError),
    **dict.fromkeys((500, 501, 502, 503, 504, 507, 511, 520, 599, 999), ArchiveFailedError),
    **dict.fromkeys(
        (401, 403, 402, 404, 405, 406, 407, 410, 411, 414, 415, 418, 431, 451, 499), ArchiveDeploymentError
    ),
    **dict.fromkeys((400, 413, 422), ArchiveDeploymentError),
    **dict.fromkeys((202, 203, 204, 205, 206, 226, 300, 301, 302, 303, 304, 307, 308), ArchiveDeploymentError),
}


@pytest.mark.parametrize("body", BODIES)
def test_what_an_answer_means_is_known_from_its_status(server: Scripted, api: Archive, body: str) -> None:
    for status, expected in STATUSES.items():
        server.tell(Answer(status, BODIES[body].body, BODIES[body].headers))
        for what, call in CALLS.items():
            with pytest.raises(IngesterError) as raised:
                call(api)
            assert type(raised.value) is expected, (status, what)
            assert str(status) in raised.value.found
            assert len(str(raised.value)) < 1000


@pytest.mark.parametrize("body", BODIES)
def test_a_success_that_is_not_an_archives_is_waited_out(server: Scripted, api: Archive, body: str) -> None:
    for status in (200, 201):
        server.tell(Answer(status, BODIES[body].body, BODIES[body].headers))
        for what, call in CALLS.items():
            with pytest.raises((ArchiveDeploymentError, ArchiveUnavailableError)):
                print(what, status, call(api))


# What blames the frame

COMPLAINTS: list[Record] = [
    {"basename": ["Ensure this field has no more than 1000 characters."]},
    {"version_set": ["This field may not be empty."]},
    {"version_set": {"non_field_errors": ["no"]}},
    {"version_set": [{"extension": ["no"]}]},
    {"version_set": {"0": {"extension": ["no"]}}},
    {"area": ["Invalid format"], "detail": "bad request"},
    {"non_field_errors": ["These fields disagree."]},
]


@pytest.mark.parametrize("status", [400, 413, 422])
@pytest.mark.parametrize("body", COMPLAINTS, ids=str)
@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=utf-8", "application/problem+json"])
def test_a_complaint_about_fields_blames_the_frame(
    server: Scripted, api: Archive, status: int, body: Record, kind: str
) -> None:
    server.tell(Answer(status, body, {"Content-Type": kind}))
    for what in POSTS:
        with pytest.raises(ArchiveRefusedError) as raised:
            CALLS[what](api)
        assert raised.value.frame == "a-e00"
    for what in READS:
        with pytest.raises(ArchiveDeploymentError):
            CALLS[what](api)


@pytest.mark.parametrize("field", ["DAY_OBS", "DAY-OBS", "observation_day", "headers"])
def test_a_required_field_that_the_record_lacks_blames_the_frame(server: Scripted, api: Archive, field: str) -> None:
    server.tell(Answer(400, {field: ["This field is required."]}))
    with pytest.raises(ArchiveRefusedError, match=field):
        api.post_frame({"basename": "a-e00", "version_set": [VERSION]})


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_key_that_is_no_field_blames_nobody(server: Scripted, api: Archive, status: int) -> None:
    server.tell(Answer(status, {"body": ["too large"], "Content-Length": ["too large"]}))
    with pytest.raises(ArchiveDeploymentError):
        api.post_frame(FLAT)


@pytest.mark.parametrize("status", [400, 413, 422])
def test_an_echo_of_the_record_blames_nobody(server: Scripted, api: Archive, status: int) -> None:
    for record in RECORDS.values():
        server.tell(Answer(status, record))
        with pytest.raises(ArchiveDeploymentError):
            api.post_frame(record)


@pytest.mark.parametrize("status", [400, 413, 422])
@pytest.mark.parametrize("said", ["already exists", "Ensure this field has no more than 32 characters."])
def test_a_version_id_that_the_archive_refuses_blames_nobody(
    server: Scripted, api: Archive, status: int, said: str
) -> None:
    for versions in ([{"key": [said]}], {"0": {"key": [said]}}, [{}, {"key": [said]}]):
        server.tell(Answer(status, {"version_set": versions}))
        for what in POSTS:
            with pytest.raises(ArchiveDeploymentError, match="VersionId"):
                CALLS[what](api)


def test_a_version_id_that_is_refused_with_a_field_of_the_file_blames_the_frame(server: Scripted, api: Archive) -> None:
    for body in (
        {"version_set": [{"key": ["no"], "extension": ["no"]}]},
        {"version_set": [{"key": ["no"]}], "SITEID": ["no"]},
    ):
        server.tell(Answer(400, body))
        with pytest.raises(ArchiveRefusedError):
            api.post_frame(FLAT)


# What the errors say


def test_a_limit_on_bodies_is_named_with_the_size_of_the_record(server: Scripted, api: Archive) -> None:
    server.tell(Answer(413, "<h1>413 Request Entity Too Large</h1>"))
    with pytest.raises(ArchiveDeploymentError, match=r"record of \d\d+ bytes.*client_max_body_size"):
        api.post_frame(FLAT)


def test_a_redirect_is_named_without_its_query(server: Scripted, api: Archive) -> None:
    server.tell(Answer(302, "", {"Location": "https://me:secret@login.example/in/?next=hush#hush"}))
    for call in CALLS.values():
        with pytest.raises(
            ArchiveDeploymentError, match=r"redirect to https://login\.example/in/, at .*API_ROOT"
        ) as raised:
            call(api)
        assert "hush" not in str(raised.value)
        assert "secret" not in str(raised.value)


def test_control_characters_of_an_answer_are_not_shown(server: Scripted, api: Archive) -> None:
    server.tell(Answer(404, b"\x1b[2J\x1b]0;title\x07 not\tfound\r\n\xff\x9b31m", PLAIN))
    with pytest.raises(ArchiveDeploymentError, match="not found") as raised:
        api.post_frame(FLAT)
    assert str(raised.value).isprintable()


@pytest.mark.parametrize(("wait", "seconds"), [("5", 5.0), ("٣", None), ("-1", None), ("1e3", None), ("inf", None)])
def test_a_wait_is_a_whole_number_of_seconds(server: Scripted, api: Archive, wait: str, seconds: float | None) -> None:
    server.tell(Answer(409, {}, {"Retry-After": wait.encode().decode("latin-1")}))
    with pytest.raises(ArchiveUnavailableError) as raised:
        api.post_frame(FLAT)
    assert raised.value.retry_after == seconds


# Types inside an answer

ODD: list[Any] = [None, True, 1.5, -1, 10**30, [], {}, "", "a\x1b[2J", "a\nb", "\ud800", "x" * 20_000, ["a"]]
FRAME: Record = {
    "id": 7, "basename": "a-e00", "filename": "a-e00.fits", "url": "http://a/b", "version_set": [VERSION],
}  # fmt: skip


@pytest.mark.parametrize("odd", ODD, ids=lambda value: repr(value)[:20])
def test_a_frame_with_an_odd_value_is_not_from_an_archive(server: Scripted, api: Archive, odd: Any) -> None:
    wrong = [{**FRAME, "id": odd}]
    wrong += [{**FRAME, name: odd} for name in ("filename", "url") if odd not in (None, "")]
    in_lists = [{**FRAME, "version_set": odd}] if odd != [] else []
    in_lists += [{**FRAME, "version_set": [odd]}] if odd != {} else []
    in_lists += [{**FRAME, "version_set": [{**VERSION, name: odd}]} for name in VERSION if odd != ""]
    for frame in wrong:
        server.tell(Answer(201, frame))
        with pytest.raises(ArchiveDeploymentError, match="expected 201 with"):
            api.post_frame(FLAT)
        server.tell(Answer(201, {**frame, "frame": frame["id"]}))
        if frame["id"] is odd or frame["url"] is odd:
            with pytest.raises(ArchiveDeploymentError, match="expected 201 with"):
                api.post_thumbnail(NESTED)
    for frame in [*wrong, *in_lists]:
        server.tell(Answer(200, {"results": [frame]}))
        with pytest.raises(ArchiveDeploymentError, match="expected a frame with"):
            api.find_frame("a-e00")


@pytest.mark.parametrize("count", ["7", "many", 1.5, True, [], -1, 10**400], ids=lambda value: repr(value)[:20])
def test_a_count_that_is_not_a_number_is_not_from_an_archive(server: Scripted, api: Archive, count: Any) -> None:
    server.tell(Answer(200, {"results": [], "count": count}))
    with pytest.raises(ArchiveDeploymentError, match="count"):
        api.holdings()


def test_what_an_archive_leaves_out_is_not_missed(server: Scripted, api: Archive) -> None:
    server.tell(Answer(201, {"id": 7}))
    assert api.post_frame(FLAT) == Posted({"id": 7})
    server.tell(Answer(201, {"id": "0b9c6f5a"}))
    assert api.post_frame(FLAT) == Posted({"id": "0b9c6f5a"})
    server.tell(Answer(200, {"results": []}))
    assert api.holdings() == 0


# An answer that comes before the answer


@contextmanager
def hinting_early() -> Iterator[str]:
    """A server that sends 103 (Early Hints) before each answer; the answers count the requests."""

    def serve(connection: socket.socket, number: list[int]) -> None:
        with connection:
            while connection.recv(65536):
                number[0] += 1
                body = json.dumps({"results": [], "count": number[0]}).encode()
                head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
                connection.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </x.css>\r\n\r\n" + head.encode() + body)

    def accept(listening: socket.socket) -> None:
        number = [0]
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection, number), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=accept, args=(listening,), daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"


def test_the_answer_to_one_request_is_never_taken_for_that_to_another() -> None:
    with hinting_early() as url:
        api = Archive(url, "", 5.0)
        for _ in range(3):
            with pytest.raises(ArchiveDeploymentError, match="103"):
                api.holdings()


# Any answer

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["id", "url", "filename", "frame", "results", "count", "next", "basename", "version_set", "key", "md5",
             "extension", "detail", "error", "SITEID", "0", "non_field_errors"]
        ) | st.text(max_size=4),
        inner,
        max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip
good = st.sampled_from([{"results": [FRAME]}, FRAME, {"version_set": [{"md5": ["no"]}]}, {"results": [VERSION]}])


@st.composite
def spoiled(draw: st.DrawFn) -> Any:
    """A good answer with one value replaced."""
    body = json.loads(json.dumps(draw(good)))
    inside = body
    while True:
        at = draw(st.sampled_from(list(inside) if isinstance(inside, dict) else range(len(inside))))
        if not isinstance(inside[at], (dict, list)) or not inside[at] or draw(st.booleans()):
            inside[at] = draw(json_values)
            return body
        inside = inside[at]


bodies = st.one_of(
    json_values.map(lambda value: json.dumps(value).encode()),
    spoiled().map(lambda value: json.dumps(value).encode()),
    st.binary(max_size=40),
    spoiled().map(lambda value: json.dumps(value).encode()[:-3]),
)
headers = st.fixed_dictionaries(
    {"Content-Type": st.sampled_from(["application/json", "text/html", "text/plain", "", "a;charset=\x7f", "JSON"])},
    optional={
        "Location": st.sampled_from(["/x?y", "http://[::1", "\x1b[2J", "//a@b/c#d"]),
        "Retry-After": st.sampled_from(["1", "9" * 400, "²", "Wed, 21 Oct 2026 07:28:00 GMT", "nan"]),
        "Set-Cookie": st.sampled_from(["a=b", "a", "=", "a=b; Max-Age=x; Expires=9999999999999", "\xff=\xff"]),
        "Content-Encoding": st.sampled_from(["gzip", "deflate", "identity", "br", "nonsense"]),
        "WWW-Authenticate": st.sampled_from(["Token", "Negotiate \xff"]),
    },
)
statuses = st.one_of(st.sampled_from([200, 201, 400, 413, 422]), st.integers(200, 599))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(statuses, headers, bodies)
def test_any_answer_is_one_of_our_errors_or_what_the_method_promises(
    server: Scripted, api: Archive, status: int, headers: dict[str, str], body: bytes
) -> None:
    for what, call in CALLS.items():
        server.tell(Answer(status, body, headers))
        shown = ""
        try:
            result = call(api)
        except ArchiveRefusedError:
            assert status in (400, 413, 422), what
            assert what in POSTS
            assert headers["Content-Type"].lower().endswith("json")
            said = json.loads(body)
            assert any(name in {**FLAT, **NESTED} or name == "non_field_errors" for name in said)
        except IngesterError as error:
            shown = str(error)
        else:
            _check_promise(what, status, result)
        assert shown.isprintable()


def _check_promise(what: str, status: int, result: Any) -> None:
    match what:
        case "has_version":
            assert isinstance(result, bool)
        case "holdings":
            assert isinstance(result, int)
        case "find_frame":
            assert result is None or (
                isinstance(result["id"], int | str)
                and all(isinstance(version[name], str) for version in result["version_set"] for name in VERSION)
            )
        case "post_thumbnail":
            assert isinstance(result["frame"], int | str)
        case _ if isinstance(result, DuplicateVersion):
            assert status == 400
        case _:
            assert isinstance(result.answer["id"], int | str)
            assert status == 201
