"""The users that deploy/rabbitmq-users makes may do their work and nothing else, tried on a real RabbitMQ."""

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import quote

import amqp
import pytest
from kombu import Connection, Exchange

from ingester_app.broker import dead_letter_queue, declare_queues, fits_queue, ingest_queue
from ingester_app.settings import ServiceSettings
from ingester_demo.sample_frames import make_frames
from lco_ingester.settings import load_settings
from tests.support.processes import wait_until
from tests.support.rabbitmq import PROGRAM, RabbitNode
from tests.support.servers import running_archive, running_s3
from tests.support.service import INGESTER, deployed

SCRIPT = Path(__file__).parents[2] / "deploy" / "rabbitmq-users"
PASSWORDS = {"ingester": 'a "quoted" $word\\ of mine', "camera": "snap", "pipeline": "reduce"}
NAMES = {name: field.default for name, field in ServiceSettings.model_fields.items()}

needs_rabbitmq = pytest.mark.skipif(PROGRAM is None, reason="needs the program rabbitmq-server")


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitNode]:
    directory = tmp_path_factory.mktemp("node")
    definitions = directory / "definitions.json"
    variables = {f"{user.upper()}_PASSWORD": password for user, password in PASSWORDS.items()}
    variables["RABBITMQ_PASSWORD"] = variables.pop("INGESTER_PASSWORD")
    command = ("env", f"DEFINITIONS_FILE={definitions}", *(f"{name}={value}" for name, value in variables.items()))
    private = RabbitNode(directory, config=f"load_definitions = {definitions}\n", starter=(*command, str(SCRIPT)))
    private.url = url(private, "ingester")
    try:
        private.start()
        declare_as_the_service_does(private)
        yield private
    finally:
        private.kill()
        private.forget()


def declare_as_the_service_does(node: RabbitNode) -> None:
    settings = load_settings(ServiceSettings, fits_broker=node.url, broker_url=node.url)
    processed = Exchange(settings.processed_exchange_name, type="fanout", durable=True)
    with Connection(node.url) as connection:
        declare_queues(connection, fits_queue(settings), dead_letter_queue(settings), ingest_queue(settings))
        processed(connection.channel()).declare()


def url(node: RabbitNode, user: str) -> str:
    return f"amqp://{user}:{quote(PASSWORDS[user], safe='')}@127.0.0.1:{node.port}//"


def may(node: RabbitNode, user: str, act: Callable[[Any], Any]) -> bool:
    """Whether RabbitMQ lets a user do that; the answer of a name that is not there is a yes."""
    with Connection(url(node, user), transport_options={"confirm_publish": True}) as connection:
        channel = connection.channel()
        try:
            act(channel)
        except amqp.AccessRefused:
            return False
        except amqp.NotFound:
            return True
        return True


def publish(exchange: str, key: str = "") -> Callable[[Any], Any]:
    return lambda channel: channel.basic_publish_confirm(amqp.Message("x"), exchange=exchange, routing_key=key)


def consume(queue: str) -> Callable[[Any], Any]:
    return lambda channel: channel.basic_consume(queue, callback=lambda _: None)


def declare(queue: str, **arguments: Any) -> Callable[[Any], Any]:
    return lambda channel: channel.queue_declare(queue, auto_delete=False, **arguments)


def bind(queue: str, exchange: str) -> Callable[[Any], Any]:
    return lambda channel: channel.queue_bind(queue, exchange, "")


@needs_rabbitmq
class TestUsers:
    @pytest.mark.parametrize(
        ("user", "act", "allowed"),
        [
            ("camera", publish("fits_files"), True),
            ("camera", publish("archived_fits"), False),
            ("camera", publish("ingest"), False),
            ("camera", publish("", "ingest"), False),
            ("camera", publish("", "archive_ingest"), False),
            ("camera", publish("ingest_dead_letters"), False),
            ("camera", publish("celery.pidbox"), False),
            ("camera", consume("archive_ingest"), False),
            ("camera", declare("mine"), False),
            ("camera", lambda channel: channel.exchange_delete("fits_files"), False),
            ("pipeline", declare("pipeline.reduction"), True),
            ("pipeline", bind("pipeline.reduction", "archived_fits"), True),
            ("pipeline", consume("pipeline.reduction"), True),
            ("pipeline", bind("pipeline.reduction", "fits_files"), False),
            ("pipeline", bind("pipeline.reduction", "ingest_dead_letters"), False),
            ("pipeline", publish("archived_fits"), False),
            ("pipeline", publish("fits_files"), False),
            ("pipeline", publish("", "ingest"), False),
            ("pipeline", consume("ingest"), False),
            ("pipeline", declare("mine"), False),
            ("pipeline", lambda channel: channel.queue_delete("ingest"), False),
            ("ingester", declare("mine"), False),
            ("ingester", consume("pipeline.reduction"), False),
            ("ingester", lambda channel: channel.exchange_delete("amq.topic"), False),
        ],
    )
    def test_may_do_only_their_work(
        self, node: RabbitNode, user: str, act: Callable[[Any], Any], allowed: bool
    ) -> None:
        assert may(node, user, act) is allowed

    def test_there_is_no_guest(self, node: RabbitNode) -> None:
        with pytest.raises(amqp.AccessRefused), Connection(f"amqp://guest:guest@127.0.0.1:{node.port}//") as connection:
            connection.connect()

    def test_the_service_does_all_its_work_as_the_user_ingester(self, node: RabbitNode, tmp_path: Path) -> None:
        """A name, a retry by way of the delays, a letter, its replay, remote control, and an announcement."""
        frames = [each.path for each in make_frames(tmp_path / "frames", 3, date(2026, 11, 1), pixels=100)]
        late, bad = tmp_path / "late" / frames[1].name, tmp_path / "bad.fits"
        bad.write_bytes(b"SIMPLE  =                    X")
        names = {
            name.upper(): str(NAMES[name])
            for name in NAMES
            if name.endswith("_exchange_name") or name in ("fits_queue", "ingest_queue", "dead_letter_queue")
        }
        with (
            running_s3("users") as store,
            running_archive(tmp_path) as archive,
            deployed(tmp_path / "site", node.url, archive, store, **names) as site,
        ):
            site.start_worker(concurrency=1)
            site.start_listener()
            site.publish(frames[0], late, bad)
            wait_until("a retry", lambda: "FILE_MISSING" in site.programs[0].logged())
            late.parent.mkdir()
            frames[1].rename(late)
            wait_until("two frames", lambda: len(site.take_announced()) == 2)
            assert len(site.wait_for_letters(1)) == 1
            assert site.app().control.ping(timeout=2)
            letters = site.start(*INGESTER, "letters", "replay", "--all")
            wait_until("the replay", lambda: letters.process.poll() is not None)
            assert "replayed" in letters.logged()
            assert len(site.wait_for_letters(1)) == 1


def test_the_documentation_has_the_expressions(tmp_path: Path) -> None:
    file = tmp_path / "definitions.json"
    passwords = dict.fromkeys(("RABBITMQ_PASSWORD", "CAMERA_PASSWORD", "PIPELINE_PASSWORD"), "x")
    subprocess.run([str(SCRIPT), "true"], env={**os.environ, **passwords, "DEFINITIONS_FILE": str(file)}, check=True)
    page = (SCRIPT.parents[1] / "SECURITY.md").read_text()
    for permission in json.loads(file.read_text())["permissions"]:
        for kind in ("configure", "write", "read"):
            assert f"`{permission[kind].replace('|demo_watch_.+', '')}`" in page, permission["user"]


@pytest.mark.parametrize(
    "name", ["site.fits", "a+b", "x|.*", "fits(files", 'a "quoted" name', "back\\slash", "50%s", "[a]"]
)
def test_a_name_stands_for_itself_and_no_other_name(name: str, tmp_path: Path) -> None:
    file = tmp_path / "definitions.json"
    variables = ("CRAWLER_EXCHANGE_NAME", "PROCESSED_EXCHANGE_NAME", "FITS_QUEUE", "INGEST_QUEUE", "DEAD_LETTER_QUEUE")
    environment = {"PATH": os.environ["PATH"], "DEFINITIONS_FILE": str(file), "RABBITMQ_PASSWORD": "x"}
    environment |= {"CAMERA_PASSWORD": "y", "PIPELINE_PASSWORD": "z", **dict.fromkeys(variables, name)}
    subprocess.run([str(SCRIPT), "true"], env=environment, check=True)
    users = {each["user"]: each for each in json.loads(file.read_text())["permissions"]}
    for user, kind in (("ingester", "configure"), ("camera", "write"), ("pipeline", "read")):
        assert re.search(users[user][kind], name)
        assert not re.search(users[user][kind], name.replace(".", "X") + "X")


def test_a_user_without_a_password_is_not_made(tmp_path: Path) -> None:
    file = tmp_path / "definitions.json"
    environment = {"PATH": os.environ["PATH"], "DEFINITIONS_FILE": str(file), "RABBITMQ_PASSWORD": "x"}
    subprocess.run([str(SCRIPT), "true"], env=environment, check=True)
    assert "camera" not in file.read_text()
    assert "administrator" not in file.read_text()
    with pytest.raises(subprocess.CalledProcessError):
        subprocess.run([str(SCRIPT), "true"], env={**environment, "RABBITMQ_PASSWORD": ""}, check=True)


def test_the_command_does_not_inherit_the_passwords(tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "DEFINITIONS_FILE": str(tmp_path / "d"), "RABBITMQ_PASSWORD": "secret"}
    shown = subprocess.run([str(SCRIPT), "env"], env=environment, check=True, capture_output=True, text=True).stdout
    with suppress(FileNotFoundError):
        assert "secret" not in (tmp_path / "d").read_text()
    assert "secret" not in shown
