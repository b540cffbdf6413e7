"""The command `lco_ingest_frame`: arguments → one call → lines, exit code."""

import argparse
import io
import json
import logging
import os
import sys
import traceback
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, NoReturn

from lco_ingester.exceptions import CompanionError, IngesterError, NonFatalDoNotRetryError
from lco_ingester.file.datafile import PathFile
from lco_ingester.ingester import exists_with, ingest_thumbnail_with, ingest_with
from lco_ingester.preview.explain import explain
from lco_ingester.preview.inspection import validate_file
from lco_ingester.printable import printable
from lco_ingester.redaction import Redactor
from lco_ingester.settings import Settings, load_settings
from lco_ingester.thumbnails import SIZES, Thumbnail

DESCRIPTION = """\
Archive one FITS file: check it, upload it to S3, post its record to the Archive API, and announce it on the
processed exchange. Prints the URL of the archived frame.

To look first: --validate-only checks files and prints JSON for scripts; --explain describes for a person what the
ingester would do with one file, and why. Both send nothing and need no network, token or bucket."""

EPILOG = """\
An option that is not given comes from the environment variable in parentheses; docs/settings.md lists all variables.
S3 credentials come from the standard AWS variables and files.

--validate-only prints one line with a JSON object for each valid file: path, md5, size, extension, s3_key,
content_type, storage_class, record_format, record (as it would be posted, without version_set), and warnings: the
names of failed checks that are only warnings (VALIDATION_WARN_ONLY), each with a line on stderr.

--explain prints the file's size, md5 and type, every check with its result, which HDU gives the header and what the
other HDUs lack, each rule that changed the header (old value, new value, reason), when the frame becomes public, its
area on the sky as a sketch (north up, east to the left), the S3 object and what the ingester would do. For a bad file
it prints as much as possible.

exit codes:
  0  archived now, or archived already (with --check-only: it is archived; with --validate-only: all files are valid;
     with --explain: it would be archived)
  1  anything else, with one line on stderr (for each bad file): which file, which check, what was expected, what was
     found and what to do

examples:
  lco_ingest_frame coj1m011-fl08-20151216-0083-d00.fits.fz
  lco_ingest_frame --check-only coj1m011-fl08-20151216-0083-d00.fits.fz
  lco_ingest_frame --validate-only *.fits.fz | jq -r .record.OBJECT
  lco_ingest_frame --explain coj1m011-fl08-20151216-0083-d00.fits.fz
  lco_ingest_frame --api-root http://localhost:8000/ --bucket ingestertest frame.fits
  lco_ingest_frame --metadata summary.json cptnrs03-fa13-20150219-0001-e92-summary.pdf
  lco_ingest_frame --metadata frame.json --thumbnail small tfn0m419-sq32-20240426-0097-e91-small.jpg"""


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.thumbnail and (options.check_only or options.validate_only or options.explain or not options.metadata):
        parser.error("--thumbnail needs --metadata, and does not go with --check-only, --validate-only or --explain")
    if len(options.paths) > 1 and not options.validate_only:
        parser.error("only --validate-only accepts more than one PATH")
    options.path = options.paths[0]
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # not every terminal has our arrows
    redact = Redactor()
    _configure_logging(logging.INFO if options.verbose else logging.CRITICAL, redact)
    try:
        return _run(options, redact)
    except NonFatalDoNotRetryError:
        print(printable(f"{options.path} is archived already"))
        return 0
    except IngesterError as error:
        error.frame = error.frame or options.path
        print(printable(redact(str(error))), file=sys.stderr)
    except BrokenPipeError:  # the reader has closed the pipe, as `head` does
        os.dup2(
            os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno()
        )  # else Python reports an error when it closes stdout
    except KeyboardInterrupt:
        print(printable(f"{options.path}: interrupted"), file=sys.stderr)
    except Exception:  # a mistake in the program: as Python prints it, but without secrets
        print(printable(redact(traceback.format_exc()), keep="\n\t"), file=sys.stderr)
    if options.check_only:
        print(False)
    return 1


def _run(options: argparse.Namespace, redact: Redactor) -> int:
    settings = load_settings(
        Settings,
        api_root=options.api_root,
        auth_token=options.auth_token,
        bucket=options.bucket,
        ingester_process_name=options.process_name,
        submit_metrics_asynchronously=False,  # the process ends before a thread could send them
    )
    redact.learn(*settings.secrets())
    metadata = None if options.metadata is None or options.check_only else _metadata(options.metadata)
    if options.validate_only:
        return _validate(settings, options.paths, metadata)
    if options.explain:
        _explain(settings, options.path, metadata)
        return 0
    with PathFile(options.path).opened() as stream:
        if options.check_only:
            exists = exists_with(settings, stream)
            print(exists)
            return 0 if exists else 1
        if options.thumbnail:
            record = ingest_thumbnail_with(settings, stream, Thumbnail(options.thumbnail, metadata or {}))
        else:
            record = ingest_with(settings, stream, metadata=metadata)
        print(printable(str(record["url"])))
        return 0


def _validate(settings: Settings, paths: list[str], metadata: dict[str, Any] | None) -> int:
    """Print one line of JSON for each valid file, one line on stderr for each other; return the exit code."""
    code = 0
    for path in paths:
        verdict = validate_file(PathFile(path), settings, _now(), metadata)
        for warning in verdict.warnings:
            print(printable(str(warning)), file=sys.stderr)
        if verdict.error is not None:
            code = 1
            verdict.error.frame = verdict.error.frame or path
            print(printable(str(verdict.error)), file=sys.stderr)
        else:
            print(json.dumps(verdict.report, allow_nan=False), flush=True)
    return code


def _explain(settings: Settings, path: str, metadata: dict[str, Any] | None) -> None:
    """Print the explanation; then raise the error that the frame would end with."""
    try:
        for line in explain(PathFile(path), settings, _now(), metadata):
            print(printable(line))
    finally:
        sys.stdout.flush()  # before the error's line, if both go to one terminal


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


def _metadata(path: str) -> dict[str, Any]:
    """The JSON object in a file. Raises CompanionError, or the errors of `PathFile`."""
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


class _Formatter(logging.Formatter):
    """Lines without secrets, also in tracebacks, and with what a terminal would obey escaped."""

    def __init__(self, redact: Redactor) -> None:
        super().__init__(logging.BASIC_FORMAT)
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        return printable(self._redact(super().format(record)), keep="\n\t")


def _configure_logging(level: int, redact: Redactor) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(_Formatter(redact))
    logging.basicConfig(level=level, handlers=[handler])


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line and exit code 1, like every other failure of this command."""
        self.exit(1, printable(f"{self.prog}: {message} (see --help)") + "\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        "lco_ingest_frame",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "paths",
        metavar="PATH",
        nargs="+",
        help="the FITS file, or the .tar.gz package of a spectrograph; several with --validate-only",
    )
    parser.add_argument(
        "--metadata",
        metavar="FILE",
        help="file with a JSON object that replaces the header; for a .pdf or a picture (ocs only)",
    )
    parser.add_argument("--thumbnail", choices=SIZES, help="PATH is a picture of a frame, of this size (ocs only)")
    parser.add_argument("--api-root", metavar="URL", help="root URL of the Archive API (API_ROOT)")
    parser.add_argument(
        "--auth-token",
        metavar="T",
        help="token for the Archive API (AUTH_TOKEN); other users can see an option, but not a variable",
    )
    parser.add_argument("--bucket", metavar="B", help="S3 bucket, with versioning on (BUCKET)")
    parser.add_argument("--process-name", metavar="N", help="tag of the metrics (INGESTER_PROCESS_NAME)")
    modes = parser.add_mutually_exclusive_group()
    modes.add_argument(
        "--check-only", action="store_true", help="only print True or False: does the archive have these bytes?"
    )
    modes.add_argument(
        "--validate-only",
        action="store_true",
        help="send nothing: check the files and print their records as JSON lines",
    )
    modes.add_argument(
        "--explain",
        action="store_true",
        help="send nothing: describe what the ingester would do with the file, and why",
    )
    parser.add_argument("--verbose", action="store_true", help="write log lines to stderr")
    parser.add_argument("--version", action="version", version=f"%(prog)s {version('lco-archive-ingester')}")
    return parser


if __name__ == "__main__":
    sys.exit(main())
