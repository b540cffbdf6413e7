"""The command as its users run it: one line out, one exit code (docs of the command: --help)."""

import json
import os
from pathlib import Path

import pytest

from lco_ingester.cli import _parser
from lco_ingester.printable import printable
from tests.cli.conftest import Command, Ended
from tests.support.raw_server import Told, raw_server
from tests.support.scripted import Answer, closed_port, scripted
from tests.support.servers import ArchiveServer
from tests.support.synthetic import ABSENT, CARDS, image, new_basename, write_frame

pytestmark = pytest.mark.usefixtures("external_services")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_frame(tmp_path)


def assert_failed(ended: Ended, *texts: str, stdout: str = "") -> None:
    """Exit code 1 and exactly one line on stderr, with these texts in it."""
    assert (ended.returncode, ended.stdout) == (1, stdout)
    assert ended.stderr.count("\n") == 1
    assert ended.stderr.endswith("\n")
    for text in texts:
        assert text in ended.stderr


def test_a_frame_is_ingested_and_only_its_url_printed_then_it_is_archived_already(
    process: Command, path: Path, archive: ArchiveServer
) -> None:
    first = process(path)
    assert (first.returncode, first.stderr) == (0, "")
    [frame] = [frame for frame in archive.frames() if frame["basename"] == path.stem]
    assert first.stdout.partition("?")[0] == f"{frame['url'].partition('?')[0]}"
    assert first.stdout.count("\n") == 1
    again = process(path)
    assert (again.returncode, again.stderr) == (0, "")
    assert again.stdout == f"{path} is archived already\n"


def test_check_only_says_by_word_and_exit_code_whether_a_frame_is_archived(command: Command, path: Path) -> None:
    assert command("--check-only", path) == Ended(1, "False\n", "")
    command(path)
    assert command("--check-only", path) == Ended(0, "True\n", "")


def test_options_go_before_the_environment(process: Command, path: Path, archive: ArchiveServer) -> None:
    wrong = {"API_ROOT": "http://127.0.0.1:1/", "AUTH_TOKEN": "wrong", "BUCKET": "nowhere"}
    options = ("--api-root", archive.url, "--auth-token", archive.token, "--bucket", "frames")
    with scripted(Answer(204, "")) as receiver:
        ended = process(
            *options,
            "--process-name",
            "by-hand",
            path,
            **wrong,
            OPENTSDB_HOSTNAME="127.0.0.1",
            OPENTSDB_PORT=receiver.url.rstrip("/").rpartition(":")[2],
            SUBMIT_METRICS_ASYNCHRONOUSLY="True",
        )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert len(receiver.asked) == 6, "sent before the command ended, whatever the environment says"
    assert all(b'"ingester_process_name": "by-hand"' in asked.body for asked in receiver.asked)


@pytest.mark.parametrize("variable", ["API_ROOT", "AWS_ENDPOINT_URL_S3"])
def test_a_server_that_sends_a_byte_now_and_then_is_one_line_after_its_time_out(
    process: Command, path: Path, variable: str
) -> None:
    with raw_server(Told(b"HTTP/1.1 200 OK\r\nX-Long: ", b"a")) as slow:
        there = {variable: f"http://127.0.0.1:{slow.port}", "API_TIMEOUT": "0.5", "S3_TIMEOUT": "0.5"}
        assert_failed(process(path, **there), str(path), "an answer within 0.", " bytes sent and ")


def test_a_bad_frame_is_one_line_that_says_what_is_wrong(process: Command, tmp_path: Path) -> None:
    path = write_frame(tmp_path, {"BLKUID": ABSENT})
    assert_failed(process(path), str(path), "required keywords", "without BLKUID", "REQUIRED_HEADERS")


def test_a_truncated_frame_is_one_line_that_says_how_much_is_missing(command: Command, tmp_path: Path) -> None:
    content = image(pixels=60)
    path = write_frame(tmp_path, content=content[:-2880])
    assert_failed(command(path), str(path), str(len(content)), str(len(content) - 2880))


def test_a_frame_that_the_archive_would_refuse_is_one_line_that_says_why(command: Command, tmp_path: Path) -> None:
    path = write_frame(tmp_path, {"TELID": "too long"})
    assert_failed(command(path), path.stem, "TELID", "at most 4 characters")


def test_a_path_that_is_not_a_file_gives_one_line(command: Command, tmp_path: Path) -> None:
    assert_failed(command(tmp_path / "gone.fits"), "gone.fits", "file")
    assert_failed(command(tmp_path), str(tmp_path), "regular file")
    os.mkfifo(tmp_path / "pipe.fits")
    assert_failed(command(tmp_path / "pipe.fits"), "pipe.fits", "regular file")


def test_services_that_are_down_give_one_line_each(command: Command, path: Path) -> None:
    down = f"http://127.0.0.1:{closed_port()}/"
    assert_failed(command("--api-root", down, path), "Archive API", down, "Connection refused")
    assert_failed(command(path, AWS_ENDPOINT_URL_S3=down), "S3", "EndpointConnectionError")
    broker = f"amqp://user:hush-hush@127.0.0.1:{closed_port()}//"
    announced = command(path, FITS_BROKER=broker)
    assert_failed(announced, str(path), "archived (id", "not announced")
    assert "hush" not in announced.stderr


def test_a_wrong_token_is_one_line_and_not_shown(command: Command, path: Path) -> None:
    for token in ("hush-hush", "hush-hush\n"):
        ended = command("--auth-token", token, path)
        assert_failed(ended, "Archive API access", "AUTH_TOKEN")
        assert "hush" not in ended.stderr
    assert "hush" not in command("--verbose", "--auth-token", "hush-hush", path).stderr


def test_wrong_settings_are_one_line_with_all_of_them(command: Command, path: Path) -> None:
    ended = command("--api-root", "archive.example", path, OPENTSDB_PORT="many")
    assert_failed(ended, "API_ROOT", "OPENTSDB_PORT")
    assert "many" not in ended.stderr


def test_a_check_that_fails_is_one_line_and_false(command: Command, path: Path) -> None:
    down = f"http://127.0.0.1:{closed_port()}/"
    assert_failed(command("--check-only", "--api-root", down, path), "Archive API", stdout="False\n")


@pytest.mark.parametrize("arguments", [(), ("a.fits", "b.fits"), ("--nonsense", "a.fits")])
def test_wrong_arguments_are_one_line(command: Command, arguments: tuple[str, ...]) -> None:
    assert_failed(command(*arguments), "lco_ingest_frame: ", "--help")


def test_help_mentions_every_option_and_every_exit_code(command: Command) -> None:
    ended = command("--help")
    assert (ended.returncode, ended.stderr) == (0, "")
    for action in _parser()._actions:
        for name in action.option_strings or [str(action.metavar)]:
            assert name in ended.stdout
    for variable in ("API_ROOT", "AUTH_TOKEN", "BUCKET", "INGESTER_PROCESS_NAME"):
        assert variable in ended.stdout
    assert "exit codes:\n  0  archived" in ended.stdout
    assert "\n  1  " in ended.stdout


# Companions, which only archives of nested records take


@pytest.fixture
def companion(tmp_path: Path, ocs_external_services: dict[str, str]) -> tuple[Path, Path]:
    """A .pdf and its metadata."""
    pdf, metadata = tmp_path / f"{new_basename()}-summary.pdf", tmp_path / "metadata.json"
    pdf.write_bytes(b"%PDF-1.7 " + pdf.name.encode())
    metadata.write_text(json.dumps(CARDS))
    return pdf, metadata


def test_a_pdf_is_ingested_with_its_metadata(process: Command, companion: tuple[Path, Path]) -> None:
    pdf, metadata = companion
    nested = {"API_ROOT": os.environ["API_ROOT"], "ARCHIVE_RECORD_FORMAT": "ocs"}
    ended = process("--metadata", metadata, pdf, **nested)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert pdf.name in ended.stdout
    assert process("--metadata", metadata, pdf, **nested).stdout == f"{pdf} is archived already\n"


def test_a_thumbnail_is_ingested(command: Command, companion: tuple[Path, Path], tmp_path: Path) -> None:
    picture = tmp_path / f"{new_basename()}-small.jpg"
    picture.write_bytes(b"\xff\xd8\xff\xe0" + picture.name.encode())
    ended = command("--metadata", companion[1], "--thumbnail", "small", picture)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert f"/thumbnails/{picture.name}" in ended.stdout


def test_a_companion_is_refused_in_one_line(command: Command, companion: tuple[Path, Path], tmp_path: Path) -> None:
    pdf, metadata = companion
    assert_failed(command(pdf), pdf.name, "metadata", "--metadata FILE.json")
    assert_failed(command("--metadata", metadata, pdf, ARCHIVE_RECORD_FORMAT="lco"), "ARCHIVE_RECORD_FORMAT=lco")
    assert_failed(command("--metadata", tmp_path / "gone.json", pdf), "gone.json", "file")
    for content in ("[1]", "{", "", '{"a": 1} {}'):
        metadata.write_text(content)
        assert_failed(command("--metadata", metadata, pdf), "metadata.json", "a JSON object")
    metadata.write_text('{"SITEID": "coj"}')
    assert_failed(command("--metadata", metadata, pdf), pdf.name, "required keywords", "BLKUID")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--thumbnail", "small", "a.jpg"),
        ("--thumbnail", "tiny", "--metadata", "a.json", "a.jpg"),
        ("--check-only", "--thumbnail", "small", "--metadata", "a.json", "a.jpg"),
    ],
)
def test_wrong_arguments_for_a_thumbnail_are_one_line(command: Command, arguments: tuple[str, ...]) -> None:
    assert_failed(command(*arguments), "lco_ingest_frame: ", "--thumbnail", "--help")


def test_verbose_keeps_the_url_alone_on_stdout(command: Command, path: Path) -> None:
    ended = command("--verbose", path)
    assert ended.returncode == 0
    assert ended.stdout.count("\n") == 1


def test_an_error_escapes_what_a_terminal_would_obey(process: Command, path: Path) -> None:
    odd = path.with_name("\x1b[31m\u202e\nframe.fits")
    ended = process(odd)
    assert_failed(ended, r"\x1b[31m\u202e frame.fits")
    assert printable(ended.stderr, keep="\n") == ended.stderr
    with scripted(Answer(400, '{"error": "\x1b]0;owned\x07\x9b"}')) as server:
        ended = process("--api-root", server.url, path)
    assert printable(ended.stderr, keep="\n") == ended.stderr
    ended = process("--explain", odd)
    assert printable(ended.stdout + ended.stderr, keep="\n") == ended.stdout + ended.stderr
