"""`ingester health`: one line for each external service and for the workers."""

import logging
import sys

import click

from ingester_app.broker import create_app
from ingester_app.cli.deployment import Deployment
from lco_ingester.printable import printable


@click.command("health")
@click.pass_context
def health_command(context: click.Context) -> None:
    """Ask brokers, workers, S3 and the Archive API: one line each; exit code 1 if anything is wrong."""
    # Imported here because they import boto3 and astropy, which the other commands do not need.
    from ingester_app.health import findings
    from lco_ingester.services import open_services

    deployment: Deployment = context.obj
    settings, redact = deployment.settings, deployment.redact
    logging.disable(logging.WARNING)  # the lines say it
    context.call_on_close(lambda: logging.disable(logging.NOTSET))
    well = True
    for finding in findings(settings, create_app(settings), lambda: open_services(settings, redact), redact):
        click.echo(printable(f"{'ok ' if finding.well else 'BAD'}  {finding.what:<14} {finding.words}"))
        well = well and finding.well
    sys.exit(0 if well else 1)
