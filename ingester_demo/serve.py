"""Serve a demo neighbour: `python -m ingester_demo.serve archive …` or `… s3 …`.

Prints one line, `ready http://127.0.0.1:PORT/`, once requests are accepted, and ends on SIGTERM or SIGINT.
"""

import argparse
import signal
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from ingester_demo.flaky import Flaky
from ingester_demo.http_server import KeepAliveHandler, running

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


def serve(
    app: "WSGIApplication",
    port: int,
    *,
    handler: type[KeepAliveHandler] = KeepAliveHandler,
    prepare: Callable[[str], None] | None = None,
) -> None:
    """Serve `app`, behind a `Flaky`, on 127.0.0.1 until SIGTERM or SIGINT; call it from the main thread.

    `port` 0 takes a free one. `prepare` is called with the address before the ready line is printed.
    """
    # Blocked before the threads start, so that they inherit it and the signals wait for sigwait below.
    ends = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    with running(Flaky(app), port, handler) as url:
        if prepare is not None:
            prepare(url)
        sys.stdout.write(f"ready {url}\n")
        sys.stdout.flush()
        signal.sigwait(ends)


def main(argv: list[str] | None = None) -> None:
    """The command line; raises SystemExit for arguments that make no sense."""
    options = _parser().parse_args(argv)
    if options.neighbour == "archive":
        _serve_archive(options)
    else:
        _serve_s3(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ingester_demo.serve", description=__doc__)
    neighbours = parser.add_subparsers(dest="neighbour", required=True)
    archive = neighbours.add_parser("archive", help="the Archive API")
    archive.add_argument("--database", required=True, help="SQLite file, made if need be")
    archive.add_argument("--token", required=True, help="the token that POST demands")
    archive.add_argument("--ignores-md5-filter", action="store_true", help="versions/ returns every version")
    archive.add_argument("--ignores-basename-exact", action="store_true", help="frames/ knows only basename")
    archive.add_argument("--dict-refusals", action="store_true", help='refused versions are named {"0": …}')
    archive.add_argument("--lag-seconds", type=float, default=0.0, help="reading does not see what is younger")
    archive.add_argument("--record-format", choices=("lco", "ocs"), default="lco", help="the records that it takes")
    archive.add_argument("--extension", action="append", default=[], help="it knows this one too, if ocs; repeatable")
    archive.add_argument("--store-url", help="address of the bucket that links point into")
    s3 = neighbours.add_parser("s3", help="the S3 store")
    s3.add_argument("--bucket", required=True, help="made before the server is ready")
    s3.add_argument("--unversioned", action="store_true", help="leave the bucket without versioning")
    for each in (archive, s3):
        each.add_argument("--port", type=int, default=0, help="0, the default: a free one")
    return parser


def _serve_archive(options: argparse.Namespace) -> None:
    # Imported here, so that neither server pays for the other's libraries.
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
    serve(app, options.port)


def _serve_s3(options: argparse.Namespace) -> None:
    from ingester_demo.s3 import S3RequestHandler, create_app, make_bucket

    serve(
        create_app(),
        options.port,
        handler=S3RequestHandler,
        prepare=lambda url: make_bucket(url, options.bucket, not options.unversioned),
    )


if __name__ == "__main__":
    main()
