"""TLS to RabbitMQ: the files that the settings name, and what a failed handshake means. Knows only `ssl`.

The certificate of a broker is always verified, with its name. There is no switch to turn this off: the password goes
over the connection, and a private CA is one file.
"""

import ssl
from dataclasses import dataclass
from typing import Any

# OpenSSL's codes (X509_V_ERR_…), see `man 3 X509_STORE_CTX_get_error`.
_UNKNOWN_CA = "its certificate comes from an unknown CA: name this CA in BROKER_CA_FILE"
_HINTS = {
    7: _UNKNOWN_CA,  # a CA of the same name with another key
    9: "its certificate is not valid yet: check the clocks of both machines",
    10: "its certificate has expired: renew it",
    18: "its certificate is self-signed: name it or its CA in BROKER_CA_FILE",
    19: _UNKNOWN_CA,
    20: _UNKNOWN_CA,
    21: _UNKNOWN_CA,
    23: "its certificate was revoked: renew it",
    62: "its certificate is for another host: correct the host in the URL, or set BROKER_SERVER_NAME",
    64: "its certificate is not for this IP address: put the host's name into the URL, or set BROKER_SERVER_NAME",
}
_ALERT_HINT = (
    "the broker refused our side of TLS: if it wants a client certificate, set BROKER_CERT_FILE and BROKER_KEY_FILE, "
    "and check that its CA is known there"
)
_END_HINT = (
    "the broker ended the connection: if it wants a client certificate, set BROKER_CERT_FILE and BROKER_KEY_FILE; "
    "otherwise check that this port speaks TLS 1.2 or later"
)
_NOT_TLS_HINT = "this port does not speak TLS: use amqps:// with the TLS port (5671), or amqp://"


@dataclass(frozen=True, slots=True)
class BrokerTls:
    """Files in PEM format, and the name to expect in the broker's certificate if that is not the host of the URL."""

    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    server_name: str | None = None

    def options(self) -> dict[str, Any]:
        """kombu's `ssl` options. The files are read at every connection, so renewed certificates need no restart."""
        return {
            "ca_certs": self.ca_file,  # None: the system's CAs, or those of SSL_CERT_FILE
            "certfile": self.cert_file,
            "keyfile": self.key_file,
            "cert_reqs": ssl.CERT_REQUIRED,
            "server_hostname": self.server_name,  # None: the host of the URL
        }


def check_ca(ca_file: str) -> None:
    """Raise ValueError if the file holds no CA certificates."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(ca_file)
    except ssl.SSLError:
        raise ValueError("must be a file of certificates in PEM format") from None
    except (OSError, ValueError) as error:
        raise ValueError(f"must be a readable file: {_without_name(error)}") from None


def check_certificate(cert_file: str, key_file: str | None) -> None:
    """Raise ValueError if the files do not hold a certificate and its key, without a passphrase."""
    try:
        # An empty password, because OpenSSL would ask for one on the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(cert_file, key_file, password="")
    except ssl.SSLError:
        raise ValueError(
            "BROKER_CERT_FILE and BROKER_KEY_FILE must be a certificate and its key in PEM format, the key without a "
            "passphrase"
        ) from None
    except (OSError, ValueError) as error:
        raise ValueError(
            f"BROKER_CERT_FILE and BROKER_KEY_FILE must be readable files: {_without_name(error)}"
        ) from None


class BrokerTlsError(ConnectionError):
    """The TLS handshake with a broker failed; the text says why and what to do. All frames fail in the same way."""

    @classmethod
    def of(cls, error: ssl.SSLError, host: str) -> "BrokerTlsError":
        """The error of Python's `ssl` in words."""
        if isinstance(error, ssl.SSLCertVerificationError):
            hint = _HINTS.get(error.verify_code, error.verify_message)
        elif "ALERT" in (error.reason or ""):
            hint = _ALERT_HINT
        elif isinstance(error, ssl.SSLEOFError):  # TLS 1.3: the connection may end before its alert is read
            hint = _END_HINT
        elif error.reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"):
            hint = _NOT_TLS_HINT
        else:
            hint = "check that this port speaks TLS 1.2 or later"
        return cls(f"TLS to {host}: {hint} ({error.reason or type(error).__name__})")


def _without_name(error: Exception) -> str:
    """What is wrong, without the file's name: it may be a secret in the wrong line."""
    return error.strerror or type(error).__name__ if isinstance(error, OSError) else type(error).__name__
