"""Settings that only the service needs, beside the library's."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, field_validator

from lco_ingester.exceptions import SettingsError
from lco_ingester.settings import BrokerUrl, ColonList, CommaList, Name, Settings, load_settings


def _name_of_queue(name: str) -> str:
    if name.endswith(".ingest"):
        raise ValueError("must not end in .ingest: Celery's delayed delivery finds queues by this ending")
    return name


Seconds = Annotated[float, Field(ge=1)]
QueueName = Annotated[Name, AfterValidator(_name_of_queue)]
LogLevel = Annotated[
    Literal["DEBUG", "INFO", "WARNING", "ERROR"],
    BeforeValidator(lambda value: value.upper() if isinstance(value, str) else value),
]


class ServiceSettings(Settings):
    """What listener, workers and monitor need to know."""

    broker_url: BrokerUrl = Field(
        SecretStr("memory://localhost"), description="Celery's broker: the service needs it, the library not. Secret."
    )
    crawler_exchange_name: Name = Field("fits_files", description="Fanout exchange on which new files' names come.")
    fits_queue: QueueName = Field("archive_ingest", description="Our queue on that exchange.")
    ingest_queue: QueueName = Field("ingest", description="Celery's queue of frames.")
    dead_letter_queue: QueueName = Field("ingest_dead_letters", description="Queue and exchange of the dead letters.")
    ignored_chars: CommaList = Field(
        ("-l00", "tstnrs"), description="A file with one of these in its name is not archived, comma-separated."
    )
    data_roots: ColonList = Field(
        (), description="Directories that a message may name files in, colon-separated; empty: any."
    )
    delivery_limit: int = Field(
        20, ge=1, description="How often a frame may kill or hang its worker before it is a dead letter."
    )
    retry_server_first: Seconds = Field(5, description="Seconds to the first retry when a server is in trouble.")
    retry_server_longest: Seconds = Field(900, description="Most seconds between two such retries.")
    retry_server_patience: Seconds = Field(86400, description="Seconds after which such a frame is a dead letter.")
    retry_file_first: Seconds = Field(10, description="Seconds to the first retry when a file is not ready.")
    retry_file_longest: Seconds = Field(120, description="Most seconds between two such retries.")
    retry_file_patience: Seconds = Field(900, description="Seconds after which such a frame is a dead letter.")
    retry_deployment_first: Seconds = Field(
        60, description="Seconds to the first retry when token, bucket or another setting is wrong."
    )
    retry_deployment_longest: Seconds = Field(900, description="Most seconds between two such retries.")
    retry_deployment_patience: Seconds = Field(86400, description="Seconds after which such a frame is a dead letter.")
    breaker_failures: int = Field(
        5, ge=1, description="Calls in a row without an answer after which a process leaves a server alone."
    )
    breaker_seconds: Seconds = Field(30, description="Seconds for which it does, before one call tries again.")
    soft_time_limit: int = Field(1200, ge=1, description="Seconds after which a task gives up and is retried.")
    hard_time_limit: int = Field(
        1500, ge=2, description="Seconds after which its process is killed; below RabbitMQ's consumer_timeout of 1800."
    )
    soft_shutdown_seconds: float = Field(
        60, ge=0, description="Seconds that a stopping worker gives the frames in its hands before it puts them back."
    )
    log_level: LogLevel = Field("INFO", description="`DEBUG`, `INFO`, `WARNING` or `ERROR`.")
    log_format: Literal["json", "text"] = Field("json", description="`json`: one line an event; `text`: for people.")

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
    """Raise SettingsError if a broker is the library's default one, which no other process can reach."""
    memory = [
        name.upper()
        for name in ("fits_broker", "broker_url")
        if getattr(settings, name).get_secret_value().startswith("memory://")
    ]
    if memory:
        raise SettingsError(
            f"the service needs a real broker: set {' and '.join(memory)} to a URL such as amqp://user:password@host:5672/"
        )
