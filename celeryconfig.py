"""Shim: Celery's settings, under the name by which Celery looks for them in the checkout."""

import sys

from ingester_app.broker import celery_settings
from ingester_app.settings import load_service_settings
from lco_ingester.exceptions import SettingsError

try:
    globals().update(celery_settings(load_service_settings()))
except SettingsError as error:
    sys.exit(str(error))
