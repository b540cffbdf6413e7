"""What it means to ingest one frame of the sky; knows nothing of Celery. Start at `lco_ingester.ingester`."""
