"""Settings of the library: one frozen object, read from the environment (or secret files) in this one place."""

import os
from collections.abc import Callable, Hashable
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from urllib.request import getproxies

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
    SettingsConfigDict,
)

from lco_ingester.broker_tls import BrokerTls, check_ca, check_certificate
from lco_ingester.broker_url import check_server_name, rabbitmq_urls
from lco_ingester.exceptions import SettingsError

SECRET_FILES = Path("/run/secrets")  # where Docker and Kubernetes mount secrets, one file a variable


def _split_by(separator: str) -> Callable[[Any], Any]:
    def split(value: Any) -> Any:
        if not isinstance(value, str):
            return value
        return tuple(part.strip() for part in value.split(separator) if part.strip())

    return split


def _flag(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return value.strip().lower() not in ("", "false", "0", "no")


def _unset_if_empty(value: Any) -> Any:
    return None if value == "" else value


def _no_credentials(url: str | None) -> str | None:
    if url is not None and "@" in url:
        raise ValueError("must not contain @: errors would show a user and password in a URL")
    return url


def _http_url(url: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise ValueError("must begin with http:// or https://")
    return url.rstrip("/") + "/"


def _broker_url(url: SecretStr) -> SecretStr:
    rabbitmq_urls(url.get_secret_value())
    return url


def _if_set(check: Callable[[str], None]) -> AfterValidator:
    def checked(value: str | None) -> str | None:
        if value is not None:
            check(value)
        return value

    return AfterValidator(checked)


CheckName = Literal["size", "padding", "trailing", "checksum", "datasum", "characters", "members"]
CommaList = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split_by(","))]
ColonList = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split_by(":"))]
CheckNames = Annotated[tuple[CheckName, ...], NoDecode, BeforeValidator(_split_by(","))]
AnyTextFlag = Annotated[bool, BeforeValidator(_flag)]
HttpUrl = Annotated[str, AfterValidator(_no_credentials), AfterValidator(_http_url)]
BrokerUrl = Annotated[SecretStr, AfterValidator(_broker_url)]
Name = Annotated[str, Field(min_length=1)]
LOWER_CASE = BeforeValidator(lambda value: value.lower() if isinstance(value, str) else value)
OptionalText = Annotated[str | None, BeforeValidator(_unset_if_empty)]
OptionalUrl = Annotated[OptionalText, AfterValidator(_no_credentials)]
CaFile = Annotated[OptionalText, _if_set(check_ca)]
ServerName = Annotated[OptionalText, _if_set(check_server_name)]
StorageClass = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{0,64}$")]
OptionalSecret = Annotated[SecretStr | None, BeforeValidator(_unset_if_empty)]


class Settings(BaseSettings):
    """Settings of the library and its command.

    The variable of a field is its name in capitals. A file of that name in `/run/secrets` is read too.
    """

    model_config = SettingsConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True, validate_default=True)

    api_root: HttpUrl = Field("http://localhost:8000/", description="Root URL of the Archive API.")
    auth_token: SecretStr = Field(SecretStr(""), description="Token for the Archive API. Secret.")
    api_timeout: float = Field(
        30.0,
        gt=0,
        description="Longest time of a whole call of the Archive API in seconds. "
        "Keep it above 10: a slow answer may be a success.",
    )
    bucket: Name = Field("ingestertest", description="S3 bucket. Its versioning must be on.")
    aws_access_key_id: OptionalSecret = Field(
        None, description="S3 credentials. boto3 reads all standard AWS variables and files. Secret."
    )
    aws_secret_access_key: OptionalSecret = Field(None, description="S3 credentials. Secret.")
    aws_session_token: OptionalSecret = Field(None, description="S3 credentials, if they are temporary. Secret.")
    aws_default_region: OptionalText = Field(None, description="S3 region.")
    aws_endpoint_url_s3: OptionalUrl = Field(None, description="URL of an S3-compatible store; AWS if not set.")
    s3_timeout: float = Field(
        60.0, gt=0, description="Longest time of a whole request to S3 in seconds, without the time for its body."
    )
    s3_minimum_rate: float = Field(
        100_000.0,
        gt=0,
        description="Slowest accepted upload in bytes a second: each so many bytes of a request add a second to "
        "`S3_TIMEOUT`. A part of a large file is a request of its own.",
    )
    storage_class_old: StorageClass = Field(
        "STANDARD_IA",
        description="S3 storage class of frames that were observed more than 60 days ago. Empty: none is sent, and the "
        "store chooses. Objects must stay readable at once, so not `GLACIER`.",
    )
    opentsdb_hostname: str = Field("", description="OpenTSDB server for metrics. Empty: no metrics.")
    opentsdb_port: int = Field(80, ge=1, le=65535, description="Port of the OpenTSDB server.")
    opentsdb_python_metrics_test_mode: AnyTextFlag = Field(
        False, description="Turns metrics off. Any text except empty, `false`, `0` and `no` means on."
    )
    ingester_process_name: Name = Field("ingester", description="Tag `ingester_process_name` of every metric.")
    submit_metrics_asynchronously: bool = Field(
        False, description="Send metrics from a separate thread. The command always sends synchronously."
    )
    fits_broker: BrokerUrl = Field(
        SecretStr("memory://localhost"),
        description="URL of the broker with the FITS exchange and the processed exchange; several nodes of one cluster "
        "are separated by semicolons. Secret.",
    )
    broker_ca_file: CaFile = Field(
        None, description="CA certificates for `amqps://` brokers, a PEM file; the system's CAs if not set."
    )
    broker_cert_file: OptionalText = Field(
        None, description="Client certificate for `amqps://` brokers, a PEM file, if they want one."
    )
    broker_key_file: OptionalText = Field(
        None, description="Key of the client certificate, a PEM file without a passphrase."
    )
    broker_server_name: ServerName = Field(
        None, description="Name in the certificate of `amqps://` brokers, if it is not the host of the URL."
    )
    processed_exchange_name: Name = Field(
        "archived_fits", description="Fanout exchange on which archived frames are announced."
    )
    postprocess_files: bool = Field(True, description="Announce archived frames on the processed exchange.")
    archive_record_format: Annotated[Literal["lco", "ocs"], LOWER_CASE] = Field(
        "lco", description="Format of the archive's records: `lco` (flat) or `ocs` (nested)."
    )
    header_blacklist: CommaList = Field(
        ("HISTORY", "COMMENT"), description="Keywords that are left out of the record, comma-separated."
    )
    required_headers: CommaList = Field(
        ("PROPID", "DATE-OBS", "INSTRUME", "SITEID", "TELID", "OBSTYPE", "BLKUID"),
        description="Keywords that an HDU must have to become the record, comma-separated.",
    )
    null_header_values: CommaList = Field(
        ("N/A", "UNKNOWN", "UNSPECIFIED"), description="Texts in a header that stand for no value, comma-separated."
    )
    calibration_types: CommaList = Field(
        ("BIAS", "DARK", "SKYFLAT", "EXPERIMENTAL"),
        description="Values of OBSTYPE that make a frame public at once, comma-separated.",
    )
    public_proposals: CommaList = Field(
        ("EPO", "calib", "standard", "pointing"),
        description="A frame is public at once if its PROPID contains one of these, comma-separated.",
    )
    private_proposals: CommaList = Field(
        ("LCOEngineering",),
        description="A frame stays private for 999 years if its PROPID contains one of these, comma-separated.",
    )
    private_file_types: CommaList = Field(
        ("-t00", "-x00"),
        description="A frame stays private for 999 years if its basename contains one of these, comma-separated.",
    )
    archive_extensions: CommaList = Field(
        (".fits", ".fits.fz", ".tar.gz", ".pdf", ".jpg", ".jpeg"),
        description="Extensions that the archive knows, comma-separated; case matters. Other files are not uploaded.",
    )
    validation: Literal["strict", "headers"] = Field(
        "strict", description="How files are checked: `strict`, all checks, or `headers`, only what the record needs."
    )
    validation_warn_only: CheckNames = Field(
        ("trailing",), description="Checks whose failure is only a warning, comma-separated (docs/validation.md)."
    )
    date_from_mjd: bool = Field(False, description="Use the date of `MJD-OBS` if a header has no `DATE-OBS`.")
    package_max_members: int = Field(1000, ge=1, description="Maximum number of members in a package.")
    expanded_max_bytes: int = Field(
        20 * 2**30, ge=1, description="Maximum size of an unpacked gzip file or package, in bytes."
    )
    expanded_max_ratio: float = Field(
        200.0, gt=1, description="Maximum ratio of unpacked to packed size, checked after the first 256 MiB."
    )
    days_until_public: int = Field(365, ge=0, description="Days until all other frames become public.")
    related_frame_keys: CommaList = Field(
        (), description="Keywords that name related frames, comma-separated. Empty: the keywords of the format."
    )
    observation_date_key: Name = Field("DATE-OBS", description="Keyword of the start of the exposure.")
    observation_day_key: Name = Field("DAY-OBS", description="Keyword of the night, `YYYYMMDD`.")
    observation_end_time_key: Name = Field("UTSTOP", description="Keyword of the end of the exposure.")
    reduction_level_key: Name = Field("RLEVEL", description="Keyword of the reduction level; 0 is raw.")
    exposure_time_key: Name = Field("EXPTIME", description="Keyword of the exposure time in seconds.")
    instrument_id_key: Name = Field("INSTRUME", description="Keyword of the instrument.")
    site_id_key: Name = Field("SITEID", description="Keyword of the site.")
    telescope_id_key: Name = Field("TELID", description="Keyword of the telescope.")
    observation_id_key: Name = Field("BLKUID", description="Keyword of the observation's number.")
    configuration_id_key: Name = Field("MOLUID", description="Keyword of the configuration's number.")
    primary_optical_element_key: Name = Field("FILTER", description="Keyword of the filter.")
    target_name_key: Name = Field("OBJECT", description="Keyword of the target.")
    request_id_key: Name = Field("REQNUM", description="Keyword of the request's number.")
    requestgroup_id_key: Name = Field("TRACKNUM", description="Keyword of the request group's number.")
    configuration_type_key: Name = Field("OBSTYPE", description="Keyword of the type of exposure.")
    proposal_id_key: Name = Field("PROPID", description="Keyword of the proposal.")
    catalog_target_frame_key: Name = Field("L1IDCAT", description="Keyword of the frame that a catalogue belongs to.")
    public_date_key: Name = Field("L1PUBDAT", description="Keyword of the date on which the frame becomes public.")
    radius_key: Name = Field("RADIUS", description="Keyword of the radius of a spectrograph's field, in arcseconds.")
    ra_key: Name = Field("RA", description="Keyword of the right ascension of the pointing, in hours.")
    dec_key: Name = Field("DEC", description="Keyword of the declination of the pointing, in degrees.")
    thumbnail_frame_filename_key: Name = Field(
        "frame_filename", description="Key in a thumbnail's metadata that names the file of its frame."
    )

    @field_validator("aws_secret_access_key")
    @classmethod
    def _aws_keys_come_in_pairs(cls, secret: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if (info.data.get("aws_access_key_id") is None) != (secret is None):
            raise ValueError("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY must both be set, or neither")
        return secret

    def secrets(self) -> tuple[str, ...]:
        """The values that no text may show: all secret settings, and the URLs of proxies, which may hold a password."""
        values = [value for _, value in self if isinstance(value, SecretStr)]
        proxies = [url if "://" in url else f"http://{url}" for name, url in getproxies().items() if name != "no"]
        return (*(value.get_secret_value() for value in values), *proxies)

    @field_validator("broker_key_file")
    @classmethod
    def _broker_certificate_and_key(cls, key_file: str | None, info: ValidationInfo) -> str | None:
        cert_file = info.data.get("broker_cert_file")
        if cert_file is not None:  # the key may be in the same file
            check_certificate(cert_file, key_file)
        elif key_file is not None:
            raise ValueError("BROKER_CERT_FILE must be set too")
        return key_file

    @property
    def broker_tls(self) -> BrokerTls:
        """What the settings say of TLS to both brokers."""
        return BrokerTls(self.broker_ca_file, self.broker_cert_file, self.broker_key_file, self.broker_server_name)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """An argument wins over the environment, the environment over a secret file."""
        if SECRET_FILES.is_dir():
            return init_settings, env_settings, SecretsSettingsSource(settings_cls, secrets_dir=SECRET_FILES)
        return init_settings, env_settings


SettingsT = TypeVar("SettingsT", bound=Settings)


def load_settings(settings_class: type[SettingsT], **overrides: Any) -> SettingsT:
    """The settings of the environment; `overrides` (by field name; None: not given) win over it.

    Returns the same object as long as neither has changed, because making one takes a millisecond. Raises
    SettingsError, which lists every wrong variable and what is wrong with it, but never a value: it may be a secret in
    the wrong line.
    """
    given = tuple((name, value) for name, value in overrides.items() if value is not None)
    try:
        hash(given)
    except TypeError:  # pydantic reports what is wrong with it
        return _load.__wrapped__(settings_class, given)  # type: ignore[return-value]
    return _load(settings_class, given, tuple(os.environ.items()), _secret_files())  # type: ignore[return-value]


@lru_cache(maxsize=16)
def _load(settings_class: type[Settings], given: tuple[tuple[str, Any], ...], *_: Hashable) -> Settings:
    """Cached. The unused arguments are only part of the cache key."""
    try:
        return settings_class(**dict(given))
    except ValidationError as error:
        wrong = [
            f"{'_'.join(map(str, item['loc'][:1])).upper() or 'settings'}: {item['msg'].removeprefix('Value error, ')}"
            for item in error.errors(include_input=False, include_url=False)
        ]
        raise SettingsError("wrong settings: " + "; ".join(wrong)) from None


def _secret_files() -> tuple[tuple[str, int, int], ...]:
    """Name, size and mtime of each secret file."""
    if not SECRET_FILES.is_dir():
        return ()
    found = ((file.name, file.stat()) for file in os.scandir(SECRET_FILES))
    return tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in found)
