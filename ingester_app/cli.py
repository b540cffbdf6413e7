"""The command `ingester`: what operators do. Thin: arguments → one call → lines, exit code."""

import json
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property, wraps
from pathlib import Path
from typing import Any, TextIO

import click

from ingester_app.broker import celery_connection, create_app, dead_letter_queue, require_real_broker
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
from ingester_app.settings import ServiceSettings
from lco_ingester.exceptions import IngesterError
from lco_ingester.settings import load_settings

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Age(click.ParamType):  # type: ignore[type-arg]  # generic only in the newest click
    """`90s`, `30m`, `2h` or `3d`, in seconds."""

    name = "age"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> float:
        """The age in seconds."""
        match = re.fullmatch(r"(\d+)([smhd])", str(value))
        if match is None:
            self.fail(f"{value!r} is no age such as 90s, 30m, 2h or 3d", parameter, context)
        return float(match[1]) * UNITS[match[2]]


class Site:
    """The deployment that the environment's settings describe; they are read when a command first needs them."""

    @cached_property
    def settings(self) -> ServiceSettings:
        """The settings. Raises click.ClickException if they are wrong."""
        try:
            settings = load_settings(ServiceSettings)
            require_real_broker(settings)
        except IngesterError as error:
            raise click.ClickException(str(error)) from error
        return settings

    @contextmanager
    def letters(self, selection: Selection) -> Iterator[list[CheckedOutLetter]]:
        """The selected letters, checked out."""
        queue = dead_letter_queue(self.settings)
        with celery_connection(self.settings) as connection, checked_out(connection, queue) as letters:
            now = time.time()
            yield [each for each in letters if selection.fits(each.letter, now)]


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
        click.option("--step", multiple=True, help="Those that failed in this step."),
        click.option("--reason", multiple=True, help="Those with this reason code, such as FITS_TRUNCATED."),
        click.option("--name", metavar="PATTERN", help="Those whose path ends like this; * and ? as in a shell."),
        click.option("--older-than", type=Age(), help="Those that failed longer ago than this: 90s, 30m, 2h, 3d."),
        click.option("--newer-than", type=Age(), help="Those that failed less long ago than this."),
    ):
        decorated = option(decorated)
    return decorated


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.pass_context
def main(context: click.Context) -> None:
    """See to the Archive Ingester: its dead letters and its health.

    It takes its settings from the environment, as the service does.
    """
    context.obj = Site()


@main.group("letters")
def letters_group() -> None:
    """List, show, replay, discard or export dead letters.

    IDs may be shortened to their first characters.
    """


@letters_group.command("list")
@_selecting
@click.pass_obj
def list_letters(site: Site, selection: Selection) -> None:
    """One line a letter, the oldest first."""
    with site.letters(selection) as found:
        letters = list({each.letter.id: each.letter for each in found}.values())
    for letter in letters:
        when = datetime.fromtimestamp(letter.last_time, UTC).strftime("%Y-%m-%d %H:%M:%S")
        tries = f"{letter.attempts}x"
        click.echo(f"{letter.id[:12]}  {when}  {letter.step:<9} {letter.reason:<27} {tries:>4}  {letter.path or '-'}")
    click.echo(f"{len(letters)} letters", err=True)


@letters_group.command("show")
@_selecting
@click.pass_obj
def show_letters(site: Site, selection: Selection) -> None:
    """All that is known of letters, with their tracebacks."""
    with site.letters(selection) as found:
        letters = [each.letter for each in found]
    for letter in letters:
        fields = letter.to_message()
        trace, message = fields.pop("traceback"), fields.pop("message")
        for name, value in fields.items():
            shown = datetime.fromtimestamp(value, UTC).isoformat() if name.endswith("_time") else value
            click.echo(f"{name + ':':<12} {shown}")
        click.echo(f"message:     {json.dumps(message)}\n{trace}")
    _fail_if_none(letters)


@letters_group.command("export")
@_selecting
@click.option("--output", type=click.File("w"), default="-", help="Where to; standard output if not given.")
@click.pass_obj
def export_letters(site: Site, selection: Selection, output: TextIO) -> None:
    """Write letters as JSON, one a line; they stay where they are."""
    with site.letters(selection) as found:
        for each in found:
            output.write(json.dumps(each.letter.to_message()) + "\n")


@letters_group.command("replay")
@_selecting
@click.option("--all", "everything", is_flag=True, help="All letters; needed if nothing else says which.")
@click.option("--dry-run", is_flag=True, help="Only say which.")
@click.pass_obj
def replay_letters(site: Site, selection: Selection, everything: bool, dry_run: bool) -> None:
    """Send frames on from the step that failed.

    A letter leaves the queue only when the broker has confirmed its frame's task; if that fails again, it writes a
    letter of its own.
    """
    _demand_a_choice(selection, everything)
    with site.letters(selection) as found:
        _fail_if_none(found)
        if dry_run:
            failed = sum(not can_be_replayed(each.letter) for each in found)
            for each in found:
                _told(each.letter, "would be replayed" if can_be_replayed(each.letter) else NOT_REPLAYED)
        else:
            failed = replay(create_app(site.settings), found, _told)
    sys.exit(1 if failed else 0)


@letters_group.command("discard")
@_selecting
@click.option("--all", "everything", is_flag=True, help="All letters; needed if nothing else says which.")
@click.option("--dry-run", is_flag=True, help="Only say which.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def discard_letters(site: Site, selection: Selection, everything: bool, dry_run: bool, yes: bool) -> None:
    """Remove letters for good; `export` them first if in doubt."""
    _demand_a_choice(selection, everything)
    with site.letters(selection) as found:
        _fail_if_none(found)
        if dry_run:
            for each in found:
                _told(each.letter, "would be discarded")
            return
        if not yes:
            click.confirm(f"discard {len(found)} letters for good?", abort=True)
        discard(found, _told)


@main.command("health")
@click.pass_obj
def health(site: Site) -> None:
    """Ask every neighbour how it is: one line each; exit code 1 if anything is wrong."""
    # Imported here, for they bring boto3 and astropy, which the letters do not need.
    from ingester_app.health import findings
    from lco_ingester.services import open_services

    well = True
    for finding in findings(site.settings, create_app(site.settings), lambda: open_services(site.settings)):
        click.echo(f"{'ok ' if finding.well else 'BAD'}  {finding.what:<14} {finding.words}")
        well = well and finding.well
    sys.exit(0 if well else 1)


def _told(letter: DeadLetter, what: str) -> None:
    click.echo(f"{letter.id[:12]}  {what}: {letter.reason} {Path(letter.path).name or '-'}")


def _demand_a_choice(selection: Selection, everything: bool) -> None:
    if selection.is_everything and not everything:
        raise click.UsageError(
            "say which letters: by id, --step, --reason, --name, --older-than, --newer-than or --all"
        )


def _fail_if_none(found: list[Any]) -> None:
    if not found:
        raise click.ClickException("no letter is like that")


if __name__ == "__main__":
    main()
