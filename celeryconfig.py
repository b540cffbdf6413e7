"""Door: Celery's settings, under the name by which Celery looks for them."""

import sys

from ingester_app.broker import celery_settings, require_real_broker
from ingester_app.settings import ServiceSettings
from lco_ingester.exceptions import SettingsError
from lco_ingester.settings import load_settings

try:
    settings = load_settings(ServiceSettings)
    require_real_broker(settings)
except SettingsError as error:
    sys.exit(str(error))

globals().update(celery_settings(settings))
