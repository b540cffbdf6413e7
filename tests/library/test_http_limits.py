"""A call of S3 or the Archive API ends in time, whatever the server does, and its answer fits into memory."""

import gzip
import hashlib
import io
import signal
import socket
import ssl
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from celery.exceptions import SoftTimeLimitExceeded

from lco_ingester.archive import MAX_ANSWER, Archive
from lco_ingester.exceptions import ArchiveUnavailableError, BackoffRetryError, IngesterError, StoreUnavailableError
from lco_ingester.record.stored_object import StoredObject
from lco_ingester.store import EXPECT_FROM, Store, open_store
from tests.support.raw_server import RawServer, Told, full_port, make_certificate, raw_server, whole

TIMEOUT = 0.3  # seconds of a whole call
LATEST = 15.0  # on a busy machine, with the time to make a client; without a deadline none of these calls ends
TARGET = StoredObject("coj/a-e00.fits", "image/fits", "attachment; filename=a-e00.fits", "STANDARD")
SMALL = b"the bytes of a frame"
LARGE = bytes(2 * EXPECT_FROM)  # sent after "Expect: 100-continue"
HUGE = bytes(24 * 2**20)  # more than the system takes in advance
BEGUN = b"<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>"


@cache
def archive_at(port: int, scheme: str = "http", timeout: float = TIMEOUT) -> Archive:
    return Archive(f"{scheme}://127.0.0.1:{port}/", "hush", timeout)


@cache
def store_at(port: int, scheme: str = "http", timeout: float = TIMEOUT, **options: Any) -> Store:
    """A new client takes much longer than a call, so the tests of a server share it."""
    keys = {"access_key_id": "a", "secret_access_key": "b", "region": "us-east-1"}
    url = f"{scheme}://127.0.0.1:{port}"
    return open_store("frames", endpoint_url=url, timeout=timeout, **{"minimum_rate": 1e12, **keys, **options})


def put(store: Store, content: bytes) -> str:
    return store.put(io.BytesIO(content), len(content), hashlib.md5(content).hexdigest(), TARGET)


def in_parts(port: int, scheme: str, timeout: float) -> None:
    put(store_at(port, scheme, timeout, max_put=1000), LARGE)


CALLS: dict[str, Callable[[int, str, float], Any]] = {
    "archive GET": lambda port, scheme, timeout: archive_at(port, scheme, timeout).has_version("a"),
    "archive POST": lambda port, scheme, timeout: archive_at(port, scheme, timeout).post_frame({"basename": "a"}),
    "S3 PUT": lambda port, scheme, timeout: put(store_at(port, scheme, timeout), SMALL),
    "S3 PUT with Expect": lambda port, scheme, timeout: put(store_at(port, scheme, timeout), LARGE),
    "S3 PUT of a part": in_parts,
    "S3 HEAD": lambda port, scheme, timeout: store_at(port, scheme, timeout).current_version("k"),
    "S3 GET": lambda port, scheme, timeout: store_at(port, scheme, timeout).check(),
}
each_call = pytest.mark.parametrize("call", CALLS)

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
# Where an answer stands still or has no end: its beginning, and what follows again and again.
PLACES = {
    "status line": (b"HTTP/1.1 200 ", b"O"),
    "header": (OK + b"X-Long: ", b"a"),
    "interim answers": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "body": (OK + b"Content-Length: 1000000000000\r\n\r\n", b"a"),
    "body without a length": (OK + b"Connection: close\r\n\r\n", b"a"),
    "size of a chunk": (CHUNKED, b"0"),
    "extension of a chunk": (CHUNKED + b"5;", b"a"),
    "body of a chunk": (CHUNKED + b"fffffffff\r\n", b"a"),
    "chunks": (CHUNKED, b"1\r\na\r\n"),
    "trailer": (CHUNKED + b"2\r\n{}\r\n0\r\nX-Long: ", b"a"),
    "trailers": (CHUNKED + b"2\r\n{}\r\n0\r\n", b"X-Short: a\r\n"),
}
IN_THE_HEAD = ("status line", "header", "interim answers")
each_place = pytest.mark.parametrize("place", PLACES)


def begins_uploads(told: Told) -> Callable[[str], Told]:
    """The answer to every request, but the beginning and the end of an upload in parts."""

    def answer(line: str) -> Told:
        if "uploads" in line:
            return whole(BEGUN)
        return whole(status=b"204 No Content") if line.startswith("DELETE") else told

    return answer


def assert_ends_in_time(call: str, port: int, scheme: str = "http", text: str = "") -> None:
    begun = time.monotonic()
    with pytest.raises(BackoffRetryError) as raised:
        CALLS[call](port, scheme, TIMEOUT)
    assert time.monotonic() - begun < LATEST
    assert type(raised.value) is (ArchiveUnavailableError if "archive" in call else StoreUnavailableError)
    assert text in str(raised.value)


@pytest.fixture(scope="module")
def server() -> Iterator[RawServer]:
    """A server that many tests share; each gives it an answer."""
    with raw_server(whole()) as running:
        yield running


# Time


@each_call
@each_place
def test_a_server_that_sends_a_byte_now_and_then_is_given_up(call: str, place: str, server: RawServer) -> None:
    if call == "S3 HEAD" and place not in IN_THE_HEAD:
        pytest.skip("the answer to HEAD has no body")
    server.answer = begins_uploads(Told(*PLACES[place]))
    assert_ends_in_time(call, server.port, text=f"an answer within {TIMEOUT:g} s")


@each_call
def test_a_server_that_says_nothing_is_given_up(call: str, server: RawServer) -> None:
    server.answer = begins_uploads(Told())
    assert_ends_in_time(call, server.port, text=f"an answer within {TIMEOUT:g} s")


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("pieces", ["one put", "parts"])
def test_a_server_that_reads_a_byte_now_and_then_is_given_up(pieces: str, scheme: str, tls: ssl.SSLContext) -> None:
    def answer(line: str) -> Told:
        return whole(BEGUN) if "uploads" in line else Told(reads_slowly=True)

    with raw_server(answer, tls if scheme == "https" else None, buffer=4096) as server:
        store = store_at(server.port, scheme, max_put=1000 if pieces == "parts" else 2**40)
        begun = time.monotonic()
        with pytest.raises(StoreUnavailableError, match="bytes sent and 0 received"):
            put(store, HUGE)
        assert time.monotonic() - begun < 2 * LATEST, "the abort of an upload in parts is a call of its own"


def test_a_slow_upload_has_time_in_proportion_to_its_size() -> None:
    """An upload at a tenth of the minimum rate ends; one above it does not."""
    with raw_server(Told(reads_slowly=True), buffer=4096) as server:
        begun = time.monotonic()
        with pytest.raises(StoreUnavailableError, match=r"an answer within 1\.3 s"):
            put(store_at(server.port, minimum_rate=len(HUGE)), HUGE)
        assert time.monotonic() - begun > 1.2


def test_the_completion_of_an_upload_in_parts_may_take_longer() -> None:
    def answer(line: str) -> Told:
        if "uploads" in line:
            return whole(BEGUN)
        if line.startswith("PUT"):
            return whole(b"", b'ETag: "1"')
        return Told(OK + b"x-amz-version-id: v1\r\nConnection: close\r\n\r\n", b" ", pause=0.01)

    with raw_server(answer) as server:
        begun = time.monotonic()
        with pytest.raises(StoreUnavailableError, match="an answer within 2 s"):
            put(store_at(server.port, timeout=0.2, max_put=1000), LARGE)
        assert time.monotonic() - begun > 1.9


@pytest.mark.parametrize("place", ["status line", "body", "trailer"])
@pytest.mark.parametrize("call", ["archive GET", "archive POST", "S3 PUT", "S3 PUT with Expect", "S3 PUT of a part"])
def test_the_limits_hold_with_tls(call: str, place: str, tls: ssl.SSLContext) -> None:
    with raw_server(begins_uploads(Told(*PLACES[place])), tls) as server:
        assert_ends_in_time(call, server.port, "https", f"an answer within {TIMEOUT:g} s")


@pytest.mark.parametrize("call", ["archive GET", "S3 PUT"])
def test_a_tls_handshake_that_stands_still_is_given_up(call: str) -> None:
    with raw_server(Told(b"\x16\x03\x03")) as server:
        assert_ends_in_time(call, server.port, "https")


@pytest.mark.parametrize("call", ["archive GET", "S3 PUT"])
@pytest.mark.parametrize("place", ["status line", "header"])
def test_a_proxy_that_answers_slowly_is_given_up(call: str, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with raw_server(Told(*PLACES[place])) as server:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{server.port}")
        store_at.cache_clear()
        archive_at.cache_clear()
        assert_ends_in_time(call, 443, "https")
        assert server.asked[0].startswith("CONNECT 127.0.0.1:443")


@pytest.mark.skipif(sys.platform != "linux", reason="how a full queue of connections behaves differs by system")
@pytest.mark.parametrize("call", ["archive GET", "S3 PUT"])
def test_all_addresses_of_a_host_share_the_time(call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with full_port() as port:
        found = (socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", port))
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [found] * 10)
        assert_ends_in_time(call, port)


def test_the_next_address_is_tried_after_a_refused_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    with raw_server(whole(b'{"results": []}')) as server:
        found = [(socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", port)) for port in (1, server.port)]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        assert archive_at(server.port).has_version("a") is False


def test_the_next_address_is_tried_after_one_of_a_kind_that_the_system_cannot_use(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A kernel without IPv6 refuses the socket itself."""
    with raw_server(whole(b'{"results": []}')) as server:
        unusable = (9, socket.SOCK_STREAM, 0, "", ("::1", server.port, 0, 0))  # X.25
        usable = (socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", server.port))
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [unusable, usable])
        assert archive_at(server.port).has_version("a") is False


def test_a_server_that_closes_after_100_continue_is_noticed_at_once() -> None:
    """botocore alone reads such a connection for ever, without a pause."""
    listening = socket.create_server(("127.0.0.1", 0))

    def close_early() -> None:
        connection, _ = listening.accept()
        connection.recv(2**16)
        connection.sendall(b"HTTP/1.1 100 Continue\r\n")
        connection.close()

    with listening:
        threading.Thread(target=close_early, daemon=True).start()
        begun = time.monotonic()
        with pytest.raises(StoreUnavailableError):
            put(store_at(listening.getsockname()[1], timeout=20), LARGE)
        assert time.monotonic() - begun < 5


# Size


def bomb() -> bytes:
    """A gzip file of 100 MB in 100 KB."""
    return gzip.compress(bytes(100 * 2**20), 9)


FLOODS = {
    **{place: Told(begin, repeat * (2**16 // len(repeat)), 0) for place, (begin, repeat) in PLACES.items()},
    "headers": Told(OK, b"X-Long: " + b"a" * 60_000 + b"\r\n", 0),
    "gzip": whole(bomb(), b"Content-Encoding: gzip"),
    "gzip in chunks": Told(
        CHUNKED.replace(b"OK\r\n", b"OK\r\nContent-Encoding: gzip\r\n")
        + b"%x\r\n%b\r\n0\r\n\r\n" % (len(bomb()), bomb())
    ),
    "gzip of gzip": whole(gzip.compress(bomb()), b"Content-Encoding: gzip, gzip"),
}


@pytest.mark.parametrize("call", ["archive GET", "S3 GET", "S3 PUT"])
@pytest.mark.parametrize("place", FLOODS)
def test_an_answer_without_an_end_takes_little_memory_and_time(call: str, place: str, server: RawServer) -> None:
    if call.startswith("S3") and place.startswith("gzip"):
        pytest.skip("botocore decompresses nothing")
    server.answer = lambda _: FLOODS[place]
    tracemalloc.start()
    begun = time.monotonic()
    try:
        with pytest.raises(BackoffRetryError) as raised:
            CALLS[call](server.port, "http", 4)
        assert tracemalloc.get_traced_memory()[1] < 5 * MAX_ANSWER
    finally:
        tracemalloc.stop()
    assert time.monotonic() - begun < 20
    assert type(raised.value) is (ArchiveUnavailableError if "archive" in call else StoreUnavailableError)


@pytest.mark.parametrize(
    ("call", "place", "limit"),
    [("archive GET", "body", 8), ("archive GET", "gzip", 8), ("archive GET", "trailers", 8), ("S3 PUT", "body", 1)],
)
def test_an_answer_that_is_too_large_is_named_so(call: str, place: str, limit: int) -> None:
    text = f"expected an answer of at most {limit} MB, found an answer that is too large"
    with raw_server(FLOODS[place]) as server, pytest.raises(BackoffRetryError, match=text):
        CALLS[call](server.port, "http", 60)


def laughs() -> bytes:
    """An XML document of ten lines that stands for a billion words."""
    steps = b"".join(b'<!ENTITY l%d "%b">' % (n, b"&l%d;" % (n - 1) * 10) for n in range(1, 10))
    return b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY l0 "lol">' + steps + b"]><x>&l9;</x>"


@pytest.mark.parametrize("status", [b"200 OK", b"500 Internal Server Error"])
@pytest.mark.parametrize("body", [laughs(), b"<a>" * 100_000 + b"</a>" * 100_000], ids=["entities", "depth"])
def test_xml_that_expands_takes_limited_memory(body: bytes, status: bytes, server: RawServer) -> None:
    server.answer = lambda _: whole(body, status=status)
    tracemalloc.start()
    try:
        with pytest.raises(IngesterError):
            store_at(server.port, timeout=30).check()
        assert tracemalloc.get_traced_memory()[1] < 16 * MAX_ANSWER
    finally:
        tracemalloc.stop()


def test_an_answer_of_nearly_the_limit_is_read() -> None:
    body = b'{"results": [], "count": 7, "x": "' + b"x" * (MAX_ANSWER - 1000) + b'"}'
    with raw_server(whole(gzip.compress(body), b"Content-Encoding: gzip")) as server:
        assert archive_at(server.port, timeout=30).holdings() == 7


# What follows


@pytest.mark.parametrize("place", [*PLACES, "gzip"])
def test_after_a_cut_call_the_next_one_works_on_a_new_connection(place: str) -> None:
    bad = [whole(bomb(), b"Content-Encoding: gzip") if place == "gzip" else Told(*PLACES[place])]
    good = whole(b'{"results": [], "count": 7}')
    with raw_server(lambda _: bad.pop() if bad else good) as server:
        archive = archive_at(server.port)
        with pytest.raises(ArchiveUnavailableError):
            archive.holdings()
        assert [archive.holdings() for _ in range(3)] == [7, 7, 7]
        assert server.connections == 2


@pytest.mark.parametrize("content", [SMALL, LARGE], ids=["small", "with Expect"])
@pytest.mark.parametrize("place", PLACES)
def test_after_a_cut_put_the_next_one_works_on_a_new_connection(place: str, content: bytes, server: RawServer) -> None:
    bad = [Told(*PLACES[place])]
    server.answer = lambda _: bad.pop() if bad else whole(b"", b"x-amz-version-id: v1")
    store = store_at(server.port)
    before = server.connections
    with pytest.raises(StoreUnavailableError, match=r"S3 key coj/a-e00\.fits"):
        put(store, content)
    cut = server.connections
    assert [put(store, content) for _ in range(3)] == ["v1"] * 3
    assert (cut - before, server.connections - cut) in ((1, 1), (0, 1)), "the first may use one that was left open"


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_healthy_calls_share_a_connection(scheme: str, tls: ssl.SSLContext) -> None:
    def answer(line: str) -> Told:
        return whole(b"", b"x-amz-version-id: v1") if line.startswith("PUT") else whole(b'{"results": [], "count": 7}')

    with raw_server(answer, tls if scheme == "https" else None) as server:
        archive, store = archive_at(server.port, scheme, 30), store_at(server.port, scheme, 30)
        assert [archive.holdings() for _ in range(5)] == [7] * 5
        assert [put(store, content) for content in (SMALL, LARGE, SMALL)] == ["v1"] * 3
        assert server.connections == 2, "one for each server"


@pytest.fixture
def soft_time_limit() -> Iterator[Callable[[], None]]:
    """A function that lets the main thread raise Celery's error a moment later, as a signal of the worker does."""

    def raise_it(*_: object) -> None:
        raise SoftTimeLimitExceeded

    timer = threading.Timer(0.2, signal.pthread_kill, (threading.main_thread().ident, signal.SIGUSR1))
    before = signal.signal(signal.SIGUSR1, raise_it)
    yield timer.start
    if timer.ident:
        timer.join()
    signal.signal(signal.SIGUSR1, before)


@pytest.mark.parametrize("call", [call for call in CALLS if call != "S3 PUT of a part"])
@pytest.mark.parametrize("place", ["nothing", "status line", "header", "body"])
def test_the_soft_time_limit_of_a_task_stays_what_it_is(
    call: str, place: str, soft_time_limit: Callable[[], None], server: RawServer
) -> None:
    def answer(_: str) -> Told:
        soft_time_limit()
        return Told(*PLACES[place]) if place in PLACES else Told()

    if (call, place) == ("S3 HEAD", "body"):
        pytest.skip("the answer to HEAD has no body")
    server.answer = answer
    with pytest.raises(SoftTimeLimitExceeded):
        CALLS[call](server.port, "http", 5)


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def tls(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A server's side of TLS, which the clients trust."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context
