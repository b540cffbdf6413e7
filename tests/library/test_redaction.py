"""Secrets are in no text that we quote: not in an error, its repr or its traceback, and in no log line or letter."""

import hashlib
import io
import json
import logging
import socket
import sys
import threading
import traceback
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from html import escape
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingester_app import logs
from ingester_app.dead_letters import letter_for
from ingester_app.settings import ServiceSettings
from ingester_demo.http_server import running
from lco_ingester.archive import Archive
from lco_ingester.exceptions import IngesterError
from lco_ingester.record.stored_object import StoredObject
from lco_ingester.redaction import Redactor
from lco_ingester.settings import load_settings
from lco_ingester.store import open_store

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

TOKEN = "9944b09199c62bcf9418ad846dd0e4bbdfc6ee4b"
KEY_ID, SECRET_KEY = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
SESSION_TOKEN = "IQoJb3JpZ2luX2VjE" + "Zx7/Q+" * 60 + "=="
PASSWORD = "p@ss/word with%spaces"
SECRETS = (TOKEN, KEY_ID, SECRET_KEY, SESSION_TOKEN)
LONGEST_LEFT = 11  # characters of a secret that may stay


def pieces(secret: str, length: int = LONGEST_LEFT + 1) -> Iterator[str]:
    return (secret[at : at + length] for at in range(len(secret) - length + 1))


def found_in(text: str, *secrets: str) -> list[str]:
    return [piece for secret in secrets for piece in pieces(secret) if piece in text]


secrets = st.text(min_size=12).filter(lambda text: "://" not in text and "***" not in text)

# Texts


@pytest.mark.parametrize(
    ("secret", "text", "expected"),
    [
        (TOKEN, f"Token {TOKEN}!", "Token ***!"),
        (TOKEN, f"cut {TOKEN[:25]}", "cut ***"),
        (TOKEN, f"{TOKEN[-14:]} is the end", "*** is the end"),
        (TOKEN, f"a{TOKEN}{TOKEN}b", "a******b"),
        (TOKEN, f"in the middle {TOKEN[9:30]}.", "in the middle ***."),
        ("eight888", "xeight888x", "x***x"),
        ("demo", "Token demo, /data/demonstration", "Token ***, /data/demonstration"),
        ("abc", "abc and abcdef", "abc and abcdef"),
        ("", "nothing", "nothing"),
        ("not-utf-8-\udcff", "here: not-utf-8-\udcff", "here: ***"),
        ("amqp://u:not-utf-8-\udcff@h", "here: not-utf-8-\udcff", "here: ***"),
        ("amqp://u:the-first@a;u:the-second@b", "the-first the-second", "*** ***"),
        ("observatory-2026-password", "the observatory is closed", "the observatory is closed"),
        ("amqp://user:open-sesame@host:5672/", "user open-sesame at host", "user *** at host"),
        ("amqp://guest:guest@host/;amqp://u:second-one@b", "guest, second-one", "guest, ***"),
        ("amqp://u:p%40ss%2Fword9@h", "p@ss/word9 is p%40ss%2Fword9", "*** is ***"),
        ("amqp://u:raw@in/word@host", "the raw@in/word", "the ***"),
        ("http://proxy:8080", "http://proxy:8080 refuses", "http://proxy:8080 refuses"),
        ("http://me:open-sesame@proxy", f"Basic {b64encode(b'me:open-sesame').decode()}", "Basic ***"),
    ],
)
def test_a_secret_is_replaced_and_an_ordinary_text_is_not(secret: str, text: str, expected: str) -> None:
    assert Redactor((secret,))(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Token some-unknown-value",
        '{"authorization": "Token some-unknown-value"}',
        '"{\\"Authorization\\": \\"Bearer some-unknown-value\\"}"',
        "('Authorization', 'Token some-unknown-value')",
        "HTTP_AUTHORIZATION=Token some-unknown-value",
        "<Authorization>Token some-unknown-value</Authorization>",
        "Proxy-Authorization: Basic some-unknown-value",
        "x-amz-security-token: some-unknown-value",
        "Cookie: sessionid=some-unknown-value; csrftoken=some-unknown-value",
        "AWS4-HMAC-SHA256 Credential=some-unknown-value/20261129/s3/aws4_request, Signature=some-unknown-value",
    ],
)
def test_credentials_that_nobody_told_us_are_known_by_their_header(text: str) -> None:
    assert "unknown" not in Redactor()(text)


@pytest.mark.parametrize(
    "text",
    [
        "401 {'detail': 'Authentication credentials were not provided.'}",
        "Check user, password and virtual host in FITS_BROKER and BROKER_URL",
        "wrong settings: AUTH_TOKEN: Input should be a valid string; AWS_SECRET_ACCESS_KEY: must both be set",
        "SignatureDoesNotMatch from bucket frames: The request signature we calculated does not match",
        "The authorization header is malformed; the region 'us-east-1' is wrong; expecting 'eu-west-1'",
    ],
)
def test_a_text_about_credentials_stays_readable(text: str) -> None:
    assert Redactor(SECRETS)(text) == text


@given(secrets, st.text(), st.text(), st.data())
def test_no_piece_of_a_secret_is_left(secret: str, before: str, after: str, data: st.DataObject) -> None:
    begin = data.draw(st.integers(0, len(secret) - 12))
    piece = secret[begin : data.draw(st.integers(begin + 12, len(secret)))]
    assert piece not in Redactor((secret,))(f"{before}{piece}{after}")


def test_only_the_last_renewed_credentials_are_remembered() -> None:
    redact = Redactor((TOKEN,))
    for number in range(1000):
        redact.learn(f"renewed-credentials-{number:05d}", None)
    assert redact(TOKEN) == "***"
    assert redact("renewed-credentials-00999") == "***"
    assert len(redact._forms) < 20


def test_an_answer_full_of_pieces_is_redacted_in_time() -> None:
    text = f"{TOKEN[3:20]} " * 100_000
    assert Redactor((TOKEN,))(text) == "*** " * 100_000


def test_the_errors_that_caused_an_error_are_scrubbed_too() -> None:
    class OtherError(Exception):
        def __init__(self, text: str) -> None:
            super().__init__(text, text.encode(), {"left": "as it is"}, KeyError(text))
            self.text = text

        def __str__(self) -> str:
            return f"{self.args} {self.text}"

    try:
        try:
            try:
                raise OtherError(TOKEN)
            except OtherError as error:
                raise OSError(5, f"context {TOKEN}") from error
        except OSError:
            raise LookupError(f"outer {TOKEN}")  # noqa: B904
    except LookupError as error:
        error.add_note("a note")
        Redactor((TOKEN,)).scrub(error)
        text = "".join(traceback.format_exception(error))
    assert all(each in text for each in ("outer ***", "[Errno 5] context ***", "b'***', {'left': 'as it is'}"))
    assert not found_in(text, TOKEN)


@pytest.mark.parametrize("write", [str, json.dumps, repr, escape, quote, lambda text: quote(text, safe="")])
def test_the_ways_in_which_a_secret_is_written_are_known(write: Callable[[str], str]) -> None:
    redact = Redactor((SECRET_KEY, SESSION_TOKEN, f"amqp://user:{quote(PASSWORD, safe='')}@host"))
    for secret in (SECRET_KEY, SESSION_TOKEN, PASSWORD):
        assert not found_in(redact(f"before {write(secret)} after"), secret, write(secret))


def test_the_secrets_are_those_of_all_settings_and_of_the_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {
        "AUTH_TOKEN": TOKEN,
        "AWS_ACCESS_KEY_ID": KEY_ID,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_SESSION_TOKEN": SESSION_TOKEN,
        "FITS_BROKER": "amqp://camera:fits-password@a",
        "BROKER_URL": "amqp://celery:first-password@a;amqp://celery:second-password@b",
        "HTTPS_PROXY": "http://me:proxy-password@proxy:3128",
        "NO_PROXY": "localhost,archive.example",
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    redact = Redactor(load_settings(ServiceSettings).secrets())
    hidden = [*SECRETS, "fits-password", "first-password", "second-password", "proxy-password"]
    assert redact(" ".join(hidden)) == " ".join(["***"] * len(hidden))
    assert redact("camera celery localhost,archive.example") == "camera celery localhost,archive.example"


# Servers that echo the request


def _headers(environ: "WSGIEnvironment") -> dict[str, str]:
    return {
        name.removeprefix("HTTP_").replace("_", "-").title(): value
        for name, value in environ.items()
        if name.startswith("HTTP_")
    }


ECHOES: dict[str, tuple[str, Callable[["WSGIEnvironment"], str]]] = {
    "JSON": ("application/json", lambda environ: json.dumps({"detail": "no", "headers": _headers(environ)})),
    "fields": ("application/json", lambda environ: json.dumps({"SITEID": [json.dumps(_headers(environ))]})),
    "text": ("text/plain", lambda environ: "\n".join(": ".join(item) for item in _headers(environ).items())),
    "values": ("text/plain", lambda environ: " ".join(_headers(environ).values())),
    "environ": ("text/plain", lambda environ: repr(sorted(environ.items(), key=lambda item: item[0]))),
    "page": ("text/html", lambda environ: f"<pre>{escape(repr(_headers(environ)))}</pre>"),
    "S3": (
        "application/xml",
        lambda environ: f"<Error><Code>Odd</Code><Message>{escape(repr(_headers(environ)))}</Message></Error>",
    ),
    "broken XML": ("application/xml", lambda environ: f"<Error>{escape(repr(_headers(environ)))}"),
    "cut": ("text/plain", lambda environ: "x" * 480 + environ["HTTP_AUTHORIZATION"][:30]),
    "cut by us": ("text/plain", lambda environ: "x" * 480 + environ["HTTP_AUTHORIZATION"]),
    "half": ("application/json", lambda environ: json.dumps(environ["HTTP_AUTHORIZATION"][6:26])),
}


@contextmanager
def echoing(kind: str, status: int) -> Iterator[str]:
    content_type, body_of = ECHOES[kind]

    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        body = body_of(environ).encode()
        start_response(f"{status} Echo", [("Content-Type", content_type), ("Content-Length", str(len(body)))])
        return [body]

    with running(app) as url:
        yield url


@contextmanager
def echoing_in_its_status_line() -> Iterator[str]:
    """A server that is not HTTP and repeats what it is sent, line by line."""

    def answer(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection:
            request = connection.recv(65536)
            connection.sendall(b" ".join(request.splitlines()) + b"\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=answer, args=(listening,), daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"


def every_text_of(error: IngesterError, capsys: pytest.CaptureFixture[str], redact: Callable[[str], str]) -> str:
    """What the error looks like to everybody who may see it."""
    letter = letter_for(
        error, path="/data/x.fits", md5=None, step="post", reason=error.reason, attempts=1, first_time=0.0, now=1.0,
        worker="w", message=None, redact=redact,
    )  # fmt: skip
    texts = [str(error), repr(error), "".join(traceback.format_exception(error)), letter.text, letter.traceback]
    for log_format in ("json", "text"):
        logs.configure("DEBUG", log_format, redact)
        logging.getLogger("test").error("failed: %s", error, exc_info=error, extra={"error": error, "all": [error]})
        texts.append(capsys.readouterr().err)
    assert "failed" in texts[-1]
    return "\n".join(texts)


CALLS: dict[str, Callable[[Archive], Any]] = {
    "has_version": lambda api: api.has_version("d41d8cd98f00b204e9800998ecf8427e"),
    "post_frame": lambda api: api.post_frame({"basename": "x"}),
    "post_thumbnail": lambda api: api.post_thumbnail({"basename": "x"}),
}


@pytest.fixture
def restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level, hook = root.handlers[:], root.level, sys.excepthook
    yield
    sys.excepthook = hook
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.usefixtures("restored_logging")
@pytest.mark.parametrize("kind", ECHOES)
@pytest.mark.parametrize("status", [200, 201, 302, 400, 401, 500])
def test_an_archive_that_echoes_the_request_gets_no_token_into_a_text(
    kind: str, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with echoing(kind, status) as url:
        for call in CALLS.values():
            with pytest.raises(IngesterError) as caught:
                call(Archive(url, TOKEN, 5.0))
            assert not found_in(every_text_of(caught.value, capsys, str), TOKEN)


@pytest.mark.usefixtures("restored_logging")
def test_a_server_that_is_not_http_gets_no_token_into_a_text(capsys: pytest.CaptureFixture[str]) -> None:
    with echoing_in_its_status_line() as url, pytest.raises(IngesterError) as caught:
        Archive(url, TOKEN, 5.0).holdings()
    assert not found_in(every_text_of(caught.value, capsys, str), TOKEN)


CONTENT = b"the bytes of a frame"
TARGET = StoredObject("coj/fa12/20200101/raw/a-e00.fits", "image/fits", "attachment; filename=a-e00.fits", "STANDARD")


@pytest.mark.usefixtures("restored_logging")
@pytest.mark.parametrize("kind", ECHOES)
@pytest.mark.parametrize("status", [200, 403, 503])
@pytest.mark.parametrize("by_settings", [True, False], ids=["given", "found by boto3"])
def test_a_store_that_echoes_the_request_gets_no_credentials_into_a_text(
    kind: str, status: int, by_settings: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    credentials: dict[str, Any] = {
        "access_key_id": KEY_ID,
        "secret_access_key": SECRET_KEY,
        "session_token": SESSION_TOKEN,
    }
    if not by_settings:
        for name, value in credentials.items():
            monkeypatch.setenv(f"AWS_{name.upper()}", value)
    redact = Redactor()
    with echoing(kind, status) as url:
        store = open_store(
            "frames", endpoint_url=url, region="us-east-1", redact=redact, **(credentials if by_settings else {})
        )
        with pytest.raises(IngesterError) as caught:
            store.put(io.BytesIO(CONTENT), len(CONTENT), hashlib.md5(CONTENT).hexdigest(), TARGET)
    text = every_text_of(caught.value, capsys, str)
    assert not found_in(text, KEY_ID, SECRET_KEY, SESSION_TOKEN)
    assert redact(f"{KEY_ID} {SECRET_KEY} {SESSION_TOKEN}") == "*** *** ***"
