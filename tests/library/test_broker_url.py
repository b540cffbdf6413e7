"""Which texts are a broker's URL, what kombu gets of them, and that an error shows no piece of them."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kombu.utils.url import parse_url

from ingester_app.settings import ServiceSettings
from lco_ingester.broker_connection import Connection, connection_arguments
from lco_ingester.broker_tls import BrokerTls
from lco_ingester.broker_url import add_transport, is_rabbitmq, rabbitmq_urls
from lco_ingester.exceptions import SettingsError
from lco_ingester.settings import Settings, load_settings
from tests.support.ports import closed_port, silent_port

PASSWORD = "hush-hush"


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("amqp://user:pw@host:5673/vhost", "amqp://user:pw@host:5673/vhost"),
        ("AMQP://user:pw@host/vhost", "amqp://user:pw@host:5672/vhost"),
        ("pyamqp://user:pw@host/vhost", "pyamqp://user:pw@host:5672/vhost"),
        ("amqps://user:pw@host/vhost", "amqps://user:pw@host:5671/vhost"),
        ("amqp://host", "amqp://guest:guest@host:5672/%2F"),
        ("amqp://host/", "amqp://guest:guest@host:5672/%2F"),
        ("amqp://host//", "amqp://guest:guest@host:5672/%2F"),
        ("amqp://host/%2F", "amqp://guest:guest@host:5672/%2F"),
        ("amqp://host/a/b", "amqp://guest:guest@host:5672/a%2Fb"),
        ("amqp://rabbit_1.example.:5672/", "amqp://guest:guest@rabbit_1.example.:5672/%2F"),
        ("amqp://127.0.0.1:1//", "amqp://guest:guest@127.0.0.1:1/%2F"),
        ("amqp://[::1]:5673/v", "amqp://guest:guest@[::1]:5673/v"),
        ("amqp://user:%2F%40%3A%23%3F%25%3B%20@host/v", "amqp://user:%2F%40%3A%23%3F%25%3B%20@host:5672/v"),
        ("amqp://user:p:w^!$&'()*+,=é@host/v", "amqp://user:p%3Aw%5E%21%24%26%27%28%29%2A%2B%2C%3D%C3%A9@host:5672/v"),
        ("amqp://u:p@a:1/v;amqp://u:q@b/v", "amqp://u:p@a:1/v;amqp://u:q@b:5672/v"),
    ],
)
def test_kombu_gets_each_part_in_its_place(text: str, written: str) -> None:
    assert ";".join(map(str, rabbitmq_urls(text))) == written


PORT = "must have a port from 1 to 65535"
WRONG = {
    "a password with /": (f"amqp://user:{PASSWORD}/1@host:5672/vhost", "must have one @, before the host"),
    "a password with / after digits": ("amqp://user:99/hush@host:5672/vhost", "must have one @, before the host"),
    "a password with @": (f"amqp://user:{PASSWORD}@1@host:5672/vhost", "must have one @, before the host"),
    "a password with #": (f"amqp://user:{PASSWORD}#1@host:5672/vhost", r"no fragment (#)"),
    "a password with ?": (f"amqp://user:{PASSWORD}?1@host:5672/vhost", r"no options (?)"),
    "a password with ;": (f"amqp://user:{PASSWORD};1@host:5672/vhost", "URL 1 of 2 "),
    "a password with ; after digits": ("amqp://user:99;hush@host:5672/vhost", "URL 2 of 2 must begin with amqp://"),
    "a password with a space": (f"amqp://user:{PASSWORD} 1@host:5672/vhost", "spaces or control characters"),
    "a password with a tab": (f"amqp://user:{PASSWORD}\t1@host:5672/vhost", "spaces or control characters"),
    "a password with %": (f"amqp://user:{PASSWORD}%@host:5672/vhost", "two hexadecimal digits after each %"),
    "a password with %zz": (f"amqp://user:{PASSWORD}%zz@host:5672/vhost", "two hexadecimal digits after each %"),
    "an escape that is not UTF-8": (f"amqp://user:{PASSWORD}%FF@host/", "%-escapes of UTF-8"),
    "an escaped NUL": (f"amqp://user:{PASSWORD}%00@host/", "escaped control characters"),
    "an escape in the virtual host": (f"amqp://user:{PASSWORD}@host/%2", "two hexadecimal digits after each %"),
    "no password": ("amqp://hush-hush@host/", "both a user name and a password"),
    "an empty password": ("amqp://hush-hush:@host/", "both a user name and a password"),
    "no user": (f"amqp://:{PASSWORD}@host/", "both a user name and a password"),
    "no host": (f"amqp://user:{PASSWORD}@/vhost", "must have a host"),
    "nothing": ("amqp://", "must have a host"),
    "only a port": (f"amqp://user:{PASSWORD}@:5672/", "must have a host"),
    "a port in words": (f"amqp://user:{PASSWORD}@host:hush/", PORT),
    "an empty port": (f"amqp://user:{PASSWORD}@host:/", PORT),
    "port 0": (f"amqp://user:{PASSWORD}@host:0/", PORT),
    "port 65536": (f"amqp://user:{PASSWORD}@host:65536/", PORT),
    "a negative port": (f"amqp://user:{PASSWORD}@host:-1/", PORT),
    "a port in other digits": (f"amqp://user:{PASSWORD}@host:٥٦٧٢/", PORT),
    "two ports": (f"amqp://user:{PASSWORD}@host:1:2/", PORT),
    "hosts separated by commas": (f"amqp://user:{PASSWORD}@host1,host2/", "separated by ;"),
    "a host with an empty label": (f"amqp://user:{PASSWORD}@host..example/", "must have a host name"),
    "a host that is too long": (f"amqp://user:{PASSWORD}@{'a' * 64}/", "must have a host name"),
    "an IPv6 address without brackets": (f"amqp://user:{PASSWORD}@::1/", "must have a host"),
    "an IPv6 address that is none": (f"amqp://user:{PASSWORD}@[::hush]/", "must have an IPv6 address"),
    "an open bracket": (f"amqp://user:{PASSWORD}@[::1/", "must have an IPv6 address"),
    "words after the bracket": (f"amqp://user:{PASSWORD}@[::1]hush/", "must have : and a port"),
    "an unknown option": (f"amqp://user:{PASSWORD}@host/vhost?connection_attempts=3", r"no options (?)"),
    "an option that kombu knows": (f"amqp://user:{PASSWORD}@host/vhost?heartbeat=30", r"no options (?)"),
    "another transport": (f"redis://user:{PASSWORD}@host/", "no other transport is supported"),
    "a transport that does not exist": (f"nonsense://user:{PASSWORD}@host/", "no other transport is supported"),
    "a module as transport": (f"os.path://user:{PASSWORD}@host/", "no other transport is supported"),
    "a transport with +": (f"sqla+sqlite://user:{PASSWORD}@host/", "no other transport is supported"),
    "no transport": (f"user:{PASSWORD}@host", "must be a broker's URL"),
    "no text": ("", "must be a broker's URL"),
    "a space before it": (f" amqp://user:{PASSWORD}@host/", "must begin with amqp:// or amqps://"),
    "a line break after it": (f"amqp://user:{PASSWORD}@host/\n", "spaces or control characters"),
    "a list with a wrong URL": (f"amqp://a/;amqp://user:{PASSWORD}@b:hush/", "URL 2 of 2 must have a port"),
    "a list with a bare host": ("amqp://a/;hush", "URL 2 of 2 must begin with amqp:// or amqps://"),
    "a list with an empty URL": (f"amqp://user:{PASSWORD}@a/;", "URL 2 of 2 must begin with amqp:// or amqps://"),
    "a list with another transport": (f"amqp://a/;memory://{PASSWORD}", "URL 2 of 2 must begin with amqp://"),
    "a list that is encrypted in part": (f"amqps://a/;amqp://user:{PASSWORD}@b/", "must be amqps://, or none"),
    "a list of two virtual hosts": (f"amqp://a/one;amqp://user:{PASSWORD}@b/hush", "the same virtual host"),
    "a list in memory": ("memory://hush;memory://hush", "only RabbitMQ"),
}


@pytest.mark.parametrize("variable", ["FITS_BROKER", "BROKER_URL"])
@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_url_is_one_line_that_shows_no_piece_of_it(clean_environment: None, variable: str, what: str) -> None:
    text, words = WRONG[what]
    with pytest.raises(SettingsError) as raised:
        load_settings(ServiceSettings, **{variable.lower(): text})
    shown = str(raised.value)
    assert shown.startswith(f"wrong settings: {variable}: ")
    assert words in shown
    assert "hush" not in shown
    assert "\n" not in shown
    assert raised.value.__cause__ is None


plain = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=20)


@given(user=plain, password=plain, vhost=plain, host=st.sampled_from(["host", "127.0.0.1", "[::1]"]))
def test_what_is_escaped_comes_out_at_kombu(user: str, password: str, vhost: str, host: str) -> None:
    written = f"amqps://{quote(user, safe='')}:{quote(password, safe='')}@{host}:5000/{quote(vhost, safe='')}"
    parts = parse_url(";".join(map(str, rabbitmq_urls(written))))
    assert parts == {
        "transport": "amqps",
        "hostname": host.strip("[]"),
        "port": 5000,
        "userid": user,
        "password": password,
        "virtual_host": vhost,
    }


@given(rest=st.text(max_size=20))
def test_any_password_that_is_not_escaped_is_either_right_or_refused_without_a_piece_of_it(rest: str) -> None:
    text = f"amqp://user:{PASSWORD}{rest}@host:5672/vhost"
    try:
        [url] = rabbitmq_urls(text)
    except ValueError as error:
        shown = str(error)
    else:
        shown = ""
        assert (url.user, url.host, url.port, url.vhost) == ("user", "host", 5672, "vhost")
    assert "hush" not in shown


@given(text=st.text(max_size=60) | st.text(alphabet="amqps:/@;?#%[]1a.", max_size=40).map("amqp://".__add__))
def test_any_text_is_read_or_refused_with_a_value_error(text: str) -> None:
    try:
        urls = rabbitmq_urls(text)
    except ValueError:
        return
    if urls:
        with Connection(**connection_arguments(text, BrokerTls())) as connection:
            assert connection.hostname == urls[0].host


def test_which_brokers_are_rabbitmq() -> None:
    for text in ("amqp://a", "AMQPS://a", "pyamqp://a", "amqp://a;amqp://b"):
        assert is_rabbitmq(text)
        assert connection_arguments(text, BrokerTls())["transport_options"]["confirm_publish"] is True
    for text in ("memory://localhost", "filesystem://"):
        assert not is_rabbitmq(text)
        assert rabbitmq_urls(text) == ()
        assert connection_arguments(text, BrokerTls())["transport_options"] == {}


def test_a_program_may_add_its_own_transport(clean_environment: None) -> None:
    with pytest.raises(SettingsError):
        load_settings(Settings, fits_broker="pigeon:///loft")
    add_transport("pigeon")
    assert load_settings(Settings, fits_broker="pigeon:///loft").fits_broker.get_secret_value() == "pigeon:///loft"


def test_only_encrypted_urls_get_tls() -> None:
    tls = BrokerTls("ca.pem", server_name="rabbit")
    assert connection_arguments("amqp://host/", tls)["ssl"] is False
    assert connection_arguments("amqps://host/", tls)["ssl"] == tls.options()


def test_a_url_of_a_list_takes_nothing_over_from_the_one_before_it() -> None:
    urls = f"amqp://one:{PASSWORD}@a:1111/v;amqp://b/v"
    connection = Connection(**connection_arguments(urls, BrokerTls()))
    connection.maybe_switch_next()
    assert connection.as_uri(include_password=True) == "amqp://guest:guest@b:5672/v"
    connection.maybe_switch_next()
    assert connection.as_uri() == "amqp://one:**@a:1111/v"


@pytest.mark.timeout(20)
def test_no_text_of_a_connection_shows_a_password_of_its_list() -> None:
    with silent_port() as silent:
        urls = f"amqp://u:{PASSWORD}@127.0.0.1:{silent}//;amqp://u:{PASSWORD}@127.0.0.1:{closed_port()}//"
        connection = Connection(**connection_arguments(urls, BrokerTls(), 0.2))
        seen = []
        with pytest.raises(Exception, match="refused|timed out") as raised:  # noqa: RUF043
            connection.ensure_connection(lambda error, _: seen.append(f"{error} {connection.as_uri()}"), max_retries=3)
        assert len(seen) == 3
        assert PASSWORD not in f"{seen} {raised.value!r} {connection!r} {connection.as_uri()}"
