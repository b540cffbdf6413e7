"""Ingest one frame: validate, upload, post, announce. Independent of Celery. Start at `lco_ingester.ingester`."""
