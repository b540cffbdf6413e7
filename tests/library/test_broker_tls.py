"""TLS to a broker: which certificates are refused, and in which words; the files of the settings."""

import os
from pathlib import Path

import pytest

from lco_ingester.broker_connection import Connection, connection_arguments
from lco_ingester.broker_tls import BrokerTls, BrokerTlsError
from lco_ingester.exceptions import BrokerDeploymentError, SettingsError
from lco_ingester.publisher import Publisher
from lco_ingester.settings import Settings, load_settings
from tests.support.ports import closed_port

certificates = pytest.importorskip("tests.support.certificates", reason="needs the package cryptography")
tls_server = pytest.importorskip("tests.support.tls_server").tls_server

PASSWORD = "hush-hush"


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture(scope="module")
def authority(directory: Path):
    return certificates.Authority(directory)


@pytest.fixture(scope="module")
def stranger(directory: Path):
    """Another CA of the same name."""
    return certificates.Authority(directory / "stranger")


@pytest.fixture(scope="module")
def other(directory: Path):
    return certificates.Authority(directory / "other", "other-ca")


def url(port: int, host: str = "127.0.0.1") -> str:
    return f"amqps://user:{PASSWORD}@{host}:{port}//"


def connect(urls: str, tls: BrokerTls) -> None:
    with Connection(**connection_arguments(urls, tls, 5)) as connection:
        connection.ensure_connection(max_retries=0)


@pytest.mark.parametrize(
    ("hosts", "days", "host", "server_name", "words"),
    [
        (["rabbit.example"], 1, "127.0.0.1", None, "not for this IP address"),
        (["127.0.0.2"], 1, "127.0.0.1", None, "not for this IP address"),
        (["rabbit.example"], 1, "localhost", None, "for another host"),
        (["127.0.0.1"], 1, "localhost", None, "for another host"),
        ([], 1, "localhost", None, "for another host"),
        (["localhost", "127.0.0.1"], 1, "localhost", "other.example", "for another host"),
        (["localhost", "127.0.0.1"], -1, "localhost", None, "has expired"),
        (["localhost", "127.0.0.1"], 3, "127.0.0.1", None, "not valid yet"),
    ],
)
def test_a_certificate_that_does_not_fit_is_refused_in_one_line(
    authority,
    hosts: list[str],
    days: int,
    host: str,
    server_name: str | None,
    words: str,
) -> None:
    files = authority.sign("server", *hosts, days=days)
    with tls_server(*files) as server:
        with pytest.raises(Exception, match=words) as raised:
            connect(url(server.port, host), BrokerTls(str(authority.certificate), server_name=server_name))
        assert server.completed == 0, "nothing was sent to it"
    text = str(raised.value)
    assert text.startswith(f"TLS to {host}: ")
    assert "\n" not in text
    assert PASSWORD not in text


@pytest.mark.parametrize(
    ("hosts", "host", "server_name", "asked"),
    [
        (["localhost"], "localhost", None, "localhost"),
        (["127.0.0.1"], "127.0.0.1", None, None),
        (["rabbit.example"], "127.0.0.1", "rabbit.example", "rabbit.example"),
        (["*.rabbit.example"], "localhost", "node1.rabbit.example", "node1.rabbit.example"),
    ],
)
def test_a_certificate_for_the_host_of_the_url_or_for_the_server_name_is_accepted(
    authority, hosts: list[str], host: str, server_name: str | None, asked: str | None
) -> None:
    files = authority.sign("server", *hosts)
    with tls_server(*files) as server:
        with pytest.raises(Exception) as raised:  # noqa: PT011 - the server closes the connection after the handshake
            connect(url(server.port, host), BrokerTls(str(authority.certificate), server_name=server_name))
        assert not isinstance(raised.value.__cause__, BrokerTlsError), raised.value
        assert server.completed == 1
        assert server.names == [asked]


def test_each_url_of_a_list_has_its_own_name(authority) -> None:
    files = authority.sign("only-localhost", "localhost")
    tls = BrokerTls(str(authority.certificate))
    with tls_server(*files) as first, tls_server(*files) as second:
        arguments = connection_arguments(f"{url(first.port, 'localhost')};{url(second.port)}", tls, 5)
        with Connection(**arguments) as connection:
            for _ in range(3):
                with pytest.raises(Exception, match=r"."):
                    connection.ensure_connection(max_retries=1, interval_start=0)
        assert first.completed >= 3
        assert second.completed == 0


def test_without_a_ca_file_the_systems_cas_count_or_those_of_ssl_cert_file(
    authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = authority.sign("by-variable", "localhost")
    with tls_server(*files) as server:
        with pytest.raises(Exception, match="unknown CA"):
            connect(url(server.port, "localhost"), BrokerTls())
        assert server.completed == 0
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
        with pytest.raises(Exception, match=r"closed|reset|EOF"):
            connect(url(server.port, "localhost"), BrokerTls())
        assert server.completed == 1


def test_another_ca_is_refused(authority, stranger, other) -> None:
    with tls_server(*authority.sign("ours", "localhost")) as server:
        for each in (stranger, other):
            with pytest.raises(Exception, match="unknown CA: name this CA in BROKER_CA_FILE"):
                connect(url(server.port, "localhost"), BrokerTls(str(each.certificate)))


def test_a_publisher_blames_the_deployment_for_a_certificate(authority, stranger) -> None:
    with tls_server(*authority.sign("publisher", "localhost")) as server:
        publisher = Publisher(url(server.port, "localhost"), "archived_fits", BrokerTls(str(stranger.certificate)))
        with pytest.raises(BrokerDeploymentError, match="unknown CA"):
            publisher.publish({}, "an-md5")


class TestTheFilesAreCheckedWhenTheSettingsAreLoaded:
    @pytest.fixture(autouse=True)
    def _clean(self, clean_environment: None) -> None: ...

    def test_good_files(self, authority) -> None:
        cert_file, key_file = authority.sign("client")
        both = cert_file.with_suffix(".both")
        both.write_bytes(cert_file.read_bytes() + key_file.read_bytes())
        settings = load_settings(
            Settings,
            broker_ca_file=str(authority.certificate),
            broker_cert_file=str(cert_file),
            broker_key_file=str(key_file),
            broker_server_name="rabbit.example",
        )
        assert settings.broker_tls == BrokerTls(
            str(authority.certificate), str(cert_file), str(key_file), "rabbit.example"
        )
        assert load_settings(Settings, broker_cert_file=str(both)).broker_tls.key_file is None

    @pytest.mark.parametrize(
        ("ca", "cert", "key", "words"),
        [
            ("missing", None, None, "BROKER_CA_FILE: must be a readable file: No such file or directory"),
            ("directory", None, None, "BROKER_CA_FILE: must be"),
            ("empty", None, None, "BROKER_CA_FILE: must be a file of certificates in PEM format"),
            ("key", None, None, "BROKER_CA_FILE: must be a file of certificates in PEM format"),
            ("nul", None, None, "BROKER_CA_FILE: must be a readable file"),
            (None, "missing", "key", "BROKER_CERT_FILE and BROKER_KEY_FILE must be readable files"),
            (None, "cert", "missing", "BROKER_CERT_FILE and BROKER_KEY_FILE must be readable files"),
            (None, "cert", None, "must be a certificate and its key in PEM format"),
            (None, "cert", "other-key", "must be a certificate and its key in PEM format"),
            (None, "cert", "encrypted", "the key without a passphrase"),
            (None, "empty", "key", "must be a certificate and its key in PEM format"),
            (None, None, "key", "BROKER_KEY_FILE: BROKER_CERT_FILE must be set too"),
        ],
    )
    def test_bad_files_are_one_line_without_their_names(
        self, authority, tmp_path: Path, ca: str | None, cert: str | None, key: str | None, words: str
    ) -> None:
        cert_file, key_file = authority.sign("mine")
        _, other_key = authority.sign("another")
        (tmp_path / "empty").touch()
        (tmp_path / "encrypted").write_bytes(certificates.encrypted(key_file))
        files = {
            "missing": tmp_path / "missing",
            "directory": tmp_path,
            "empty": tmp_path / "empty",
            "cert": cert_file,
            "key": key_file,
            "other-key": other_key,
            "encrypted": tmp_path / "encrypted",
            "nul": "a\0b",
            None: None,
        }
        given = {"broker_ca_file": files[ca], "broker_cert_file": files[cert], "broker_key_file": files[key]}
        with pytest.raises(SettingsError) as raised:
            load_settings(Settings, **{name: str(file) for name, file in given.items() if file is not None})
        assert words in str(raised.value)
        assert str(tmp_path) not in str(raised.value)
        assert "\n" not in str(raised.value)

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
    def test_a_file_that_may_not_be_read(self, authority) -> None:
        cert_file, _ = authority.sign("hidden")
        cert_file.chmod(0)
        with pytest.raises(SettingsError, match="Permission denied"):
            load_settings(Settings, broker_ca_file=str(cert_file))

    @pytest.mark.parametrize("name", ["rabbit.example:5671", "https://rabbit", "-x", "a b", "a..b", "x" * 64])
    def test_a_server_name_is_a_name(self, name: str) -> None:
        with pytest.raises(SettingsError, match="BROKER_SERVER_NAME: must be a host name or an IP address") as raised:
            load_settings(Settings, broker_server_name=name)
        assert name not in str(raised.value)


def test_a_port_where_nothing_listens_is_not_a_fault_of_tls() -> None:
    with pytest.raises(Exception, match="refused"):
        connect(url(closed_port()), BrokerTls())
