"""Composition root: the external services that a process uses, opened once from the settings."""

import os
from dataclasses import dataclass

from pydantic import SecretStr

from lco_ingester.archive import Archive
from lco_ingester.metrics import Metrics, open_metrics
from lco_ingester.publisher import Publisher
from lco_ingester.redaction import Redactor
from lco_ingester.settings import Settings
from lco_ingester.store import Store, open_store


@dataclass(frozen=True, slots=True)
class Services:
    """The external services; `publisher` is None if frames are not announced."""

    store: Store
    archive: Archive
    publisher: Publisher | None
    metrics: Metrics


_opened: dict[tuple[int, Settings], Services] = {}


def open_services(settings: Settings, redact: Redactor | None = None) -> Services:
    """The services for these settings; the same ones at each call in this process.

    `redact` is what hides the secrets of these settings in texts; it learns more of them.
    A forked child opens its own: it can share neither connections nor the metrics' thread with its parent. Raises
    StoreDeploymentError or BrokerDeploymentError if boto3 or kombu cannot use the settings.
    """
    key = os.getpid(), settings
    if key not in _opened:
        _opened[key] = _open(settings, redact or Redactor(settings.secrets()))
    return _opened[key]


def close_services() -> None:
    """Close the services that this process has opened."""
    for key in [key for key in _opened if key[0] == os.getpid()]:
        services = _opened.pop(key)
        services.metrics.close()
        if services.publisher is not None:
            services.publisher.close()


def _open(settings: Settings, redact: Redactor) -> Services:
    return Services(
        store=open_store(
            settings.bucket,
            access_key_id=_text(settings.aws_access_key_id),
            secret_access_key=_text(settings.aws_secret_access_key),
            session_token=_text(settings.aws_session_token),
            region=settings.aws_default_region,
            endpoint_url=settings.aws_endpoint_url_s3,
            redact=redact,
            timeout=settings.s3_timeout,
            minimum_rate=settings.s3_minimum_rate,
        ),
        archive=Archive(settings.api_root, settings.auth_token.get_secret_value(), settings.api_timeout, redact=redact),
        publisher=_publisher(settings, redact),
        metrics=open_metrics(
            settings.opentsdb_hostname,
            settings.opentsdb_port,
            settings.ingester_process_name,
            off=settings.opentsdb_python_metrics_test_mode,
            asynchronous=settings.submit_metrics_asynchronously,
        ),
    )


def _publisher(settings: Settings, redact: Redactor) -> Publisher | None:
    if not settings.postprocess_files:
        return None
    url = settings.fits_broker.get_secret_value()
    return Publisher(url, settings.processed_exchange_name, settings.broker_tls, redact)


def _text(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()
