"""`python -m ingester_demo [FILE|DIR …]`: the whole service on this machine, with nothing else installed or running.

The broker is a directory (`folder_transport`), S3 is moto's server, the Archive API is the demo's own small one.
Listener, workers and tasks are those of the real service.
"""

import argparse
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ingester_app.settings import ServiceSettings
from ingester_demo import folder_transport, report
from ingester_demo.sample_frames import make_frames
from ingester_demo.servers import ArchiveServer, S3Server, end, running_archive, running_s3
from ingester_demo.watch import Outcome, Watch
from lco_ingester.file.datafile import split_name
from lco_ingester.settings import load_settings

START_TIME_LIMIT = 60.0  # seconds
STOP_TIME_LIMIT = 60.0  # seconds; a worker first finishes the frame that it works on
FRAMES_TIME_LIMIT = 90.0  # seconds for all frames together
READY_LINES = ("listening on queue", "ingest@", " ready.")
SERVICE = Path("run_celery.sh")
PREPARE = "from ingester_demo.folder_transport import register; register()"  # what run_celery.sh does first
FRAME_EXTENSIONS = (".fits", ".fits.fz", ".fits.gz", ".tar.gz", ".tar")


def main(arguments: list[str]) -> int:
    """Return 0 if every good frame is archived and announced, and every bad one is a dead letter."""
    options = parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder_transport.register()
    with ExitStack() as stack, tempfile.TemporaryDirectory(prefix="archive-ingester-demo-") as directory:
        try:
            return _run(options, Path(directory), stack)
        except KeyboardInterrupt:
            return 130
        finally:
            stack.close()


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        "python -m ingester_demo",
        description="See the Archive Ingester work: start all of it on this machine and archive some frames.",
        epilog="Other commands: frames, serve, run; each has its own --help. For a file of such a name write ./frames.",
    )
    made.add_argument("files", nargs="*", type=Path, metavar="FILE|DIR", help="frames to archive instead of samples")
    made.add_argument(
        "--keep", action="store_true", help="leave everything running until Ctrl-C, and print the addresses"
    )
    made.add_argument("--format", choices=("lco", "ocs"), default="lco", help="the records that the archive accepts")
    return made


def _run(options: argparse.Namespace, directory: Path, stack: ExitStack) -> int:
    paths, bad = _frames(options.files, directory)
    print(f"{len(paths)} frames to archive, {len(bad)} of them bad on purpose")
    store = stack.enter_context(running_s3("demo"))
    store_url = f"{store.url}{store.bucket}"
    archive = stack.enter_context(running_archive(directory, store_url=store_url, record_format=options.format))
    variables = _variables(directory, paths, store, archive) | {"ARCHIVE_RECORD_FORMAT": options.format}
    settings = load_settings(ServiceSettings, **{name.lower(): value for name, value in variables.items()})
    watch = Watch(settings)
    stack.callback(watch.close)
    flower = _free_port()
    stack.enter_context(_service({**variables, "FLOWER_PORT": str(flower)}, directory / "service.log"))
    watch.publish(paths)
    outcomes = watch.outcomes(FRAMES_TIME_LIMIT, report.print_outcome)
    failed = _print_report(outcomes, bad, archive, store)
    if options.keep:
        _keep_running(archive, store, flower, settings, directory)
    return 1 if failed else 0


def _frames(named: list[Path], directory: Path) -> tuple[list[Path], dict[Path, str]]:
    """The files to archive, and the reason code of each that is bad on purpose."""
    if not named:
        made = make_frames(directory / "frames")
        return [frame.path for frame in made], {frame.path: frame.reason for frame in made if frame.reason is not None}
    named = [name.resolve() for name in named]
    files = [each for name in named for each in (sorted(name.iterdir()) if name.is_dir() else [name])]
    missing = [str(each) for each in files if not each.exists()]
    if missing:
        sys.exit(f"no such file: {', '.join(missing)}")
    return [each for each in files if each in named or split_name(each.name)[1] in FRAME_EXTENSIONS], {}


def _variables(directory: Path, paths: list[Path], store: S3Server, archive: ArchiveServer) -> dict[str, str]:
    """The service's settings, as an operator would set them in the environment."""
    return {
        "API_ROOT": archive.url,
        "AUTH_TOKEN": archive.token,
        "BUCKET": store.bucket,
        "AWS_ENDPOINT_URL_S3": store.url,
        "AWS_ACCESS_KEY_ID": "demo-key-id",
        "AWS_SECRET_ACCESS_KEY": "demo-secret-key",
        "AWS_DEFAULT_REGION": "us-east-1",
        "FITS_BROKER": folder_transport.url_of(directory / "fits_broker"),
        "BROKER_URL": folder_transport.url_of(directory / "celery_broker"),
        "DATA_ROOTS": ":".join(sorted({str(path.parent) for path in paths})),
        # An incomplete file becomes a dead letter within seconds here; the default is a quarter of an hour.
        "RETRY_FILE_FIRST": "1",
        "RETRY_FILE_LONGEST": "2",
        "RETRY_FILE_PATIENCE": "4",
        "LOG_FORMAT": "text",
    }


@contextmanager
def _service(variables: dict[str, str], log: Path) -> Iterator[None]:
    """Run the real service, by its own script, while the block runs."""
    if not SERVICE.exists():
        sys.exit(f"{SERVICE} is not here: run the demo in a checkout, as ./{SERVICE} --demo")
    known = {name.upper() for name in ServiceSettings.model_fields}
    inherited = {name: value for name, value in os.environ.items() if name not in known}
    print("starting listener, worker, periodic worker, beat and Flower …")
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [f"./{SERVICE}"],
            env={**inherited, **variables, "INGESTER": "python -m ingester_demo run", "PREPARE": PREPARE},
            stdout=output,
            stderr=output,
            text=True,
            start_new_session=True,
        ) as process,
    ):
        try:
            _wait_until_ready(process, log)
            yield
        finally:
            end(process, STOP_TIME_LIMIT)


def _wait_until_ready(process: "subprocess.Popen[str]", log: Path) -> None:
    deadline = time.monotonic() + START_TIME_LIMIT
    while time.monotonic() < deadline and process.poll() is None:
        written = log.read_text(errors="replace")
        if all(line in written for line in READY_LINES):
            return
        time.sleep(0.1)
    sys.exit(f"the service did not start:\n{log.read_text(errors='replace')[-3000:]}")


def _print_report(
    outcomes: list[Outcome], bad: dict[Path, str], archive: ArchiveServer, store: S3Server
) -> list[Outcome]:
    """Print the table and the dead letters; return the outcomes that are not as expected."""
    keys = report.stored_keys(store)
    failed = [outcome for outcome in outcomes if not report.is_as_expected(outcome, bad, archive, keys)]
    print(f"\n{report.table(outcomes, keys)}\n\ndead letters:\n{report.letters(outcomes) or '  none'}\n")
    if failed:
        print(f"NOT AS EXPECTED: {', '.join(outcome.path.name for outcome in failed)}")
    else:
        print(f"all {len(outcomes)} as expected: good frames are archived and announced, bad ones are dead letters")
    return failed


def _keep_running(
    archive: ArchiveServer, store: S3Server, flower: int, settings: ServiceSettings, directory: Path
) -> None:
    print(
        f"""
everything is still running:
  archived frames   {archive.url}
  workers, tasks    http://127.0.0.1:{flower}/
  S3                {store.url} (bucket {store.bucket})
  FITS exchange     {settings.crawler_exchange_name} on {settings.fits_broker.get_secret_value()}
  log               {directory / "service.log"}
Ctrl-C stops it.""",
        flush=True,
    )
    try:
        signal.pause()
    except KeyboardInterrupt:
        print("stopping")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
