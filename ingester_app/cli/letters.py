"""`ingester letters`: list, show, replay, discard and export dead letters."""

import json
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import Any, TextIO

import click

from ingester_app.broker import celery_connection, create_app, dead_letter_queue, opened
from ingester_app.cli.deployment import Deployment
from ingester_app.dead_letter_queue import (
    NOT_REPLAYED,
    CheckedOutLetter,
    Selection,
    can_be_replayed,
    checked_out,
    discard,
    replay,
)
from ingester_app.schema import DeadLetter
from lco_ingester.exceptions import IngesterError

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Age(click.ParamType):  # type: ignore[type-arg]  # generic only in the newest click
    """`90s`, `30m`, `2h` or `3d`, in seconds."""

    name = "age"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> float:
        """The age in seconds."""
        match = re.fullmatch(r"(\d+)([smhd])", str(value))
        if match is None:
            self.fail(f"{value!r} is not an age such as 90s, 30m, 2h or 3d", parameter, context)
        return float(match[1]) * UNITS[match[2]]


@contextmanager
def _selected(deployment: Deployment, selection: Selection) -> Iterator[list[CheckedOutLetter]]:
    """The letters of the selection, checked out."""
    settings = deployment.settings
    queue = dead_letter_queue(settings)
    try:
        with opened(celery_connection(settings)) as connection, checked_out(connection, queue) as letters:
            now = time.time()
            yield [each for each in letters if selection.fits(each.letter, now)]
    except IngesterError as error:
        raise click.ClickException(str(error)) from error


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
    with _selected(deployment, selection) as found:
        letters = list({each.letter.id: each.letter for each in found}.values())
    for letter in letters:
        when, tries = _when(letter.last_time), f"{letter.attempts}x"
        failure = f"{letter.step:<17} {letter.reason:<27} {tries:>4}"
        _echo(f"{letter.id[:12]}  {when:<19}  {failure}  {letter.path or '-'}")
    click.echo(f"{len(letters)} letters", err=True)


@letters_group.command("show")
@_selecting
@click.pass_obj
def show_letters(deployment: Deployment, selection: Selection) -> None:
    """Everything about the selected letters, with their tracebacks."""
    with _selected(deployment, selection) as found:
        letters = [each.letter for each in found]
    for letter in letters:
        fields = letter.to_message()
        trace, message = fields.pop("traceback"), fields.pop("message")
        for name, value in fields.items():
            shown = _when(value) if name.endswith("_time") else value
            _echo(f"{name + ':':<12} {shown}")
        _echo(f"message:     {json.dumps(message)}\n{trace}")
    _fail_if_none(letters)


@letters_group.command("export")
@_selecting
@click.option("--output", type=click.File("w"), default="-", help="File to write; standard output if not given.")
@click.pass_obj
def export_letters(deployment: Deployment, selection: Selection, output: TextIO) -> None:
    """Write letters as JSON, one a line. The letters stay in the queue."""
    with _selected(deployment, selection) as found:
        for each in found:
            output.write(json.dumps(each.letter.to_message()) + "\n")


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
    with _selected(deployment, selection) as found:
        _fail_if_none(found)
        if dry_run:
            failed = sum(not can_be_replayed(each.letter) for each in found)
            for each in found:
                _print(each.letter, "would be replayed" if can_be_replayed(each.letter) else NOT_REPLAYED)
        else:
            failed = replay(create_app(deployment.settings), found, _print)
    sys.exit(1 if failed else 0)


@letters_group.command("discard")
@_selecting
@click.option("--all", "everything", is_flag=True, help="All letters; required if no other option selects letters.")
@click.option("--dry-run", is_flag=True, help="Only show the selected letters.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@click.pass_obj
def discard_letters(deployment: Deployment, selection: Selection, everything: bool, dry_run: bool, yes: bool) -> None:
    """Delete letters for good. If in doubt, `export` them first."""
    _demand_a_choice(selection, everything)
    with _selected(deployment, selection) as found:
        _fail_if_none(found)
        if dry_run:
            for each in found:
                _print(each.letter, "would be discarded")
            return
        if not yes:
            click.confirm(f"delete {len(found)} letters for good?", abort=True)
        discard(found, _print)


def _echo(text: str) -> None:
    """Print a text that came in a message: what a terminal would obey or cannot show is escaped."""
    shown = "".join(
        each if each.isprintable() or each == "\n" else each.encode("unicode_escape").decode() for each in text
    )
    click.echo(shown)


def _when(seconds: float) -> str:
    """A time in UTC; the number itself if it is out of range."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return f"{seconds:g} s"


def _print(letter: DeadLetter, what: str) -> None:
    _echo(f"{letter.id[:12]}  {what}: {letter.reason} {Path(letter.path).name or '-'}")


def _demand_a_choice(selection: Selection, everything: bool) -> None:
    if selection.is_everything and not everything:
        raise click.UsageError("select letters by id, --step, --reason, --name, --older-than, --newer-than or --all")


def _fail_if_none(found: list[Any]) -> None:
    if not found:
        raise click.ClickException("no dead letter matches the selection")
