"""The command `lco_ingest_frame`: arguments → one call → one line, exit code."""

import argparse
import json
import logging
import sys
from typing import Any, NoReturn

from lco_ingester.datafile import PathFile
from lco_ingester.exceptions import CompanionError, IngesterError, NonFatalDoNotRetryError
from lco_ingester.ingester import exists_with, ingest_thumbnail_with, ingest_with
from lco_ingester.settings import Settings, load_settings
from lco_ingester.thumbnails import SIZES, Thumbnail

DESCRIPTION = """\
Archive one FITS file: check it, upload it to S3, post its record to the Archive API, and announce it on the
processed exchange. Prints the URL of the archived frame."""

EPILOG = """\
What is not given here comes from the environment, by the names in capitals; the README lists all of them.
S3 credentials come from the standard AWS variables and files.

exit codes:
  0  archived now, or archived already (with --check-only: it is archived)
  1  anything else, with one line on stderr that says which file, which check, what was expected and what to do

examples:
  lco_ingest_frame coj1m011-fl08-20151216-0083-d00.fits.fz
  lco_ingest_frame --check-only coj1m011-fl08-20151216-0083-d00.fits.fz
  lco_ingest_frame --api-root http://localhost:8000/ --bucket ingestertest frame.fits
  lco_ingest_frame --metadata summary.json cptnrs03-fa13-20150219-0001-e92-summary.pdf
  lco_ingest_frame --metadata frame.json --thumbnail small tfn0m419-sq32-20240426-0097-e91-small.jpg"""


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.thumbnail and (options.check_only or not options.metadata):
        parser.error("--thumbnail needs --metadata, and cannot be checked for")
    logging.basicConfig(level=logging.INFO if options.verbose else logging.CRITICAL, stream=sys.stderr)
    try:
        return _run(options)
    except NonFatalDoNotRetryError:
        print(f"{options.path} is archived already")
        return 0
    except IngesterError as error:
        error.frame = error.frame or options.path
        print(error, file=sys.stderr)
    except KeyboardInterrupt:
        print(f"{options.path}: interrupted", file=sys.stderr)
    if options.check_only:
        print(False)
    return 1


def _run(options: argparse.Namespace) -> int:
    settings = load_settings(
        Settings,
        api_root=options.api_root,
        auth_token=options.auth_token,
        bucket=options.bucket,
        ingester_process_name=options.process_name,
        submit_metrics_asynchronously=False,  # the process ends before a thread could send them
    )
    with PathFile(options.path).opened() as stream:
        if options.check_only:
            exists = exists_with(settings, stream)
            print(exists)
            return 0 if exists else 1
        metadata = None if options.metadata is None else _metadata(options.metadata)
        if options.thumbnail:
            record = ingest_thumbnail_with(settings, stream, Thumbnail(options.thumbnail, metadata or {}))
        else:
            record = ingest_with(settings, stream, metadata=metadata)
        print(record["url"])
        return 0


def _metadata(path: str) -> dict[str, Any]:
    """The JSON object in a file. Raises CompanionError, or FileUnreadableError and its like."""
    with PathFile(path).opened() as stream:
        content = stream.read()
    try:
        metadata = json.loads(content)
    except ValueError as error:
        raise CompanionError(frame=path, check="metadata", expected="a JSON object", found=str(error)) from error
    if not isinstance(metadata, dict):
        found = type(metadata).__name__
        raise CompanionError(frame=path, check="metadata", expected="a JSON object", found=found)
    return metadata


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line and exit code 1, like every other failure of this command."""
        self.exit(1, f"{self.prog}: {message} (see --help)\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        "lco_ingest_frame",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("path", metavar="PATH", help="the FITS file, or the .tar.gz package of a spectrograph")
    parser.add_argument(
        "--metadata",
        metavar="FILE",
        help="JSON object in place of the header that a .pdf or picture lacks (ocs only)",
    )
    parser.add_argument("--thumbnail", choices=SIZES, help="PATH is a picture of a frame, of this size (ocs only)")
    parser.add_argument("--api-root", metavar="URL", help="root URL of the Archive API (API_ROOT)")
    parser.add_argument(
        "--auth-token", metavar="T", help="token for the Archive API (AUTH_TOKEN, which other users cannot see)"
    )
    parser.add_argument("--bucket", metavar="B", help="S3 bucket, with versioning on (BUCKET)")
    parser.add_argument("--process-name", metavar="N", help="tag of the metrics (INGESTER_PROCESS_NAME)")
    parser.add_argument(
        "--check-only", action="store_true", help="only print True or False: whether these bytes are archived"
    )
    parser.add_argument("--verbose", action="store_true", help="log what happens to stderr")
    return parser


if __name__ == "__main__":
    sys.exit(main())
