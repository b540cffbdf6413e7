"""What a broker's URL may look like: one URL, or several nodes of one RabbitMQ cluster, separated by semicolons. Pure.

kombu accepts nearly every text. It reads a piece of a password that holds an unescaped `/` as the port, hands unknown
options to the constructor of its connection, and lets a URL without a port take over that of the URL before it. So the
text is parsed here and written again, with every part in its place, before kombu gets it.

No error holds a piece of the text, because any piece may belong to the password.
"""

import re
from dataclasses import dataclass
from ipaddress import IPv6Address
from urllib.parse import quote, unquote

RABBITMQ_PORTS = {"amqp": 5672, "pyamqp": 5672, "amqps": 5671}
_EXAMPLE = "amqp://user:password@host:5672/vhost"
_ESCAPES = "in a password write %2F for /, %40 for @, %23 for #, %3F for ?, %3B for ; and %25 for %"
_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")

# Brokers for tests and for one process. The demo adds its own.
_other_transports = {"memory", "filesystem"}


def add_transport(scheme: str) -> None:
    """Accept URLs of another transport, which this process has registered with kombu."""
    _other_transports.add(scheme)


@dataclass(frozen=True, slots=True)
class RabbitUrl:
    """One URL of RabbitMQ, in its parts and unescaped."""

    scheme: str
    user: str
    password: str
    host: str
    port: int
    vhost: str

    @property
    def is_encrypted(self) -> bool:
        """Whether the connection uses TLS."""
        return self.scheme == "amqps"

    def __str__(self) -> str:
        credentials = f"{quote(self.user, safe='')}:{quote(self.password, safe='')}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{credentials}@{host}:{self.port}/{quote(self.vhost, safe='')}"


def is_rabbitmq(text: str) -> bool:
    """Whether the broker is RabbitMQ. Only RabbitMQ has quorum queues, confirms and delays."""
    return _scheme(text) in RABBITMQ_PORTS


def rabbitmq_urls(text: str) -> tuple[RabbitUrl, ...]:
    """The URLs of RabbitMQ in a setting; none if it is of another broker.

    Raises ValueError, which says what is wrong and what to do, without a piece of the text.
    """
    if not is_rabbitmq(text):
        _check_other(text)
        return ()
    parts = text.split(";")
    which = [f"URL {number} of {len(parts)} " for number in range(1, len(parts) + 1)] if len(parts) > 1 else [""]
    urls = tuple(map(_parsed, parts, which))
    if len({url.is_encrypted for url in urls}) > 1:
        raise ValueError("all URLs of a list must be amqps://, or none of them")
    if len({url.vhost for url in urls}) > 1:
        raise ValueError("all URLs of a list must have the same virtual host: they are nodes of one cluster")
    return urls


def check_server_name(text: str) -> None:
    """Raise ValueError if this is not the name or the IP address of a host."""
    if not (_is_host_name(text) or _is_ipv6(text)):
        raise ValueError("must be a host name or an IP address, without port")


def _scheme(text: str) -> str:
    return text.partition("://")[0].lower()


def _check_other(text: str) -> None:
    if "://" not in text:
        raise ValueError(f"must be a broker's URL, such as {_EXAMPLE}")
    if _scheme(text) not in _other_transports:
        raise ValueError(f"must begin with amqp:// or amqps://, such as {_EXAMPLE}; no other transport is supported")
    if ";" in text:
        raise ValueError("only RabbitMQ (amqp:// or amqps://) may have more than one URL")


def _parsed(text: str, which: str) -> RabbitUrl:
    """One URL; `which` begins the errors if there are several."""
    scheme, rest = _scheme(text), text.partition("://")[2]
    if scheme not in RABBITMQ_PORTS:
        raise ValueError(f"{which}must begin with amqp:// or amqps://; {_ESCAPES}")
    if any(each.isspace() or not each.isprintable() for each in text):
        raise ValueError(f"{which}must not contain spaces or control characters: write %20 for a space")
    if "?" in rest or "#" in rest:
        raise ValueError(f"{which}must have no options (?) and no fragment (#); {_ESCAPES}")
    authority, _, path = rest.partition("/")
    if "@" in path or authority.count("@") > 1:
        raise ValueError(f"{which}must have one @, before the host; {_ESCAPES}")
    userinfo, at, address = authority.rpartition("@")
    user, _, password = userinfo.partition(":")
    if at and not (user and password):
        raise ValueError(f"{which}must have both a user name and a password before the @, or no @")
    host, port = _host_and_port(address, RABBITMQ_PORTS[scheme], which)
    return RabbitUrl(
        scheme,
        _unescaped(user, which) if at else "guest",  # RabbitMQ's default user
        _unescaped(password, which) if at else "guest",
        host,
        port,
        _unescaped(path, which) or "/",  # as kombu and Celery read it: RabbitMQ's default virtual host
    )


def _host_and_port(address: str, default_port: int, which: str) -> tuple[str, int]:
    """Raises ValueError."""
    if address.startswith("["):
        host, bracket, rest = address[1:].partition("]")
        if not bracket or not _is_ipv6(host):
            raise ValueError(f"{which}must have an IPv6 address between [ and ]; {_ESCAPES}")
        colon, port = rest[:1], rest[1:]
        if colon not in ("", ":"):
            raise ValueError(f"{which}must have : and a port, or nothing, after the ]")
    else:
        host, colon, port = address.partition(":")
        if not host:
            raise ValueError(f"{which}must have a host, such as {_EXAMPLE}")
    if colon and not (port.isascii() and port.isdigit() and len(port) <= 5 and 0 < int(port) < 65536):
        raise ValueError(f"{which}must have a port from 1 to 65535 after the host; {_ESCAPES}")
    if ":" not in host and not _is_host_name(host):
        raise ValueError(f"{which}must have a host name or an IP address; several URLs are separated by ;")
    return host, int(port) if colon else default_port


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True


def _is_host_name(text: str) -> bool:
    return len(text) <= 253 and all(_LABEL.fullmatch(label) for label in text.removesuffix(".").split("."))


def _unescaped(text: str, which: str) -> str:
    """Raises ValueError for escapes that are incomplete, not UTF-8, or control characters."""
    if re.search(r"%(?![0-9A-Fa-f]{2})", text):
        raise ValueError(f"{which}must have two hexadecimal digits after each %; {_ESCAPES}")
    try:
        plain = unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise ValueError(f"{which}must have %-escapes of UTF-8") from None
    if any(ord(each) < 32 or ord(each) == 127 for each in plain):
        raise ValueError(f"{which}must not have escaped control characters")
    return plain
