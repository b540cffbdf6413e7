"""Secrets are replaced in every text that we quote or write. Pure: the secrets are given.

A server, a proxy or a debug page may echo our request, and with it the token or the S3 credentials. So every text that
comes from outside is redacted where it enters one of our errors (store, archive, publisher), and once more where texts
leave the process (log lines, dead letters, the output of the commands).
"""

import base64
import html
import json
import re
from collections import ChainMap, deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, unquote

HIDDEN = "***"
# Shorter values are not replaced: they are in many ordinary words, and nothing can protect them.
_SHORTEST = 4
# Shorter secrets are replaced only as whole words: "demo" is hidden, "demonstration" is not.
_ANYWHERE = 8
# A longer secret is also replaced in part, because an answer may be cut in the middle of it.
_PIECE = 12
_BLOCK = _PIECE // 2  # every piece contains one of the secret's blocks of this size
# The default password of RabbitMQ is public, and it is also a user name that operators need to see.
_PUBLIC = frozenset(("guest",))
_LEARNED = 4  # renewed credentials that are remembered, the present ones and those of requests that are under way
_URL = re.compile(r"[a-zA-Z][\w+.-]*://")
_ANY = "surrogateescape"  # a variable of the environment may hold bytes that are not UTF-8

_NAMES = ("authorization", "cookie", "x-amz-", "credential", "signature", "aws_se")
# Credentials that we do not know can be recognised by their name: the headers of a request, and AWS's signature.
_NAMED = re.compile(
    r"""(?ix)
    ( (?:authorization|x-amz-security-token|\b(?:set-)?cookie)
      (?: \\?["']?\s*[:=>]\s* | \\?["']\s*,\s* ) \\?["']? )
    [^"'<>\\\r\n]+
    | ( \b(?:credential|signature|x-amz-credential|x-amz-signature|aws_secret_access_key|aws_session_token)\s*=\s* )
    [^\s"'<>,;&\\]+
    """
)


class Redactor:
    """Replaces the secrets of this process in texts. More secrets may become known later."""

    def __init__(self, secrets: Iterable[str | None] = ()) -> None:
        self._given = _forms(secrets)
        self._learned: deque[dict[str, tuple[str, ...]]] = deque(maxlen=_LEARNED)
        self._forms = self._given

    def learn(self, *secrets: str | None) -> None:
        """Hide these too from now on. Only the last few calls count, because credentials may be renewed each hour."""
        self._learned.append(_forms(secrets))
        # A new dictionary, because another thread may be reading the present one.
        self._forms = dict(ChainMap(self._given, *self._learned))

    def knows(self, secret: str) -> bool:
        """Whether this secret is among those that are replaced."""
        return secret in self._forms

    def __call__(self, text: str) -> str:
        """The text without secrets."""
        forms = self._forms
        for secret in sorted((form for form in forms if form in text), key=len, reverse=True):
            text = _without(text, secret)  # the longest first, because it may contain another
        for secret, blocks in forms.items():
            for number, block in enumerate(blocks):
                if block in text:
                    text = _without_pieces(text, secret, block, number * _BLOCK)
        folded = text.lower()
        if any(name in folded for name in _NAMES):  # much faster than the search
            text = _NAMED.sub(lambda match: f"{match[1] or match[2]}{HIDDEN}", text)
        return text

    def scrub(self, error: BaseException) -> None:
        """Replace the secrets in the texts of an error and of all errors that caused it."""
        waiting: list[BaseException] = [error]
        seen: set[int] = set()
        while waiting:
            each = waiting.pop()
            if id(each) in seen:
                continue
            seen.add(id(each))
            inner = (each.__cause__, each.__context__, *each.args)
            waiting += [one for one in inner if isinstance(one, BaseException)]
            each.args = tuple(map(self._hidden, each.args))
            if isinstance(each, OSError) and each.strerror is not None:  # not among its variables
                each.strerror = self._hidden(each.strerror)
            vars(each).update({name: self._hidden(value) for name, value in vars(each).items()})

    def _hidden(self, value: Any) -> Any:
        if isinstance(value, str):
            return self(value)
        return self(value.decode("latin-1")).encode("latin-1") if isinstance(value, bytes) else value

    @contextmanager
    def scrubbed(self) -> Iterator[None]:
        """Errors raised inside lose their secrets on the way out."""
        try:
            yield
        except Exception as error:
            self.scrub(error)
            raise


def _forms(secrets: Iterable[str | None]) -> dict[str, tuple[str, ...]]:
    """The secrets in all forms in which they are written, each with the blocks by which its pieces are found."""
    parts = {part for secret in secrets if secret for part in _secrets_in(secret) if len(part) >= _SHORTEST}
    written: dict[str, tuple[str, ...]] = {form: () for part in parts for form in _spellings(part)}
    return written | {part: _blocks(part) for part in parts}


def _secrets_in(value: str) -> Iterator[str]:
    """The value itself; or, if it is a URL or a list of URLs (`amqp://a;amqp://b`), the passwords in it."""
    if not _URL.match(value):
        yield value
        return
    for url in value.split(";"):
        userinfo, at, _ = (url.partition("://")[2] or url).rpartition("@")
        # Twice, because a password may hold an @ that should have been written %40.
        for credentials in {userinfo, userinfo.partition("@")[0]} if at else ():
            user, _, password = credentials.partition(":")
            if password and password not in _PUBLIC:
                yield from (password, unquote(password))
                yield base64.b64encode(f"{unquote(user)}:{unquote(password)}".encode(errors=_ANY)).decode()


def _spellings(secret: str) -> set[str]:
    """The secret as it is written in URLs, in JSON and in HTML."""
    in_urls = {quote(secret, safe, errors=_ANY) for safe in ("", "/")}
    return {secret, json.dumps(secret)[1:-1], html.escape(secret), *in_urls}


def _without(text: str, secret: str) -> str:
    if len(secret) >= _ANYWHERE:
        return text.replace(secret, HIDDEN)
    return re.sub(rf"(?<![^\W_]){re.escape(secret)}(?![^\W_])", HIDDEN, text)


def _blocks(secret: str) -> tuple[str, ...]:
    if len(secret) < _PIECE:
        return ()
    return tuple(secret[at : at + _BLOCK] for at in range(0, len(secret) - _BLOCK + 1, _BLOCK))


def _without_pieces(text: str, secret: str, block: str, at: int) -> str:
    """The text without those parts of the secret that hold this block of it and are at least _PIECE characters long."""
    kept: list[str] = []
    done, begin = 0, text.find(block)
    while begin >= 0:
        left, right = begin, begin + _BLOCK
        first, last = at, at + _BLOCK
        while left > done and first > 0 and text[left - 1] == secret[first - 1]:
            left, first = left - 1, first - 1
        while right < len(text) and last < len(secret) and text[right] == secret[last]:
            right, last = right + 1, last + 1
        if right - left >= _PIECE:
            kept += text[done:left], HIDDEN
            done = right
        begin = text.find(block, right)
    return "".join((*kept, text[done:]))
