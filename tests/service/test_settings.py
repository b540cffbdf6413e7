"""What only the service's settings know."""

import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from ingester_app import cli
from ingester_app.ingest import settings_fingerprint
from ingester_app.settings import ServiceSettings
from lco_ingester.exceptions import SettingsError
from lco_ingester.settings import load_settings
from tests.support.service import BEAT, FLOWER, INGESTER, LISTENER, PERIODIC, ROOT, WORKER


@pytest.mark.parametrize("written", ["DEBUG", "debug", "Debug"])
def test_a_log_level_may_be_written_in_small_letters(
    clean_environment: None, monkeypatch: pytest.MonkeyPatch, written: str
) -> None:
    monkeypatch.setenv("LOG_LEVEL", written)
    assert load_settings(ServiceSettings).log_level == "DEBUG"


def test_another_storage_class_of_old_frames_begins_waiting_frames_again(clean_environment: None) -> None:
    before, after = (load_settings(ServiceSettings, storage_class_old=name) for name in ("STANDARD_IA", ""))
    assert settings_fingerprint(before) != settings_fingerprint(after)


@pytest.mark.parametrize("name", ["GLACIER IR", "A\nB: C", "x" * 65])
def test_a_storage_class_that_cannot_be_one_is_refused(clean_environment: None, name: str) -> None:
    with pytest.raises(SettingsError, match="STORAGE_CLASS_OLD"):
        load_settings(ServiceSettings, storage_class_old=name)


@pytest.mark.parametrize("name", ["lco.ingest", "a.ingest"])
def test_a_queue_that_celerys_delays_would_take_for_another_is_refused(
    clean_environment: None, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("INGEST_QUEUE", name)
    with pytest.raises(SettingsError, match=r"INGEST_QUEUE: .*must not end in \.ingest"):
        load_settings(ServiceSettings)


@pytest.mark.parametrize(
    "command", [(), ("letters",), ("letters", "list"), ("letters", "replay"), ("health",), ("run",), ("run", "worker")]
)
def test_the_operators_command_explains_itself_without_any_setting(
    clean_environment: None, command: tuple[str, ...]
) -> None:
    told = CliRunner().invoke(cli.main, [*command, "--help"])
    assert told.exit_code == 0
    assert "Usage:" in told.output


def test_the_operators_command_names_the_settings_that_it_lacks(clean_environment: None) -> None:
    told = CliRunner().invoke(cli.main, ["letters", "list"])
    assert told.exit_code == 1
    assert "set FITS_BROKER and BROKER_URL" in told.output


EVERYTHING = (
    LISTENER,
    WORKER,
    PERIODIC,
    BEAT,
    FLOWER,
    (*INGESTER, "health"),
    (*INGESTER, "letters", "list"),
    (sys.executable, "listener.py"),
    (sys.executable, "-c", "import tasks"),
    (sys.executable, "-c", "import celeryconfig"),
    (sys.executable, "-m", "lco_ingester.cli", "frame.fits"),
)


def test_a_wrong_broker_url_is_one_line_at_the_start_of_every_process_and_command() -> None:
    url = "amqp://host/;amqp://user:hush/hush@host/?connection_attempts=3"
    variables = {**os.environ, "FITS_BROKER": url, "BROKER_URL": url}
    started = [
        subprocess.Popen(command, cwd=ROOT, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for command in EVERYTHING
    ]
    for process in started:
        shown, _ = process.communicate(timeout=60)
        assert process.returncode == 1
        assert "FITS_BROKER: URL 2 of 2 must have no options" in shown
        assert shown.count("\n") == 1
        assert "hush" not in shown
