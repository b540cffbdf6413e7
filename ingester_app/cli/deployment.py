"""The deployment that the environment's settings describe."""

from functools import cached_property

import click

from ingester_app.logs import hide_in_uncaught
from ingester_app.settings import ServiceSettings, load_service_settings
from lco_ingester.exceptions import IngesterError
from lco_ingester.redaction import Redactor


class Deployment:
    """What every command needs to know; the settings are read when a command first asks for them."""

    @cached_property
    def redact(self) -> Redactor:
        """What hides the secrets of the settings in texts."""
        return Redactor(self.settings.secrets())

    @cached_property
    def settings(self) -> ServiceSettings:
        """The settings. Raises click.ClickException if they are wrong.

        From then on an error that ends the process is printed without secrets.
        """
        try:
            settings = load_service_settings()
        except IngesterError as error:
            raise click.ClickException(str(error)) from error
        hide_in_uncaught(Redactor(settings.secrets()))
        return settings
