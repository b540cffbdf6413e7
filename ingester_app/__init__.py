"""The steps of `lco_ingester` made durable: a listener, Celery tasks, dead letters, numbers for operators."""
