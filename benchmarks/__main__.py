"""`python -m benchmarks`: sets itself up, measures, writes docs/performance (README.md)."""

import argparse
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks import environments

PARTS = ("library", "service", "memory")


def main() -> int:
    """Measure what the arguments name, in the environment that is made for it."""
    arguments = _parser().parse_args()
    environments.prepare()
    python = environments.python_of("ours")
    if Path(sys.prefix).resolve() != python.parents[1].resolve():
        os.chdir(environments.ROOT)
        os.execv(python, [str(python), "-m", "benchmarks", *sys.argv[1:]])
    from benchmarks import report  # only here is what it needs installed

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # all that was started ends with us
    results = report.load(arguments.out)
    for part in PARTS:
        if arguments.what in (part, "all"):
            print(f"measuring: {part}", file=sys.stderr)
            results[part] = _measure(part, arguments)
            report.write(results, arguments.out)
    if arguments.what == "report":
        report.write(results, arguments.out)
    print(f"written to {arguments.out}")
    return 0


def _measure(part: str, arguments: argparse.Namespace) -> dict[str, object]:
    from benchmarks import external_services, library, machine, memory, service
    from benchmarks.variants import variants_of

    section: dict[str, Any] = {"machine": machine.describe(arguments.quick, arguments.note)}
    variants = variants_of(arguments.variant)
    with external_services.running() as null:
        if part == "library":
            section["rows"] = library.measure_library(null, variants, arguments.quick)
            section["pieces"] = library.measure_pieces(null, variants, arguments.quick)
        elif part == "memory":
            section["rows"] = memory.measure_memory(null, variants, arguments.quick)
            with _broker(arguments.broker) as (url, _):
                section["rows"] += memory.measure_worker(url, null, arguments.quick)
        else:
            with _broker(arguments.broker) as (url, pid):
                section["latency"] = service.measure_latency(url, null, arguments.quick)
                section["rows"] = service.measure_service(url, pid, null, arguments.quick)
            service.forget_names()
    return section


@contextmanager
def _broker(url: str) -> Iterator[tuple[str, int | None]]:
    """The broker that was named, or a private node, of which the process id is known too."""
    if url:
        yield url, None
        return
    import tempfile

    from tests.support.rabbitmq import running_rabbitmq

    with tempfile.TemporaryDirectory(prefix="benchmarks-") as directory, running_rabbitmq(Path(directory)) as node:
        yield node.url, node.pid


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measure the ingester beside its predecessors."
    )
    parser.add_argument("what", nargs="?", default="all", choices=[*PARTS, "all", "report"], help="default: all")
    parser.add_argument("--quick", action="store_true", help="small counts: whether it works, not how fast it is")
    parser.add_argument("--out", type=Path, default=environments.ROOT / "docs" / "performance", help="where to write")
    parser.add_argument("--broker", default="", help="URL of a RabbitMQ to use; a private node is started if not given")
    parser.add_argument("--note", default="", help="a remark on the circumstances, written above the numbers")
    parser.add_argument(
        "--variant",
        action="append",
        metavar="NAME:VARIABLE=VALUE[,…]",
        help="measure ours with other settings too; default: each value of VALIDATION, if there is such a setting",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
