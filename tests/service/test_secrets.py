"""No secret leaves the service's processes: not by Celery's remote control, a command, a log line or a dead letter."""

import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery.contrib.testing.worker import start_worker

from ingester_app import logs
from ingester_app.broker import create_app
from ingester_app.health import findings
from ingester_app.ingest import TaskContext, ingest
from ingester_app.retry import retry_policies
from ingester_app.schema import DeadLetter, FrameMessage, RetryState
from ingester_app.settings import ServiceSettings
from lco_ingester import cli
from lco_ingester.exceptions import FailureKind, IngesterError
from lco_ingester.file.datafile import PathFile
from lco_ingester.frame import Named
from lco_ingester.redaction import Redactor
from lco_ingester.services import Services, open_services
from lco_ingester.settings import load_settings
from tests.support.rabbitmq import RabbitNode
from tests.support.scripted import Answer, Scripted, scripted
from tests.support.synthetic import checks, rules, write_frame

TOKEN = "9944b09199c62bcf9418ad846dd0e4bbdfc6ee4b"
FAILOVER = "amqp://user:first-secret@127.0.0.1:1//;amqp://user:second-secret@127.0.0.1:2//"  # nobody listens there


@pytest.fixture
def echo(monkeypatch: pytest.MonkeyPatch) -> Iterator[Scripted]:
    """The environment of a process whose Archive API and S3 quote the token."""
    with scripted(Answer(400, {"detail": f"x{TOKEN}"})) as server:
        names = ("API_ROOT", "AWS_ENDPOINT_URL_S3")
        keys = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "s" * 40}
        brokers = {"FITS_BROKER": FAILOVER, "BROKER_URL": FAILOVER}
        for name, value in {**dict.fromkeys(names, server.url), **keys, **brokers, "AUTH_TOKEN": TOKEN}.items():
            monkeypatch.setenv(name, value)
        yield server


def test_remote_control_and_flower_see_no_password_of_a_failover_list(rabbit: RabbitNode) -> None:
    rabbit.control("add_user", "user", "first-secret")
    rabbit.control("set_permissions", "user", ".*", ".*", ".*")
    urls = FAILOVER.replace(":1//", f":{rabbit.port}//")
    settings = load_settings(ServiceSettings, broker_url=urls, fits_broker=urls)
    app = create_app(settings)
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    try:
        with start_worker(app, pool="solo", perform_ping_check=False) as worker:
            shown = f"{worker.stats()} {worker.consumer.connection!r} {app.conf.table()}"
    finally:  # Celery has made its own
        root.setLevel(level)
        root.handlers[:] = handlers
    assert "'userid': 'user'" in shown
    assert "first-secret" not in shown


def test_health_hides_secrets(echo: Scripted) -> None:
    settings = load_settings(ServiceSettings)
    redact = Redactor(settings.secrets())

    def failing() -> Services:
        raise ValueError(f"a mistake that quotes {TOKEN}")

    for services in (lambda: open_services(settings, redact), failing):
        found = {each.what: each.words for each in findings(settings, create_app(settings), services, redact)}
        assert "***" in found["Archive API"]
        assert TOKEN not in str(found)


@pytest.mark.parametrize("options", [["--check-only"], ["--verbose"], []])
def test_the_command_hides_secrets(
    echo: Scripted, options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*options, str(write_frame(tmp_path))]) == 1
    assert "***" in (shown := "".join(capsys.readouterr()))
    assert TOKEN not in shown


def test_a_mistake_in_the_program_shows_no_secret_to_the_user_of_the_command(
    echo: Scripted, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def mistaken(*_: Any) -> bool:
        raise LookupError(f"quotes {TOKEN}")

    monkeypatch.setattr(cli, "exists_with", mistaken)
    assert cli.main(["--check-only", str(write_frame(tmp_path))]) == 1
    shown = capsys.readouterr().err
    assert "LookupError: quotes ***" in shown
    assert TOKEN not in shown


@pytest.mark.parametrize(
    "program",
    [
        "from ingester_app.cli.deployment import Deployment; Deployment().settings",
        "from ingester_app import logs; from lco_ingester.redaction import Redactor;"
        "logs.configure('INFO', 'json', Redactor((os.environ['AUTH_TOKEN'],)))",
    ],
)
def test_an_error_that_ends_a_process_shows_no_secret(
    echo: Scripted, program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BROKER_URL", "amqp://localhost")
    monkeypatch.setenv("FITS_BROKER", "amqp://localhost")
    mistaken = f"import os; {program}; raise ValueError('port ' + os.environ['AUTH_TOKEN'])"
    ended = subprocess.run([sys.executable, "-c", mistaken], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "ValueError: port ***" in ended.stderr
    assert TOKEN not in ended.stderr


def test_a_dead_letter_of_a_mistake_in_the_program_hides_secrets(tmp_path: Path) -> None:
    letters: list[DeadLetter] = []

    def services() -> Services:
        try:
            raise KeyError(f"inner {TOKEN}")
        except KeyError as error:
            raise ValueError(f"outer {TOKEN}") from error

    context = TaskContext(
        services=services,
        rules=rules(),
        checks=checks(),
        file_at=PathFile,
        retry_policies=retry_policies(load_settings(ServiceSettings)),
        retry=lambda *_: None,
        bury=letters.append,
        worker="w",
        redact=Redactor((TOKEN,)),
    )
    since_long = RetryState(FailureKind.DEPLOYMENT, 0.0, 9)
    ingest(FrameMessage(Named(str(write_frame(tmp_path))), since_long), False, context)
    [letter] = letters
    assert "outer ***" in letter.text
    assert "inner ***" in letter.traceback
    assert TOKEN not in str(letter)


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_a_log_line_hides_secrets_in_every_field(log_format: str, capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    before = root.handlers[:], root.level, sys.excepthook
    try:
        logs.configure("INFO", log_format, Redactor((TOKEN, "null", "17")))
        with logs.bound(task_id=TOKEN):
            try:
                raise IngesterError(TOKEN)
            except IngesterError:
                extra = {"error": IngesterError(TOKEN), "deep": {"list": [TOKEN, (TOKEN, 17, None)]}, "number": 17}
                logging.getLogger("urllib3").warning("quotes %s", TOKEN, exc_info=True, stack_info=True, extra=extra)
    finally:
        root.handlers[:], sys.excepthook = before[0], before[2]
        root.setLevel(before[1])
    shown = capsys.readouterr().err
    assert "quotes ***" in shown
    assert "Traceback" in shown
    assert TOKEN not in shown
