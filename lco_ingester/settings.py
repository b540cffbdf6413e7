"""Settings of the library: one frozen object, read from the environment (or secret files) in this one place."""

import os
from collections.abc import Callable, Hashable
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

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
        raise ValueError("must have no @: a user and password in a URL would be shown in errors")
    return url


def _http_url(url: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise ValueError("must begin with http:// or https://")
    return url.rstrip("/") + "/"


def _broker_url(url: SecretStr | None) -> SecretStr | None:
    if url is not None and "://" not in url.get_secret_value():
        raise ValueError("must be a broker's URL, such as amqp://user:password@host:5672/vhost")
    return url


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
OptionalSecret = Annotated[SecretStr | None, BeforeValidator(_unset_if_empty)]


class Settings(BaseSettings):
    """What the library and its command need to know.

    The variable of a field is its name in capitals; a file of that name in `/run/secrets` serves as well.
    """

    model_config = SettingsConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True, validate_default=True)

    api_root: HttpUrl = Field("http://localhost:8000/", description="Root URL of the Archive API.")
    auth_token: SecretStr = Field(SecretStr(""), description="Token for the Archive API. Secret.")
    api_timeout: float = Field(
        30.0,
        gt=0,
        description="Seconds to wait for the Archive API's answer; above 10, for it may be slow and succeed.",
    )
    bucket: Name = Field("ingestertest", description="S3 bucket; versioning must be on.")
    aws_access_key_id: OptionalSecret = Field(
        None, description="S3 credentials; like every standard AWS variable and file it goes to boto3. Secret."
    )
    aws_secret_access_key: OptionalSecret = Field(None, description="S3 credentials. Secret.")
    aws_session_token: OptionalSecret = Field(None, description="S3 credentials, if they are temporary. Secret.")
    aws_default_region: OptionalText = Field(None, description="S3 region.")
    aws_endpoint_url_s3: OptionalUrl = Field(None, description="URL of an S3-compatible store; AWS itself if not set.")
    opentsdb_hostname: str = Field("", description="OpenTSDB server for metrics; no metrics if empty.")
    opentsdb_port: int = Field(80, ge=1, le=65535, description="Port of the OpenTSDB server.")
    opentsdb_python_metrics_test_mode: AnyTextFlag = Field(
        False, description="Any text but empty, `false`, `0`, `no` turns metrics off."
    )
    ingester_process_name: Name = Field("ingester", description="Tag `ingester_process_name` of every metric.")
    submit_metrics_asynchronously: bool = Field(
        False, description="Send metrics from a thread of their own; the command always sends synchronously."
    )
    fits_broker: BrokerUrl = Field(
        SecretStr("memory://localhost"), description="Broker of the FITS and the processed exchange. Secret."
    )
    processed_exchange_name: Name = Field("archived_fits", description="Fanout exchange for archived frames' records.")
    postprocess_files: bool = Field(True, description="Publish archived frames to the processed exchange.")
    archive_record_format: Annotated[Literal["lco", "ocs"], LOWER_CASE] = Field(
        "lco", description="What the archive takes: `lco`, flat records, or `ocs`, nested ones."
    )
    header_blacklist: CommaList = Field(
        ("HISTORY", "COMMENT"), description="Keywords left out of the record, comma-separated."
    )
    required_headers: CommaList = Field(
        ("PROPID", "DATE-OBS", "INSTRUME", "SITEID", "TELID", "OBSTYPE", "BLKUID"),
        description="Keywords that the describing HDU must hold, comma-separated.",
    )
    null_header_values: CommaList = Field(
        ("N/A", "UNKNOWN", "UNSPECIFIED"), description="Texts in a header that mean nothing, comma-separated."
    )
    calibration_types: CommaList = Field(
        ("BIAS", "DARK", "SKYFLAT", "EXPERIMENTAL"), description="OBSTYPEs that are public at once."
    )
    public_proposals: CommaList = Field(
        ("EPO", "calib", "standard", "pointing"), description="A PROPID with one of these in it is public at once."
    )
    private_proposals: CommaList = Field(
        ("LCOEngineering",), description="A PROPID with one of these in it stays private for 999 years."
    )
    private_file_types: CommaList = Field(
        ("-t00", "-x00"), description="A basename with one of these in it stays private for 999 years."
    )
    archive_extensions: CommaList = Field(
        (".fits", ".fits.fz", ".tar.gz", ".pdf", ".jpg", ".jpeg"),
        description="Extensions that the archive knows, exactly so; a file with another is not uploaded.",
    )
    validation: Literal["strict", "headers"] = Field(
        "strict", description="How deeply files are checked: `strict`, or `headers`, only what the record needs."
    )
    validation_warn_only: CheckNames = Field(
        ("trailing",), description="Checks whose failure is only logged, comma-separated (docs/validation.md)."
    )
    date_from_mjd: bool = Field(False, description="Take the date of `MJD-OBS` where a header has no `DATE-OBS`.")
    package_max_members: int = Field(1000, ge=1, description="Most members that a package may have.")
    expanded_max_bytes: int = Field(
        20 * 2**30, ge=1, description="Most bytes to which a gzipped file or package may unpack."
    )
    expanded_max_ratio: float = Field(
        200.0, gt=1, description="Most bytes that one byte of gzip may unpack to, once 256 MiB are unpacked."
    )
    days_until_public: int = Field(365, ge=0, description="Days after which any other frame becomes public.")
    related_frame_keys: CommaList = Field(
        (), description="Keywords that name related frames, comma-separated; empty: those of the format."
    )
    observation_date_key: Name = Field("DATE-OBS", description="Keyword of the time the exposure began.")
    observation_day_key: Name = Field("DAY-OBS", description="Keyword of the night, `YYYYMMDD`.")
    observation_end_time_key: Name = Field("UTSTOP", description="Keyword of the time the exposure ended.")
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
    catalog_target_frame_key: Name = Field("L1IDCAT", description="Keyword of the frame that a catalogue is of.")
    public_date_key: Name = Field("L1PUBDAT", description="Keyword of the time from which the frame is public.")
    radius_key: Name = Field("RADIUS", description="Keyword of a spectrograph's field radius in arcseconds.")
    ra_key: Name = Field("RA", description="Keyword of the right ascension that the telescope pointed at, in hours.")
    dec_key: Name = Field("DEC", description="Keyword of the declination that it pointed at, in degrees.")
    thumbnail_frame_filename_key: Name = Field(
        "frame_filename", description="Key of a thumbnail's metadata that names its frame's file."
    )

    @field_validator("aws_secret_access_key")
    @classmethod
    def _aws_keys_come_in_pairs(cls, secret: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if (info.data.get("aws_access_key_id") is None) != (secret is None):
            raise ValueError("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY must be set both or not at all")
        return secret

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
    """The settings of the environment, with `overrides` (by field name; None means: not given) over them.

    While nothing of both has changed they are the same object, for to make one takes a millisecond. Raises
    SettingsError, which lists every wrong variable and what is wrong with it, but never a value: it may be a secret
    typed into the wrong line.
    """
    given = tuple((name, value) for name, value in overrides.items() if value is not None)
    try:
        hash(given)
    except TypeError:  # pydantic says what is wrong with it
        return _load.__wrapped__(settings_class, given)  # type: ignore[return-value]
    return _load(settings_class, given, tuple(os.environ.items()), _secret_files())  # type: ignore[return-value]


@lru_cache(maxsize=16)
def _load(settings_class: type[Settings], given: tuple[tuple[str, Any], ...], *_: Hashable) -> Settings:
    """The settings, made anew whenever an argument differs: also one that is only there to differ."""
    try:
        return settings_class(**dict(given))
    except ValidationError as error:
        wrong = [
            f"{'_'.join(map(str, item['loc'][:1])).upper() or 'settings'}: {item['msg'].removeprefix('Value error, ')}"
            for item in error.errors(include_input=False, include_url=False)
        ]
        raise SettingsError("wrong settings: " + "; ".join(wrong)) from None


def _secret_files() -> tuple[tuple[str, int, int], ...]:
    """Which secret files there are: name, size and time of each."""
    if not SECRET_FILES.is_dir():
        return ()
    found = ((file.name, file.stat()) for file in os.scandir(SECRET_FILES))
    return tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in found)
