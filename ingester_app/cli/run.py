"""`ingester run ROLE`: the command lines of the service's processes.

Each role runs in this process, so that signals and the exit code are its own. Further arguments go to Celery's command
of the role (`celery worker`, `celery beat`, `celery flower`).
"""

import os
import sys
import threading
from collections.abc import Callable
from typing import Any

import click

from ingester_app.broker import PERIODIC_QUEUE, create_app, exit_on_signals
from ingester_app.cli.deployment import Deployment

# Gossip and mingle only cost start-up time: no worker needs to know of another.
_ALONE = ("--without-gossip", "--without-mingle")
# Beat needs no file: its tasks run every few minutes, so a schedule that is lost at a restart costs nothing.
_IN_MEMORY = ("--scheduler", "celery.beat:Scheduler")

FLOWER_END_SECONDS = 1.0


@click.group("run")
def run_group() -> None:
    """Run one process of the service until SIGTERM or Ctrl-C.

    Arguments after `--` go to Celery's own command, for example: ingester run worker -- --max-tasks-per-child=1000
    """
    exit_on_signals()  # until the role sets handlers of its own: a worker does that after it has reached the broker


@run_group.command("listener")
@click.pass_obj
def run_listener(deployment: Deployment) -> None:
    """Names from the FITS exchange become tasks. One is enough; more share the work."""
    from ingester_app.listener import listen

    sys.exit(listen(deployment.settings))


def _celery_role(name: str) -> Callable[[Callable[..., Any]], click.Command]:
    """A role whose further arguments go to Celery."""

    def decorate(function: Callable[..., Any]) -> click.Command:
        with_rest = click.argument("rest", nargs=-1, type=click.UNPROCESSED, metavar="[-- CELERY ARGUMENTS]")(function)
        return run_group.command(name)(click.pass_obj(with_rest))

    return decorate


@_celery_role("worker")
@click.option(
    "-c", "--concurrency", type=click.IntRange(1), default=1, envvar="WORKER_CONCURRENCY", show_envvar=True,
    show_default=True, help="Number of processes.",
)  # fmt: skip
@click.option(
    "-n", "--hostname", default="ingest@%h", show_default=True,
    help="Name of the worker; %h is the host. Two workers on one host need different names.",
)  # fmt: skip
def run_worker(deployment: Deployment, concurrency: int, hostname: str, rest: tuple[str, ...]) -> None:
    """Frames go through the pipeline. As many as you like, on any host that sees the files."""
    from ingester_app.tasks import create_worker_app

    settings = deployment.settings
    words = ("worker", "-Q", settings.ingest_queue, "-n", hostname, "-c", str(concurrency), *_ALONE, *rest)
    _celery(create_worker_app(settings), *words)


@_celery_role("periodic")
@click.option("-n", "--hostname", default="periodic@%h", show_default=True, help="Name of the worker; %h is the host.")
@click.option(
    "--with-beat",
    is_flag=True,
    help="Run beat inside this worker; then start no other periodic worker or beat.",
)
def run_periodic(deployment: Deployment, hostname: str, with_beat: bool, rest: tuple[str, ...]) -> None:
    """Queue lengths and the archive's holdings, every few minutes. Run exactly one."""
    from ingester_app.tasks import create_worker_app

    beat = ("-B", *_IN_MEMORY) if with_beat else ()
    words = ("worker", "-Q", PERIODIC_QUEUE, "-n", hostname, "-c", "1", *_ALONE, *beat, *rest)
    _celery(create_worker_app(deployment.settings), *words)


@_celery_role("beat")
def run_beat(deployment: Deployment, rest: tuple[str, ...]) -> None:
    """Sends the periodic worker its tasks when they are due. Exactly one."""
    _celery(_with_logs(deployment), "beat", *_IN_MEMORY, "--pidfile=", *rest)


@_celery_role("flower")
@click.option("--address", default="127.0.0.1", show_default=True, help="Where its page is served.")
@click.option(
    "--port", type=click.IntRange(1, 65535), default=5555, envvar="FLOWER_PORT", show_envvar=True, show_default=True,
    help="Port of its page.",
)  # fmt: skip
def run_flower(deployment: Deployment, address: str, port: int, rest: tuple[str, ...]) -> None:
    """Flower: a page on workers and tasks. Optional."""
    try:
        _celery(_with_logs(deployment), "flower", f"--address={address}", f"--port={port}", *rest)
    finally:
        # Python waits at its end for threads of Flower that may wait for the broker.
        end = threading.Timer(FLOWER_END_SECONDS, os._exit, (0,))
        end.daemon = True
        end.start()


def _with_logs(deployment: Deployment) -> Any:
    """A Celery app without tasks, which is all that beat and Flower need, and our logs."""
    from celery import signals

    from ingester_app import logs

    settings = deployment.settings
    redact = deployment.redact
    signals.setup_logging.connect(
        lambda **_: logs.configure(settings.log_level, settings.log_format, redact), weak=False
    )
    return create_app(settings)


def _celery(app: Any, *words: str) -> None:
    """Run a command of Celery's in this process and end with its exit code.

    Not by `app.start`, which drops the exit code.
    """
    from celery.bin.celery import celery

    celery.params[0].default = app  # the option --app, as `app.start` sets it
    try:
        sys.exit(celery.main(args=list(words), prog_name="celery", standalone_mode=False))
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
