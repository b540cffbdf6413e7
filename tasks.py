"""Shim: `celery -A tasks worker` from the checkout finds the app here."""

import sys

from ingester_app.settings import load_service_settings
from ingester_app.tasks import create_worker_app
from lco_ingester.exceptions import SettingsError

try:
    app = create_worker_app(load_service_settings())
except SettingsError as error:
    sys.exit(str(error))
