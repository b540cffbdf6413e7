"""Faults on request, in both demo servers."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
import requests
from botocore.exceptions import ClientError, ConnectionClosedError, HTTPClientError

from ingester_demo.faults import Fault
from ingester_demo.flaky import Flaky
from ingester_demo.http_server import running
from tests.support.servers import ArchiveServer, running_archive, running_s3
from tests.support.service import ROOT


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ArchiveServer]:
    with running_archive(tmp_path_factory.mktemp("archive")) as server:
        yield server


@pytest.fixture
def archive(process: ArchiveServer) -> Iterator[ArchiveServer]:
    yield process
    process.clear_faults()


def statuses(archive: ArchiveServer, times: int, path: str = "frames/") -> list[int]:
    return [requests.get(archive.url + path, timeout=10).status_code for _ in range(times)]


def posted(archive: ArchiveServer, name: str) -> requests.Response:
    version = {"key": f"key of {name}", "md5": f"md5 of {name}", "extension": ".fits"}
    sent = {
        "basename": name,
        "area": None,
        "DAY-OBS": "20261122",
        "DATE-OBS": "2026-11-22",
        "version_set": [version],
    }
    return requests.post(f"{archive.url}frames/", json=sent, headers=archive.headers, timeout=10)


def names(archive: ArchiveServer) -> set[str]:
    return {frame["basename"] for frame in archive.frames()}


def test_every_nth_request_fails_and_is_counted(archive: ArchiveServer) -> None:
    archive.faults(every=3)
    assert statuses(archive, 6) == [200, 200, 503, 200, 200, 503]
    state = archive.fault_state()
    assert state["requests"] == 6
    assert state["injected"]["error"] == 2
    assert (state["faults"][0]["matched"], state["faults"][0]["injected"]) == (6, 2)


def test_a_rate_fails_about_that_share_and_a_repeat_fails_the_same_requests(archive: ArchiveServer) -> None:
    runs = []
    for _ in range(2):
        archive.faults(rate=0.3, seed=7, status=500)
        runs.append(statuses(archive, 40))
    assert runs[0] == runs[1]
    assert 4 <= runs[0].count(500) <= 20


def test_a_fault_applies_to_its_method_and_path_and_ends_after_its_times(archive: ArchiveServer) -> None:
    archive.faults({"path": "/frames/", "method": "get", "times": 2}, {"path": "/versions/", "status": 500})
    assert statuses(archive, 3) == [503, 503, 200]
    assert statuses(archive, 1, "versions/") == [500]
    archive.faults(path="/frames/", method="POST")
    assert statuses(archive, 1) == [200]


def test_a_request_that_gets_an_error_is_not_executed(archive: ArchiveServer) -> None:
    archive.faults(method="POST")
    assert posted(archive, "refused").status_code == 503
    assert "refused" not in names(archive)


def test_a_request_whose_answer_is_dropped_is_executed(archive: ArchiveServer) -> None:
    archive.faults(kind="drop_answer", method="POST")
    with pytest.raises(requests.ConnectionError):
        posted(archive, "dropped")
    assert "dropped" in names(archive)


def test_a_request_on_a_connection_that_is_down_is_not_executed(archive: ArchiveServer) -> None:
    archive.faults(kind="down", method="POST")
    with pytest.raises(requests.ConnectionError):
        posted(archive, "down")
    assert "down" not in names(archive)
    assert archive.fault_state()["injected"]["down"] == 1


def test_a_cut_answer_ends_after_half_of_its_body(archive: ArchiveServer) -> None:
    whole = requests.get(f"{archive.url}frames/", timeout=10).content
    archive.faults(kind="cut")
    with requests.get(f"{archive.url}frames/", timeout=10, stream=True) as answer:
        assert int(answer.headers["Content-Length"]) == len(whole)
        got: list[bytes] = []
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            got.extend(answer.iter_content(1))
    assert len(got) == len(whole) // 2


def test_a_slow_request_waits_and_is_executed(archive: ArchiveServer) -> None:
    archive.faults(kind="slow", seconds=0.3, method="POST")
    began = time.monotonic()
    assert posted(archive, "slow").status_code == 201
    assert time.monotonic() - began >= 0.3


def test_clearing_returns_the_counters_and_ends_the_faults(archive: ArchiveServer) -> None:
    archive.faults(kind="error")
    assert statuses(archive, 2) == [503, 503]
    assert archive.clear_faults()["injected"]["error"] == 2
    assert statuses(archive, 1) == [200]
    assert archive.fault_state()["faults"] == []


@pytest.mark.parametrize(
    "fault",
    [{"kind": "odd"}, {"evry": 2}, {"every": 0}, {"rate": 2}, {"every": 2, "rate": 0.1}, {"status": 200}, 7],
)
def test_an_invalid_fault_is_refused_and_changes_nothing(archive: ArchiveServer, fault: object) -> None:
    archive.faults(every=2)
    answer = requests.put(f"{archive.url}_faults", json=fault, timeout=10)
    assert answer.status_code == 400
    assert "detail" in answer.json()
    assert archive.fault_state()["faults"][0]["every"] == 2


def test_the_s3_store_injects_faults_too_and_boto3_sees_them() -> None:
    with running_s3() as store:
        s3 = store.client(retries={"total_max_attempts": 1})
        store.faults(kind="error", method="PUT")
        with pytest.raises(ClientError) as refusal:
            s3.put_object(Bucket=store.bucket, Key="k", Body=b"1" * 100_000)
        assert refusal.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
        store.faults(kind="drop_answer", method="PUT")
        with pytest.raises(ConnectionClosedError):
            s3.put_object(Bucket=store.bucket, Key="k", Body=b"1" * 100_000)
        store.faults(kind="down", method="PUT")
        with pytest.raises(HTTPClientError):
            s3.put_object(Bucket=store.bucket, Key="never", Body=b"1" * 1_000_000)
        store.clear_faults()
        listed = s3.list_objects_v2(Bucket=store.bucket)
        assert [each["Key"] for each in listed["Contents"]] == ["k"]


def test_the_server_can_run_inside_a_test() -> None:
    def app(environ, start_response):
        start_response("200 OK", [])
        return iter([b"in ", b"pieces"])

    flaky = Flaky(app)
    with running(flaky) as url, requests.Session() as session:
        assert session.post(url, data=b"never read" * 10_000, timeout=10).text == "in pieces"
        assert session.get(url, timeout=10).text == "in pieces"
        flaky.set_faults([Fault(kind="cut")])
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            session.get(url, timeout=10)
    with pytest.raises(requests.ConnectionError):
        requests.get(url, timeout=10)


def test_an_application_that_fails_is_answered_500_and_the_server_keeps_running(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def app(environ, start_response):
        raise RuntimeError("broken on purpose")

    with running(app) as url:
        assert [requests.get(url, timeout=10).status_code for _ in range(2)] == [500, 500]
    assert "broken on purpose" in capsys.readouterr().err


def test_a_request_that_is_not_http_is_refused_and_affects_no_other_request(archive: ArchiveServer) -> None:
    address = urlsplit(archive.url)
    for sent in (b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n"):
        with socket.create_connection((str(address.hostname), address.port or 0), timeout=10) as client:
            client.sendall(sent)
            assert b" 400 " in client.recv(1000)
    assert statuses(archive, 1) == [200]


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT])
def test_a_server_prints_one_line_and_ends_cleanly_at_a_signal(
    tmp_path_factory: pytest.TempPathFactory, end: int
) -> None:
    database = tmp_path_factory.mktemp("archive") / "archive.sqlite"
    command = [
        sys.executable,
        "-m",
        "ingester_demo",
        "serve",
        "archive",
        "--database",
        str(database),
        "--token",
        "t",
    ]
    with subprocess.Popen(command, stdout=-1, stderr=-1, text=True, cwd=ROOT) as server:
        assert server.stdout is not None
        url = server.stdout.readline().removeprefix("ready ").strip()
        with requests.Session() as session:
            assert session.get(f"{url}frames/", timeout=10).status_code == 200
            server.send_signal(end)
            said, errors = server.communicate(timeout=10)
    assert (server.returncode, said, errors) == (0, "", "")


def test_a_server_listens_on_the_host_that_is_named() -> None:
    command = [sys.executable, "-m", "ingester_demo", "serve", "s3", "--bucket", "frames", "--host", "0.0.0.0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as server:
        assert server.stdout is not None
        url = server.stdout.readline().removeprefix("ready ").strip()
        port = urlsplit(url).port
        server.terminate()
    assert url == f"http://0.0.0.0:{port}/"


def test_a_bucket_that_s3_does_not_allow_is_refused_in_one_line() -> None:
    command = [sys.executable, "-m", "ingester_demo", "serve", "s3", "--bucket", "x"]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False, timeout=30)
    assert (ended.returncode, ended.stdout) == (1, "")
    [line] = ended.stderr.splitlines()
    assert "cannot make the bucket x" in line
