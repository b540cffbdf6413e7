"""`ingester letters`: list, show, replay, discard and export dead letters.

What is shown of the letters is written only after they are back in their queue, because somebody may read it page by
page, and RabbitMQ closes a connection that is silent.
"""

import json
import re
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from functools import wraps
from io import StringIO
from operator import itemgetter
from pathlib import Path
from shutil import copyfileobj
from tempfile import TemporaryFile
from threading import Event
from typing import Any, TextIO, TypeVar

import click

from ingester_app.broker import celery_connection, create_app, dead_letter_queue, opened
from ingester_app.cli.deployment import Deployment
from ingester_app.dead_letter_queue import (
    LONGEST_PATH,
    NOT_REPLAYED,
    TOO_LARGE,
    CheckedOutLetter,
    Outcome,
    Selection,
    came_back,
    can_be_replayed,
    checked_out,
    discard,
    replay,
)
from ingester_app.dead_letters import REASONS, STEPS
from ingester_app.schema import DeadLetter
from lco_ingester.exceptions import IngesterError
from lco_ingester.printable import printable

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}

T = TypeVar("T")


class Age(click.ParamType):  # type: ignore[type-arg]  # generic only in the newest click
    """`90s`, `30m`, `2h` or `3d`, in seconds."""

    name = "age"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> float:
        """The age in seconds."""
        match = re.fullmatch(r"(\d+)([smhd])", str(value))
        if match is None:
            self.fail(f"{value!r} is not an age such as 90s, 30m, 2h or 3d", parameter, context)
        return float(match[1]) * UNITS[match[2]]


def _selecting(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options by which letters are selected."""

    @wraps(command)
    def with_selection(
        ids: tuple[str, ...],
        step: tuple[str, ...],
        reason: tuple[str, ...],
        name: str | None,
        older_than: float | None,
        newer_than: float | None,
        **others: Any,
    ) -> Any:
        if not all((*ids, *step, *reason, name is None or name)):
            raise click.UsageError("an empty text would select every letter; if you mean that, use --all")
        return command(selection=Selection(ids, step, reason, name, older_than, newer_than), **others)

    decorated: Callable[..., Any] = with_selection
    for option in (
        click.argument("ids", nargs=-1, metavar="[ID]..."),
        click.option("--step", multiple=True, help="Only letters of frames that failed in this step."),
        click.option("--reason", multiple=True, help="Only letters with this reason code, such as FITS_TRUNCATED."),
        click.option("--name", metavar="PATTERN", help="Only paths that end like this; * and ? as in a shell."),
        click.option("--older-than", type=Age(), help="Only failures longer ago than this: 90s, 30m, 2h, 3d."),
        click.option("--newer-than", type=Age(), help="Only failures more recent than this: 90s, 30m, 2h, 3d."),
    ):
        decorated = option(decorated)
    return decorated


@click.group("letters")
def letters_group() -> None:
    """List, show, replay, discard or export dead letters.

    The first characters of an ID are enough.
    """


@letters_group.command("list")
@_selecting
@click.pass_obj
def list_letters(deployment: Deployment, selection: Selection) -> None:
    """One line a letter, the oldest first."""
    lines: dict[int, tuple[float, str]] = {}
    for each in _read(deployment, selection):
        letter = each.letter
        what = hash((letter.id, letter.step, letter.reason, letter.attempts, letter.path, letter.text))
        lines[what] = letter.last_time, _line(letter)  # a letter that was written twice is one line
    _copy(StringIO("".join(f"{line}\n" for _, line in sorted(lines.values(), key=itemgetter(0)))), sys.stdout)
    click.echo(f"{len(lines)} letters", err=True)


@letters_group.command("show")
@_selecting
@click.pass_obj
def show_letters(deployment: Deployment, selection: Selection) -> None:
    """Everything about the selected letters, with their tracebacks."""
    with TemporaryFile("w+", encoding="utf-8") as shown:
        for each in _read(deployment, selection):
            shown.writelines(f"{line}\n" for line in _everything(each.letter))
        _fail_if_none(shown.tell())
        _copy(shown, sys.stdout)


@letters_group.command("export")
@_selecting
@click.option("--output", type=click.File("w"), default="-", help="File to write; standard output if not given.")
@click.pass_obj
def export_letters(deployment: Deployment, selection: Selection, output: TextIO) -> None:
    """Write letters as JSON, one a line. The letters stay in the queue."""
    with TemporaryFile("w+", encoding="utf-8") as rows:
        for each in _read(deployment, selection):
            rows.write(f"{_json_line(each.letter)}\n")
        _copy(rows, output)


@letters_group.command("replay")
@_selecting
@click.option("--all", "everything", is_flag=True, help="All letters; required if no other option selects letters.")
@click.option("--dry-run", is_flag=True, help="Only show the selected letters.")
@click.pass_obj
def replay_letters(deployment: Deployment, selection: Selection, everything: bool, dry_run: bool) -> None:
    """Send frames back to the workers; each continues with the step that failed.

    A letter leaves the queue only after the broker has confirmed its frame's task. A frame that fails again becomes a
    new letter.
    """
    _demand_a_choice(selection, everything)
    if dry_run:
        _carry_out(deployment, _selected(deployment, selection, _would_be_replayed))
    else:
        app = create_app(deployment.settings)
        _carry_out(deployment, _selected(deployment, selection, lambda letters: replay(app, letters)))


@letters_group.command("discard")
@_selecting
@click.option("--all", "everything", is_flag=True, help="All letters; required if no other option selects letters.")
@click.option("--dry-run", is_flag=True, help="Only show the selected letters.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@click.pass_obj
def discard_letters(deployment: Deployment, selection: Selection, everything: bool, dry_run: bool, yes: bool) -> None:
    """Delete letters for good. If in doubt, `export` them first."""
    _demand_a_choice(selection, everything)
    if dry_run:
        _carry_out(deployment, _selected(deployment, selection, _would_be_discarded))
        return
    if yes:
        _carry_out(deployment, _selected(deployment, selection, discard))
        return
    # The letters are in their queue while the operator thinks, and only those that were counted are deleted.
    counted = [each.digest for each in _read(deployment, selection)]
    _fail_if_none(len(counted))
    click.confirm(f"delete {len(counted)} letters for good?", abort=True)
    those = frozenset(counted)
    _carry_out(
        deployment, _selected(deployment, selection, lambda letters: discard(x for x in letters if x.digest in those))
    )


def _would_be_replayed(letters: Iterator[CheckedOutLetter]) -> Iterator[Outcome]:
    return ((each, "would be replayed" if can_be_replayed(each.letter) else NOT_REPLAYED) for each in letters)


def _would_be_discarded(letters: Iterator[CheckedOutLetter]) -> Iterator[Outcome]:
    return ((each, "would be discarded") for each in letters)


def _selected(
    deployment: Deployment,
    selection: Selection,
    work: Callable[[Iterator[CheckedOutLetter]], Iterator[T]],
) -> Generator[T, None, None]:
    """What `work` makes of the letters of the selection."""
    _check_codes(deployment, selection)
    now = time.time()
    yield from _received(deployment, lambda letters: work(x for x in letters if selection.fits(x.letter, now)))


def _read(deployment: Deployment, selection: Selection) -> Iterator[CheckedOutLetter]:
    """The letters of the selection; they stay in the queue."""
    return _selected(deployment, selection, lambda letters: letters)


def _received(
    deployment: Deployment, work: Callable[[Iterator[CheckedOutLetter]], Iterator[T]]
) -> Generator[T, None, None]:
    """What `work` makes of the letters in the queue. Raises click.ClickException if the broker fails."""
    settings = deployment.settings
    queue = dead_letter_queue(settings)
    try:
        with opened(celery_connection(settings)) as connection, checked_out(connection, queue) as letters:
            yield from work(letters)
    except IngesterError as error:
        raise click.ClickException(str(error)) from error


def _check_codes(deployment: Deployment, selection: Selection) -> None:
    """Refuse codes that neither this release nor any letter has: they are mistyped."""
    unknown = ({*selection.reasons} - REASONS) | ({*selection.steps} - STEPS)
    if not unknown:
        return
    for each in _received(deployment, lambda letters: letters):  # a letter of another release may have another code
        unknown -= {each.letter.reason, each.letter.step}
    if unknown:
        raise click.UsageError(
            f"no letter has the code {', '.join(sorted(unknown))}. The steps are {', '.join(sorted(STEPS))}; "
            f"the reasons are {', '.join(sorted(REASONS))}"
        )


def _carry_out(deployment: Deployment, outcomes: Generator[Outcome, None, None]) -> None:
    """Print what becomes of each letter; end with exit code 1 unless all is done."""
    counts: Counter[str] = Counter()
    removed: set[str] = set()
    try:
        with closing(outcomes), _interrupted() as is_interrupted:
            for each, what in outcomes:
                counts[what] += 1
                removed |= {each.digest} if each.removed else set()
                name = Path(each.letter.path).name or "-"
                line = printable(f"{each.letter.id[:12]}  {what}: {_cut(each.letter.reason)} {name}")
                _copy(StringIO(f"{line}\n"), sys.stdout)
                if is_interrupted.is_set():
                    raise click.ClickException("interrupted")
    except click.UsageError:
        raise
    except click.ClickException as error:
        done = f"{len(removed)} letters are done, the others are still in the queue: run the command again"
        raise click.ClickException(f"{error.message}; {done}") from error
    _fail_if_none(counts.total())
    back = sum(1 for _ in _received(deployment, lambda letters: came_back(letters, removed))) if removed else 0
    if back:
        raise click.ClickException(f"{back} of {len(removed)} letters came back to the queue: run the command again")
    sys.exit(1 if counts[NOT_REPLAYED] or counts[TOO_LARGE] else 0)


@contextmanager
def _interrupted() -> Iterator[Event]:
    """Set by the first Ctrl-C, so that the letter in hand is finished. The second one ends the command at once."""
    event = Event()

    def on_interrupt(*_: Any) -> None:
        event.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield event
    finally:
        signal.signal(signal.SIGINT, before)


def _line(letter: DeadLetter) -> str:
    """A letter on one line."""
    failure = f"{_cut(letter.step):<17} {_cut(letter.reason):<27} {f'{letter.attempts}x':>4}"
    path = letter.path[-LONGEST_PATH:] or "-"
    return printable(f"{letter.id[:12]:<12}  {_when(letter.last_time):<19}  {failure}  {path}")


def _everything(letter: DeadLetter) -> Iterator[str]:
    """All fields of a letter, each on one line; the traceback is indented, so that it cannot look like fields."""
    fields = letter.to_message()
    trace, message = fields.pop("traceback"), fields.pop("message")
    for name, value in fields.items():
        shown = _when(value) if name.endswith("_time") else str(value)
        yield f"{name + ':':<12} {printable(shown)}"
    yield f"message:     {printable(json.dumps(message))}"
    yield from (f"    {printable(line, keep=chr(9))}" for line in trace.split("\n"))


def _json_line(letter: DeadLetter) -> str:
    """A letter as JSON on one line, in ASCII: surrogates are escaped."""
    fields = letter.to_message()
    try:
        return json.dumps(fields, allow_nan=False)
    except ValueError:  # Python reads NaN and writes it, but it is not JSON
        return json.dumps({**fields, "message": None, "raw": json.dumps(letter.message)})


def _copy(source: TextIO, target: TextIO) -> None:
    """Copy from the beginning to the output. Raises click.ClickException if that cannot be written."""
    source.seek(0)
    try:
        copyfileobj(source, target)
        target.flush()
    except BrokenPipeError:
        raise  # the reader has seen enough
    except OSError as error:
        with suppress(OSError):
            target.close()  # otherwise Python tries again at its end
        raise click.ClickException(f"the letters cannot be written: {error}") from error


def _cut(code: str) -> str:
    """A step or a reason; the longest of ours has 27 characters."""
    return code[:40]


def _when(seconds: float) -> str:
    """A time in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _demand_a_choice(selection: Selection, everything: bool) -> None:
    if selection.is_everything and not everything:
        raise click.UsageError("select letters by id, --step, --reason, --name, --older-than, --newer-than or --all")


def _fail_if_none(number: int) -> None:
    if not number:
        raise click.ClickException("no dead letter matches the selection")
