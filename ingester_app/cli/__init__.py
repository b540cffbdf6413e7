"""The command `ingester`: what operators do. One module a command: arguments → one call → lines, exit code."""

import click

from ingester_app.cli.deployment import Deployment
from ingester_app.cli.health import health_command
from ingester_app.cli.letters import letters_group
from ingester_app.cli.run import run_group

__all__ = ["main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="lco-archive-ingester", message="%(prog)s %(version)s")
@click.pass_context
def main(context: click.Context) -> None:
    """Run the Archive Ingester's service and look after it.

    The settings come from the environment and from secret files (docs/settings.md).
    """
    context.obj = Deployment()


for command in (run_group, letters_group, health_command):
    main.add_command(command)
