"""`ingester letters discard` and `replay` remove what they say, and nothing else, whatever interrupts them."""

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from kombu import Connection, Exchange, Queue

from ingester_app import dead_letter_queue as module
from ingester_app.broker import celery_connection, dead_letter_queue, dispatch, send_letter
from ingester_app.cli import main
from ingester_app.dead_letter_queue import CheckedOutLetter, came_back, checked_out, discard, letters_in
from ingester_app.schema import DeadLetter, FrameMessage
from ingester_demo import folder_transport
from lco_ingester.frame import Named
from tests.service.test_letters import ingester
from tests.support.rabbitmq import PROGRAM, RabbitNode, running_rabbitmq
from tests.support.servers import ArchiveServer, S3Server
from tests.support.service import INGESTER, ROOT, Deployment, deployed

MANY = 130  # a quorum queue of RabbitMQ 3.10 loses acknowledgements after the 33rd if the channel closes at once


def write_letters(site: Deployment, number: int, **fields: str) -> None:
    """Letters that can be replayed; `reason` is FILE_MISSING and FITS_TRUNCATED in turn."""
    for each in range(number):
        path = f"/data/frame-{each}.fits"
        known = {"id": f"{each:04}", "path": path, "reason": ("FILE_MISSING", "FITS_TRUNCATED")[each % 2], **fields}
        message = FrameMessage(Named(path)).to_message()
        send_letter(site.app(), dead_letter_queue(site.settings), DeadLetter(**known, message=message))  # type: ignore[arg-type]


@pytest.fixture
def many(site: Deployment) -> Deployment:
    """A site with many letters, where nothing runs."""
    site.declare_ingest_queue()
    write_letters(site, MANY)
    return site


def started(site: Deployment, *arguments: str) -> "subprocess.Popen[str]":
    """The command while it runs."""
    return subprocess.Popen(
        [*INGESTER, *arguments],
        cwd=ROOT,
        env=site.environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_all_letters_that_were_discarded_are_gone(many: Deployment) -> None:
    done = ingester(many, "letters", "discard", "--all", "--yes")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("discarded: ") == MANY
    assert many.letters() == []


def test_all_letters_that_were_replayed_are_gone_and_the_others_are_there(many: Deployment) -> None:
    done = ingester(many, "letters", "replay", "--reason", "FILE_MISSING")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("replayed: ") == many.frames_waiting() == MANY / 2
    assert {letter.reason for letter in many.letters()} == {"FITS_TRUNCATED"}
    assert len(many.letters()) == MANY / 2


def test_a_list_right_after_a_list_shows_the_same_letters(many: Deployment) -> None:
    """RabbitMQ counts letters that were put back only some milliseconds later."""
    assert [len(many.letters()) for _ in range(5)] == [MANY] * 5


def test_letters_that_came_back_are_counted_and_new_ones_with_equal_content_are_not(many: Deployment) -> None:
    queue = dead_letter_queue(many.settings)
    with celery_connection(many.settings) as connection:
        channel = connection.channel()
        messages = [channel.basic_get(queue.name) for _ in range(MANY)]
        for message in messages:
            channel.basic_ack(message.delivery_tag)
        channel.close()  # at once, without waiting for an answer
        digests = {module._letter(None, message).digest for message in messages}
        with checked_out(connection, queue) as letters:
            back = len(list(came_back(letters, digests)))
        assert back == len(many.letters())
        assert ingester(many, "letters", "discard", "--all", "--yes").returncode == (0 if back else 1)
        write_letters(many, 3)
        with checked_out(connection, queue) as letters:
            assert list(came_back(letters, digests)) == []


def test_the_command_reports_letters_that_came_back(many: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    """An acknowledgement that does not reach the broker is what a lost one looks like from here."""
    monkeypatch.setattr(CheckedOutLetter, "remove", lambda each: setattr(each, "removed", True))
    done = CliRunner().invoke(main, ["letters", "discard", "--all", "--yes"], env=many.environment())
    assert done.exit_code == 1
    assert f"{MANY} of {MANY} letters came back to the queue: run the command again" in done.stderr


def test_an_error_in_the_middle_leaves_the_rest_in_the_queue_and_says_how_many_are_done(
    many: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []

    def fails_at_the_41st(app: Any, message: dict[str, Any], path: str) -> None:
        if len(sent) == 40:
            raise OSError("the broker went away")
        dispatch(app, message, path)
        sent.append(path)

    monkeypatch.setattr(module, "dispatch", fails_at_the_41st)
    done = CliRunner().invoke(main, ["letters", "replay", "--all"], env=many.environment())
    assert done.exit_code == 1
    assert "the broker went away" in done.stderr
    assert "40 letters are done, the others are still in the queue: run the command again" in done.stderr
    assert {letter.path for letter in many.letters()}.isdisjoint(sent)
    assert len(many.letters()) == MANY - 40


def test_a_reader_that_closes_the_pipe_ends_the_command_and_no_letter_is_both_replayed_and_kept(
    many: Deployment,
) -> None:
    process = started(many, "letters", "replay", "--all")
    assert process.stdout is not None
    assert "replayed" in process.stdout.readline()
    process.stdout.close()
    assert process.wait(20) == 1
    assert 0 < len(many.letters()) < MANY
    assert many.frames_waiting() + len(many.letters()) == MANY


def test_ctrl_c_finishes_the_letter_in_hand(many: Deployment) -> None:
    process = started(many, "letters", "replay", "--all")
    assert process.stdout is not None
    assert "replayed" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 1
    done = many.frames_waiting()
    assert f"Error: interrupted; {done} letters are done" in said
    assert len(many.letters()) == MANY - done > 0


def test_letters_are_in_their_queue_while_the_operator_thinks_and_one_that_arrives_then_stays(site: Deployment) -> None:
    write_letters(site, 3)
    process = started(site, "letters", "discard", "--all")
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.read(len("delete 3")) == "delete 3"
    assert len(site.letters()) == 3
    write_letters(site, 1, id="new")
    process.stdin.write("y\n")
    process.communicate(timeout=20)
    assert process.returncode == 0
    assert [letter.id for letter in site.letters()] == ["new"]


def test_a_forged_letter_with_the_id_of_another_does_not_replace_it(site: Deployment) -> None:
    site.declare_ingest_queue()
    forged = DeadLetter(id="0000", path="/data/x.fits", reason="X", message=FrameMessage(Named("/data/x")).to_message())
    send_letter(site.app(), dead_letter_queue(site.settings), forged)
    write_letters(site, 1)
    write_letters(site, 1, traceback="written twice")
    assert len(ingester(site, "letters", "list").stdout.splitlines()) == 2
    done = ingester(site, "letters", "replay", "--all")
    assert (done.returncode, done.stdout.count("replayed once, although it was written twice")) == (0, 1)
    assert site.frames_waiting() == 2


def test_a_mistyped_code_is_an_error_and_a_code_of_another_release_is_not(site: Deployment) -> None:
    write_letters(site, 1, reason="OF_ANOTHER_RELEASE", step="split")
    for command in ("list", "show", "export", "replay", "discard"):
        wrong = ingester(site, "letters", command, "--reason", "FILE_MISING")
        assert wrong.returncode == 2, command
        assert "no letter has the code FILE_MISING" in wrong.stderr
        assert "FILE_MISSING" in wrong.stderr
    assert ingester(site, "letters", "list", "--step", "uplaod").returncode == 2
    assert ingester(site, "letters", "list", "--step", "upload").returncode == 0
    other = ingester(site, "letters", "list", "--reason", "OF_ANOTHER_RELEASE", "--step", "split")
    assert (other.returncode, other.stderr) == (0, "1 letters\n")


@pytest.mark.parametrize("empty", [("",), ("--name", ""), ("--reason", ""), ("--step", "")])
def test_an_empty_text_does_not_select_every_letter(site: Deployment, empty: tuple[str, ...]) -> None:
    assert CliRunner().invoke(main, ["letters", "discard", "--yes", *empty], env=site.environment()).exit_code == 2


def test_a_terminal_of_another_encoding_shows_every_letter(site: Deployment) -> None:
    write_letters(site, 1, path="/data/ż.fits")
    for command in ("list", "show", "export"):
        done = ingester(site, "letters", command, PYTHONIOENCODING="ascii")
        assert (done.returncode, "Traceback" in done.stderr) == (0, False)


@pytest.mark.parametrize(
    "command", [("export", "--output", "/dev/full"), ("list",), ("show",), ("export",), ("discard", "--all", "--yes")]
)
def test_an_output_that_cannot_be_written_is_one_line(site: Deployment, command: tuple[str, ...]) -> None:
    write_letters(site, 1)
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*INGESTER, "letters", *command], cwd=ROOT, env=site.environment(), stdout=full, stderr=subprocess.PIPE,
            text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert [line for line in done.stderr.splitlines() if line != "1 letters"] == [done.stderr.splitlines()[-1]]
    assert "No space left" in done.stderr


@pytest.mark.parametrize("command", ["list", "show", "export", "replay", "discard"])
def test_a_broker_that_is_absent_or_refuses_the_login_is_one_line(site: Deployment, command: str) -> None:
    absent, refused = "amqp://127.0.0.1:1//", site.variables["BROKER_URL"].replace("guest:guest", "guest:secret")
    for url, why in ((absent, "refused"), (refused, "ACCESS_REFUSED")):
        options = ["--all"] if command in ("replay", "discard") else []
        done = CliRunner().invoke(main, ["letters", command, *options], env=site.environment(BROKER_URL=url))
        assert done.exit_code == 1
        assert len(done.stderr.splitlines()) == 1
        assert why in done.stderr
        assert "secret" not in done.stderr


@pytest.mark.skipif(PROGRAM is None, reason="needs the program rabbitmq-server")
def test_a_broker_that_dies_in_the_middle_is_one_line_that_says_how_many_letters_are_done(
    tmp_path: Path, archive: ArchiveServer, s3_server: S3Server
) -> None:
    with (
        running_rabbitmq(tmp_path / "rabbit") as node,
        deployed(tmp_path / "site", node.url, archive, s3_server) as site,
    ):
        site.declare_ingest_queue()
        write_letters(site, MANY)
        process = started(site, "letters", "discard", "--all", "--yes")
        assert process.stdout is not None
        assert "discarded" in process.stdout.readline()
        node.kill()
        shown, said = process.communicate(timeout=30)
    assert process.returncode == 1
    assert f"{shown.count('discarded') + 1} letters are done" in said
    assert len(said.splitlines()) == 1


@pytest.mark.skipif(PROGRAM is None, reason="needs RabbitMQ")
def test_a_letter_whose_task_is_too_large_for_the_broker_stays_and_the_others_are_replayed(
    tmp_path: Path, archive: ArchiveServer, store: S3Server
) -> None:
    """A letter in UTF-8 may be below the limit although its task, in ASCII, is not."""
    (tmp_path / "small").mkdir()
    node = RabbitNode(tmp_path / "small", "small", config="max_message_size = 100000\n")
    try:
        node.start()
        with deployed(tmp_path / "site", node.url, archive, store) as site:
            site.declare_ingest_queue()
            write_letters(site, 3)
            message = {**FrameMessage(Named("/data/large.fits")).to_message(), "comment": "☃" * 30_000}
            letter = DeadLetter(id="large", path="/data/large.fits", message=message).to_message()
            with celery_connection(site.settings) as connection:
                channel, exchange = connection.default_channel, dead_letter_queue(site.settings).exchange.name
                for body in (json.dumps(letter, ensure_ascii=False).encode(), b"{}"):
                    channel.basic_publish(channel.prepare_message(body), exchange=exchange, routing_key="")
            write_letters(site, 2)
            ended = ingester(site, "letters", "replay", "--name", ".fits")
            assert (ended.returncode, ended.stderr) == (1, "")
            assert ended.stdout.count("cannot be replayed: the broker takes no message of this size") == 1
            assert site.frames_waiting() == 3, "the others, once each"
            assert len(site.letters()) == 2
    finally:
        node.kill()
        node.forget()


def test_letters_are_read_and_removed_at_a_broker_of_kombus_own(tmp_path: Path) -> None:
    folder_transport.register()
    url = folder_transport.url_of(tmp_path / "broker")
    queue = Queue("letters", Exchange("letters", type="fanout"))
    with Connection(url) as connection:
        for number in range(5):
            letter = DeadLetter(id=str(number), reason="X").to_message()
            connection.Producer().publish(letter, exchange=queue.exchange, declare=[queue], serializer="json")
        assert len(letters_in(connection, queue)) == 5
        with checked_out(connection, queue) as letters:
            done = list(discard(each for each in letters if each.letter.id in "13"))
        assert {each.letter.id for each, _ in done} == {"1", "3"}
        assert {letter.id for letter in letters_in(connection, queue)} == {"0", "2", "4"}
