"""`python -m ingester_demo serve archive|s3 …`: run one of the demo's servers.

It prints one line, `ready http://HOST:PORT/`, once it accepts requests, and ends on SIGTERM or SIGINT.
"""

import argparse
import signal
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from ingester_demo.flaky import Flaky
from ingester_demo.http_server import LOOPBACK, KeepAliveHandler, running

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


def main(arguments: list[str]) -> int:
    """The command line; raises SystemExit for wrong arguments."""
    options = parser().parse_args(arguments)
    if options.server == "archive":
        _serve_archive(options)
    else:
        _serve_s3(options)
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser("python -m ingester_demo serve", description="Run one of the demo's servers.")
    servers = made.add_subparsers(dest="server", required=True)
    archive = servers.add_parser("archive", help="the Archive API")
    archive.add_argument("--database", required=True, help="SQLite file, which is made if needed")
    archive.add_argument("--token", required=True, help="the token that POST requires")
    archive.add_argument("--ignores-md5-filter", action="store_true", help="versions/ returns every version")
    archive.add_argument("--ignores-basename-exact", action="store_true", help="frames/ knows only basename")
    archive.add_argument("--dict-refusals", action="store_true", help='refused versions are named {"0": …}')
    archive.add_argument("--lag-seconds", type=float, default=0.0, help="GET shows only what is older than this")
    archive.add_argument("--record-format", choices=("lco", "ocs"), default="lco", help="the records that it accepts")
    archive.add_argument("--extension", action="append", default=[], help="one more known extension (ocs); repeatable")
    archive.add_argument("--store-url", help="URL of the S3 bucket, for links to files")
    s3 = servers.add_parser("s3", help="the S3 store, which keeps objects in memory only")
    s3.add_argument("--bucket", required=True, help="bucket to make at the start")
    s3.add_argument("--unversioned", action="store_true", help="make the bucket without versioning")
    for each in (archive, s3):
        each.add_argument("--host", default=LOOPBACK, help="address to listen on (default: %(default)s)")
        each.add_argument("--port", type=int, default=0, help="port to listen on; 0, the default, takes a free one")
    return made


def _serve(
    app: "WSGIApplication",
    options: argparse.Namespace,
    *,
    handler: type[KeepAliveHandler] = KeepAliveHandler,
    prepare: Callable[[str], None] | None = None,
) -> None:
    """Serve `app`, behind a `Flaky`, until SIGTERM or SIGINT; must run in the main thread.

    `prepare` is called with the server's URL before the ready line is printed.
    """
    # Block the signals before the threads start: the threads inherit that, and the signals wait for sigwait below.
    ends = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    with running(Flaky(app), options.port, handler, options.host) as url:
        if prepare is not None:
            prepare(url)
        sys.stdout.write(f"ready {url}\n")
        sys.stdout.flush()
        signal.sigwait(ends)


def _serve_archive(options: argparse.Namespace) -> None:
    # Imported here, so that each server starts without the other's libraries.
    from ingester_demo.archive_api import NO_STORE, create_app

    app = create_app(
        options.database,
        options.token,
        ignores_md5_filter=options.ignores_md5_filter,
        ignores_basename_exact=options.ignores_basename_exact,
        dict_refusals=options.dict_refusals,
        lag_seconds=options.lag_seconds,
        store_url=options.store_url or NO_STORE,
        record_format=options.record_format,
        extensions=options.extension,
    )
    _serve(app, options)


def _serve_s3(options: argparse.Namespace) -> None:
    from botocore.exceptions import ClientError

    from ingester_demo.s3 import S3RequestHandler, create_app, make_bucket

    def prepare(url: str) -> None:
        try:
            make_bucket(url, options.bucket, not options.unversioned)
        except ClientError as error:  # such as a name that S3 does not allow
            sys.exit(f"cannot make the bucket {options.bucket}: {error}")

    _serve(create_app(), options, handler=S3RequestHandler, prepare=prepare)
