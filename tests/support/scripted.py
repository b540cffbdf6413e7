"""Small real servers that give prepared answers, or none."""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import requests

from ingester_demo.http_server import running
from tests.support.ports import closed_port, silent_port

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

__all__ = ["Answer", "Asked", "Scripted", "closed_port", "committing_and_failing", "scripted", "silent_port"]


@dataclass(frozen=True)
class Answer:
    """An answer: a text is sent as an HTML page, bytes as they are, any other body as JSON."""

    status: int = 200
    body: Any = ""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Asked:
    """A request as it was received."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes


@dataclass
class Scripted:
    """A WSGI application that gives one answer after the other, and repeats the last."""

    answers: list[Answer]
    url: str = ""
    asked: list[Asked] = field(default_factory=list)

    def tell(self, *answers: Answer) -> None:
        """Give these answers from now on, and forget earlier requests."""
        self.answers[:] = answers
        self.asked.clear()

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        self.asked.append(_asked(environ))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        page = isinstance(answer.body, str)
        if isinstance(answer.body, bytes):
            body = answer.body
        else:
            body = (answer.body if page else json.dumps(answer.body)).encode()
        headers = {"Content-Type": "text/html" if page else "application/json", **answer.headers}
        start_response(f"{answer.status} Scripted", [*headers.items(), ("Content-Length", str(len(body)))])
        return [body]


@contextmanager
def scripted(*answers: Answer) -> Iterator[Scripted]:
    """A running server that gives these answers; its `url` ends with a slash."""
    app = Scripted(list(answers))
    with running(app) as url:
        app.url = url
        yield app


def _asked(environ: "WSGIEnvironment") -> Asked:
    headers = {name[5:].replace("_", "-").lower(): value for name, value in environ.items() if name.startswith("HTTP_")}
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    query = parse_qs(environ.get("QUERY_STRING", ""))
    return Asked(environ["REQUEST_METHOD"], environ["PATH_INFO"], query, headers, body)


@contextmanager
def committing_and_failing(archive_url: str) -> Iterator[str]:
    """A proxy of an Archive API that commits each POST and answers it with a 500, as the real one may."""

    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        asked = _asked(environ)
        passed = requests.request(
            asked.method,
            archive_url + asked.path.lstrip("/"),
            params=asked.query,
            data=asked.body,
            headers={"Authorization": asked.headers["authorization"], "Content-Type": "application/json"},
            timeout=10,
        )
        failed = asked.method == "POST" and passed.ok
        body = b"<h1>Server Error (500)</h1>" if failed else passed.content
        kind = "text/html" if failed else "application/json"
        head = [("Content-Type", kind), ("Content-Length", str(len(body)))]
        start_response("500 Failed" if failed else f"{passed.status_code} Passed", head)
        return [body]

    with running(app) as url:
        yield url
