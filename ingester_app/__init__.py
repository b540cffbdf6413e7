"""The service: a listener, Celery tasks, retries, dead letters and metrics around the steps of `lco_ingester`."""
