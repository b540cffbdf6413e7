"""Metrics never raise, never delay, and arrive under the right names (docs/metrics.md).

The client of opentsdb-python-metrics lives in a module of that package, one for a process; what needs a fresh one runs
in a process of its own.
"""

import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from lco_ingester.metrics import Metrics, open_metrics
from tests.support.scripted import Answer, Scripted, closed_port, scripted, silent_port
from tests.support.synthetic import ROOT

TAKEN = Answer(204, "")


def opened(port: int, **options: bool) -> Metrics:
    return open_metrics("127.0.0.1", port, "test-process", **{"off": False, "asynchronous": False, **options})


def port_of(server: Scripted) -> int:
    return int(server.url.rstrip("/").rpartition(":")[2])


def received(server: Scripted) -> list[dict[str, Any]]:
    return [json.loads(asked.body) for asked in server.asked]


@pytest.fixture
def server() -> Iterator[Scripted]:
    with scripted(TAKEN) as running:
        yield running


def in_a_process_of_its_own(code: str, **variables: str) -> dict[str, Any]:
    """What the code puts into `said`, by JSON."""
    done = subprocess.run(
        [sys.executable, "-c", f"import json\nsaid = {{}}\n{code}\nprint(json.dumps(said))"],
        cwd=ROOT,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    return dict(json.loads(done.stdout))


def test_a_metric_arrives_under_its_name_with_its_tags(server: Scripted) -> None:
    before = time.time()
    opened(port_of(server)).send("ingester.ingest_lag", 12.5, site="coj")
    [asked] = server.asked
    assert (asked.method, asked.path) == ("POST", "/api/put")
    [metric] = received(server)
    tags = metric.pop("tags")
    assert tags.items() >= {"ingester_process_name": "test-process", "site": "coj"}.items()
    assert metric.pop("timestamp") == pytest.approx(before, abs=5)
    assert metric == {"metric": "ingester.ingest_lag", "value": 12.5}


def test_tags_are_made_of_characters_that_opentsdb_takes(server: Scripted) -> None:
    metrics = open_metrics("127.0.0.1", port_of(server), "an ingester: ü", off=False, asynchronous=False)
    metrics.send("x", 1, empty="", path="/data/a-e00.fits", odd="a=b,c d")
    [metric] = received(server)
    assert (
        metric["tags"].items()
        >= {
            "ingester_process_name": "an_ingester___",
            "empty": "_",
            "path": "/data/a-e00.fits",
            "odd": "a_b_c_d",
        }.items()
    )


def test_a_block_is_timed_in_milliseconds(server: Scripted) -> None:
    with opened(port_of(server)).timed("ingester.upload_file"):
        time.sleep(0.02)
    [metric] = received(server)
    assert metric["metric"] == "ingester.upload_file.runtime"
    assert 20 <= metric["value"] < 2000


def test_a_block_that_fails_is_not_timed_and_fails_as_it_would(server: Scripted) -> None:
    with pytest.raises(KeyError), opened(port_of(server)).timed("ingester"):
        raise KeyError
    assert server.asked == []


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_value_that_is_not_a_number_is_not_sent(server: Scripted, value: float) -> None:
    opened(port_of(server)).send("x", value)
    assert server.asked == []


def test_without_a_server_or_in_test_mode_nothing_is_opened() -> None:
    for metrics in (open_metrics("", 80, "p", off=False, asynchronous=False), opened(closed_port(), off=True)):
        metrics.send("x", 1)
        with metrics.timed("y"):
            pass
        metrics.close()


def seconds_of(metrics: Metrics) -> float:
    start = time.perf_counter()
    metrics.send("x", 1)
    with metrics.timed("y"):
        pass
    return time.perf_counter() - start


def test_a_server_that_is_down_costs_nothing() -> None:
    assert seconds_of(opened(closed_port())) < 1


def test_a_silent_server_costs_half_a_second_once(caplog: pytest.LogCaptureFixture) -> None:
    with silent_port() as port:
        metrics = opened(port)
        assert seconds_of(metrics) < 1
        assert seconds_of(metrics) < 0.1
    assert caplog.text.count("metrics server is slow") == 1


@pytest.mark.parametrize("status", [400, 404, 500])
def test_a_server_that_refuses_is_not_an_error(server: Scripted, status: int) -> None:
    server.tell(Answer(status, "no"))
    assert seconds_of(opened(port_of(server))) < 1
    assert len(server.asked) == 2


def test_a_metric_that_the_client_cannot_send_is_not_an_error(
    server: Scripted, caplog: pytest.LogCaptureFixture
) -> None:
    metrics = opened(port_of(server))
    metrics.send("not a name!", 1)
    metrics.send("x", 1, host="twice")
    assert server.asked == []
    assert "not sent" in caplog.text


def test_the_client_is_kept_from_chatting(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    opened(closed_port())
    chatty = logging.getLogger("opentsdb_metrics")
    for _ in range(100):
        chatty.warning("Problem with connection")
    assert caplog.text.count("Problem with connection") <= 1


def test_asynchronous_metrics_leave_by_themselves(server: Scripted) -> None:
    metrics = opened(port_of(server), asynchronous=True)
    start = time.perf_counter()
    for number in range(5):
        metrics.send("x", number)
    assert time.perf_counter() - start < 0.1
    metrics.close()
    assert [metric["value"] for metric in received(server)] == list(range(5))


def test_asynchronous_metrics_cost_nothing_while_the_server_is_silent() -> None:
    with silent_port() as port:
        metrics = opened(port, asynchronous=True)
        assert seconds_of(metrics) < 0.1
        start = time.perf_counter()
        metrics.close()
        assert time.perf_counter() - start < 3


def test_asynchronous_metrics_arrive_from_a_forked_child_that_opened_its_own(server: Scripted) -> None:
    said = in_a_process_of_its_own(f"""
import os
from lco_ingester.metrics import open_metrics
def send(name):
    metrics = open_metrics("127.0.0.1", {port_of(server)}, name, off=False, asynchronous=True)
    metrics.send("x", 1)
    metrics.close()
send("parent")
child = os.fork()
if child == 0:
    send("child")
    os._exit(0)
said["status"] = os.waitpid(child, 0)[1]
""")
    assert said == {"status": 0}
    assert [metric["tags"]["ingester_process_name"] for metric in received(server)] == ["parent", "child"]


@pytest.mark.parametrize("variable", ["", "false", None])
def test_opening_asks_the_server_nothing_and_leaves_the_environment_as_it_was(variable: str | None) -> None:
    name = "OPENTSDB_PYTHON_METRICS_TEST_MODE"
    given = {} if variable is None else {name: variable}
    with silent_port() as port:
        said = in_a_process_of_its_own(
            f"""
import os, sys, time
connections = []
sys.addaudithook(lambda event, arguments: connections.append(event) if event == "socket.connect" else None)
before = dict(os.environ)
start = time.perf_counter()
from lco_ingester.metrics import open_metrics
open_metrics("127.0.0.1", {port}, "p", off=False, asynchronous=False)
said["seconds"] = time.perf_counter() - start
said["connections"] = connections
said["changed"] = dict(os.environ) != before
""",
            OPENTSDB_HOSTNAME="127.0.0.1",
            OPENTSDB_PORT=str(port),
            **given,
        )
    assert said["connections"] == []
    assert said["changed"] is False
    assert said["seconds"] < 10
