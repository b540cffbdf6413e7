"""The settings of the service: the library's, and those that only the service needs."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, field_validator

from lco_ingester.exceptions import SettingsError
from lco_ingester.settings import BrokerUrl, ColonList, CommaList, Name, Settings, load_settings


def _name_of_queue(name: str) -> str:
    if name.endswith(".ingest"):
        raise ValueError("must not end in .ingest: Celery's delayed delivery finds the queue by this ending")
    return name


Seconds = Annotated[float, Field(ge=1)]
QueueName = Annotated[Name, AfterValidator(_name_of_queue)]
LogLevel = Annotated[
    Literal["DEBUG", "INFO", "WARNING", "ERROR"],
    BeforeValidator(lambda value: value.upper() if isinstance(value, str) else value),
]


class ServiceSettings(Settings):
    """The settings of every process of the service."""

    broker_url: BrokerUrl = Field(
        SecretStr("memory://localhost"),
        description="URL of Celery's broker, or of several nodes of one cluster. Only the service needs it. Secret.",
    )
    crawler_exchange_name: Name = Field(
        "fits_files", description="Fanout exchange on which the names of new files arrive."
    )
    fits_queue: QueueName = Field("archive_ingest", description="Our queue on that exchange.")
    ingest_queue: QueueName = Field("ingest", description="Celery's queue of frames.")
    dead_letter_queue: QueueName = Field("ingest_dead_letters", description="Queue and exchange of the dead letters.")
    ignored_chars: CommaList = Field(
        ("-l00", "tstnrs"), description="Files whose name contains one of these texts are ignored, comma-separated."
    )
    data_roots: ColonList = Field(
        (), description="Directories from which files are read, colon-separated; empty: any directory."
    )
    delivery_limit: int = Field(
        20,
        ge=1,
        description="Number of times that a frame may kill or hang its worker before it becomes a dead letter.",
    )
    retry_server_first: Seconds = Field(
        5, description="Longest pause before the first retry after a server failure, in seconds."
    )
    retry_server_longest: Seconds = Field(
        900, description="Longest pause between retries after a server failure, in seconds."
    )
    retry_server_patience: Seconds = Field(
        86400, description="Seconds after which a frame becomes a dead letter after a server failure."
    )
    retry_file_first: Seconds = Field(
        10, description="Longest pause before the first retry when a file is not ready, in seconds."
    )
    retry_file_longest: Seconds = Field(
        120, description="Longest pause between retries when a file is not ready, in seconds."
    )
    retry_file_patience: Seconds = Field(
        900, description="Seconds after which a frame becomes a dead letter when a file is not ready."
    )
    retry_deployment_first: Seconds = Field(
        60,
        description="Longest pause before the first retry when a token, bucket or other setting is wrong, in seconds.",
    )
    retry_deployment_longest: Seconds = Field(
        900, description="Longest pause between retries when a setting is wrong, in seconds."
    )
    retry_deployment_patience: Seconds = Field(
        86400, description="Seconds after which a frame becomes a dead letter when a setting is wrong."
    )
    breaker_failures: int = Field(
        5, ge=1, description="Number of failed calls in a row after which a process does not call a server for a while."
    )
    breaker_seconds: Seconds = Field(
        30, description="Seconds for which the server is not called; then one call tries again."
    )
    soft_time_limit: int = Field(1200, ge=1, description="Seconds after which a task is stopped and retried.")
    hard_time_limit: int = Field(
        1500,
        ge=2,
        description="Seconds after which the process of a task is killed; below RabbitMQ's consumer_timeout (1800).",
    )
    soft_shutdown_seconds: float = Field(
        60, ge=0, description="Seconds that a stopping worker gives the frames in hand before it puts them back."
    )
    log_level: LogLevel = Field("INFO", description="`DEBUG`, `INFO`, `WARNING` or `ERROR`.")
    log_format: Literal["json", "text"] = Field(
        "json", description="`json`: one line for each event; `text`: for people."
    )

    @field_validator("hard_time_limit")
    @classmethod
    def _hard_after_soft(cls, hard: int, info: Any) -> int:
        if hard <= info.data.get("soft_time_limit", 0):
            raise ValueError("must be more than SOFT_TIME_LIMIT")
        return hard


def load_service_settings() -> ServiceSettings:
    """The service's settings from the environment and the secret files. Raises SettingsError."""
    settings = load_settings(ServiceSettings)
    require_real_broker(settings)
    return settings


def require_real_broker(settings: ServiceSettings) -> None:
    """Raise SettingsError if a broker is the library's default, which no other process can reach."""
    memory = [
        name.upper()
        for name in ("fits_broker", "broker_url")
        if getattr(settings, name).get_secret_value().lower().startswith("memory://")
    ]
    if memory:
        raise SettingsError(
            f"the service needs a real broker: set {' and '.join(memory)} to a URL such as amqp://user:password@host:5672/"
        )
