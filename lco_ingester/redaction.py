"""Secrets are replaced in every text that we quote or write. Pure: the secrets are given.

A server, a proxy or a debug page may echo our request, and with it the token or the S3 credentials. So every text that
comes from outside is redacted where it enters one of our errors (store, archive, publisher), and once more where texts
leave the process (log lines, dead letters, the output of the commands).
"""

import base64
import html
import json
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
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
        self._forms: dict[str, tuple[str, ...]] = {}
        self.learn(*secrets)

    def learn(self, *secrets: str | None) -> None:
        """Hide these from now on; of a broker's or proxy's URL (or a list of URLs) only the passwords."""
        parts = {part for secret in secrets if secret for part in _secrets_in(secret) if len(part) >= _SHORTEST}
        forms = dict(self._forms)  # a new one, because another thread may be reading the present one
        for part in parts:
            for form in _forms(part):
                forms.setdefault(form, ())
            forms[part] = _blocks(part)
        # The longest first, because one may contain another.
        self._forms = dict(sorted(forms.items(), key=lambda item: -len(item[0])))

    def knows(self, secret: str) -> bool:
        """Whether this secret is among those that are replaced."""
        return secret in self._forms

    def __call__(self, text: str) -> str:
        """The text without secrets."""
        forms = self._forms
        for secret in forms:
            if secret in text:
                text = _without(text, secret)
        for secret, blocks in forms.items():
            if any(block in text for block in blocks):
                text = _without_pieces(text, secret, blocks)
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
            each.args = tuple(self(value) if isinstance(value, str) else value for value in each.args)
            for name, value in list(vars(each).items()):
                if isinstance(value, str):
                    setattr(each, name, self(value))

    @contextmanager
    def scrubbed(self) -> Iterator[None]:
        """Errors raised inside lose their secrets on the way out."""
        try:
            yield
        except Exception as error:
            self.scrub(error)
            raise


def _secrets_in(value: str) -> Iterator[str]:
    """The value itself; or, if it is a URL or a list of URLs (`amqp://a;amqp://b`), the passwords in it."""
    if "://" not in value:
        yield value
        return
    for url in value.split(";"):
        userinfo, at, _ = url.partition("://")[2].rpartition("@")
        # Twice, because a password may hold an @ that should have been written %40.
        for credentials in {userinfo, userinfo.partition("@")[0]} if at else ():
            user, _, password = credentials.partition(":")
            if password and password not in _PUBLIC:
                yield from (password, unquote(password))
                yield base64.b64encode(f"{unquote(user)}:{unquote(password)}".encode()).decode()


def _forms(secret: str) -> set[str]:
    """The secret as it is written in URLs, in JSON and in HTML."""
    return {secret, quote(secret, safe=""), quote(secret), json.dumps(secret)[1:-1], html.escape(secret)}


def _without(text: str, secret: str) -> str:
    if len(secret) >= _ANYWHERE:
        return text.replace(secret, HIDDEN)
    return re.sub(rf"(?<![^\W_]){re.escape(secret)}(?![^\W_])", HIDDEN, text)


def _blocks(secret: str) -> tuple[str, ...]:
    if len(secret) < _PIECE:
        return ()
    return tuple(secret[at : at + _BLOCK] for at in range(0, len(secret) - _BLOCK + 1, _BLOCK))


def _without_pieces(text: str, secret: str, blocks: tuple[str, ...]) -> str:
    """The text without those parts of the secret that are at least _PIECE characters long."""
    for number, block in enumerate(blocks):
        begin = text.find(block)
        while begin >= 0:
            left, right = begin, begin + _BLOCK
            at, end = number * _BLOCK, (number + 1) * _BLOCK
            while left > 0 and at > 0 and text[left - 1] == secret[at - 1]:
                left, at = left - 1, at - 1
            while right < len(text) and end < len(secret) and text[right] == secret[end]:
                right, end = right + 1, end + 1
            if right - left >= _PIECE:
                text = f"{text[:left]}{HIDDEN}{text[right:]}"
                right = left + len(HIDDEN)
            begin = text.find(block, right)
    return text
