"""The command `ingester`: what operators do. One module a command: arguments → one call → lines, exit code."""

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from ingester_app.cli.deployment import Deployment
from ingester_app.cli.health import health_command
from ingester_app.cli.letters import letters_group
from ingester_app.cli.run import run_group
from lco_ingester.printable import printable

__all__ = ["main"]


@contextmanager
def _one_line_errors() -> Iterator[None]:
    """Errors quote arguments, servers and messages: escape what a terminal would obey."""
    try:
        yield
    except click.ClickException as error:
        error.message = printable(error.message)  # type: ignore[misc]  # final in click's types only
        raise


class _Group(click.Group):
    """The commands of `ingester`."""

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Read the arguments of the group."""
        with _one_line_errors():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """Read the arguments of a command and run it."""
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")  # a terminal may have another encoding than UTF-8
        with _one_line_errors():
            return super().invoke(ctx)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="lco-archive-ingester", message="%(prog)s %(version)s")
@click.pass_context
def main(context: click.Context) -> None:
    """Run the Archive Ingester's service and look after it.

    The settings come from the environment and from secret files (docs/settings.md).
    """
    context.obj = Deployment()


for command in (run_group, letters_group, health_command):
    main.add_command(command)
