"""The deployment that the environment's settings describe."""

from functools import cached_property

import click

from ingester_app.settings import ServiceSettings, load_service_settings
from lco_ingester.exceptions import IngesterError


class Deployment:
    """What every command needs to know; the settings are read when a command first asks for them."""

    @cached_property
    def settings(self) -> ServiceSettings:
        """The settings. Raises click.ClickException if they are wrong."""
        try:
            return load_service_settings()
        except IngesterError as error:
            raise click.ClickException(str(error)) from error
