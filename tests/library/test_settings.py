"""Settings: where they come from, what they may be, and that secrets stay secret."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from lco_ingester import settings as settings_module
from lco_ingester.exceptions import DoNotRetryError, SettingsError
from lco_ingester.settings import Settings, load_settings
from tests.support.synthetic import ROOT

DEFAULTS = {
    "api_root": "http://localhost:8000/",
    "auth_token": "",
    "api_timeout": 30.0,
    "bucket": "ingestertest",
    "aws_access_key_id": None,
    "aws_secret_access_key": None,
    "aws_session_token": None,
    "aws_default_region": None,
    "aws_endpoint_url_s3": None,
    "s3_timeout": 60.0,
    "s3_minimum_rate": 100_000.0,
    "storage_class_old": "STANDARD_IA",
    "opentsdb_hostname": "",
    "opentsdb_port": 80,
    "opentsdb_python_metrics_test_mode": False,
    "ingester_process_name": "ingester",
    "submit_metrics_asynchronously": False,
    "fits_broker": "memory://localhost",
    "broker_ca_file": None,
    "broker_cert_file": None,
    "broker_key_file": None,
    "broker_server_name": None,
    "processed_exchange_name": "archived_fits",
    "postprocess_files": True,
    "archive_record_format": "lco",
    "header_blacklist": ("HISTORY", "COMMENT"),
    "required_headers": ("PROPID", "DATE-OBS", "INSTRUME", "SITEID", "TELID", "OBSTYPE", "BLKUID"),
    "calibration_types": ("BIAS", "DARK", "SKYFLAT", "EXPERIMENTAL"),
    "public_proposals": ("EPO", "calib", "standard", "pointing"),
    "private_proposals": ("LCOEngineering",),
    "private_file_types": ("-t00", "-x00"),
    "archive_extensions": (".fits", ".fits.fz", ".tar.gz", ".pdf", ".jpg", ".jpeg"),
    "validation": "strict",
    "validation_warn_only": ("trailing",),
    "date_from_mjd": False,
    "package_max_members": 1000,
    "expanded_max_bytes": 20 * 2**30,
    "expanded_max_ratio": 200.0,
    "null_header_values": ("N/A", "UNKNOWN", "UNSPECIFIED"),
    "days_until_public": 365,
    "related_frame_keys": (),
    "observation_date_key": "DATE-OBS",
    "observation_day_key": "DAY-OBS",
    "observation_end_time_key": "UTSTOP",
    "reduction_level_key": "RLEVEL",
    "exposure_time_key": "EXPTIME",
    "instrument_id_key": "INSTRUME",
    "site_id_key": "SITEID",
    "telescope_id_key": "TELID",
    "observation_id_key": "BLKUID",
    "configuration_id_key": "MOLUID",
    "primary_optical_element_key": "FILTER",
    "target_name_key": "OBJECT",
    "request_id_key": "REQNUM",
    "requestgroup_id_key": "TRACKNUM",
    "configuration_type_key": "OBSTYPE",
    "proposal_id_key": "PROPID",
    "catalog_target_frame_key": "L1IDCAT",
    "public_date_key": "L1PUBDAT",
    "radius_key": "RADIUS",
    "ra_key": "RA",
    "dec_key": "DEC",
    "thumbnail_frame_filename_key": "frame_filename",
}
SECRETS = ("auth_token", "aws_access_key_id", "aws_secret_access_key", "aws_session_token", "fits_broker")


def plain(settings: Settings) -> dict[str, Any]:
    """The settings with their secrets shown."""
    shown = settings.model_dump()
    return {name: value.get_secret_value() if isinstance(value, SecretStr) else value for name, value in shown.items()}


def loaded(monkeypatch: pytest.MonkeyPatch, **variables: str) -> Settings:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return load_settings(Settings)


def test_the_defaults_are_these() -> None:
    assert plain(load_settings(Settings)) == DEFAULTS


@pytest.mark.parametrize(
    ("variable", "text", "value"),
    [
        ("API_ROOT", "https://archive.example/api", "https://archive.example/api/"),
        ("API_ROOT", "http://archive.example//", "http://archive.example/"),
        ("API_TIMEOUT", "12.5", 12.5),
        ("S3_TIMEOUT", "90", 90.0),
        ("S3_MINIMUM_RATE", "250000", 250_000.0),
        ("BUCKET", "frames", "frames"),
        ("ARCHIVE_RECORD_FORMAT", "OCS", "ocs"),
        ("SITE_ID_KEY", "OBSERVAT", "OBSERVAT"),
        ("OPENTSDB_PORT", "4242", 4242),
        ("SUBMIT_METRICS_ASYNCHRONOUSLY", "True", True),
        ("POSTPROCESS_FILES", "False", False),
        ("AWS_DEFAULT_REGION", "", None),
        ("AWS_ENDPOINT_URL_S3", "", None),
        ("FITS_BROKER", "amqp://user:pw@host:5672/vhost", "amqp://user:pw@host:5672/vhost"),
        ("VALIDATION", "headers", "headers"),
        ("VALIDATION_WARN_ONLY", "checksum, padding", ("checksum", "padding")),
        ("VALIDATION_WARN_ONLY", "", ()),
        ("ARCHIVE_EXTENSIONS", ".fits,.FITS", (".fits", ".FITS")),
        ("REQUIRED_HEADERS", "SITEID,TELID", ("SITEID", "TELID")),
        ("REQUIRED_HEADERS", " SITEID , TELID ,", ("SITEID", "TELID")),
        ("HEADER_BLACKLIST", "", ()),
        ("CALIBRATION_TYPES", "BIAS", ("BIAS",)),
    ],
)
def test_a_variable_is_read_as_what_its_setting_is(
    monkeypatch: pytest.MonkeyPatch, variable: str, text: str, value: Any
) -> None:
    assert plain(loaded(monkeypatch, **{variable: text}))[variable.lower()] == value


@pytest.mark.parametrize("text", ["", "false", "False", "FALSE", "0", "no", "No", " "])
def test_these_texts_turn_a_flag_off(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    assert loaded(monkeypatch, OPENTSDB_PYTHON_METRICS_TEST_MODE=text).opentsdb_python_metrics_test_mode is False


@pytest.mark.parametrize("text", ["true", "1", "yes", "on", "off", "anything"])
def test_any_other_text_turns_a_flag_on(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    assert loaded(monkeypatch, OPENTSDB_PYTHON_METRICS_TEST_MODE=text).opentsdb_python_metrics_test_mode is True


WRONG = {
    "API_ROOT": "secret-in-the-wrong-line-1",
    "API_TIMEOUT": "secret-in-the-wrong-line-2",
    "BUCKET": "",
    "AWS_ACCESS_KEY_ID": "secret-in-the-wrong-line-3",
    "OPENTSDB_PORT": "70000",
    "POSTPROCESS_FILES": "secret-in-the-wrong-line-4",
    "FITS_BROKER": "secret-in-the-wrong-line-5",
    "VALIDATION": "secret-in-the-wrong-line-6",
    "VALIDATION_WARN_ONLY": "size,secret-in-the-wrong-line-7",
    "EXPANDED_MAX_RATIO": "secret-in-the-wrong-line-8",
}


def test_all_wrong_values_are_listed_at_once_and_none_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError) as raised:
        loaded(monkeypatch, **WRONG)
    text = str(raised.value)
    for variable in WRONG:
        assert f"{variable}: " in text or variable == "AWS_ACCESS_KEY_ID"
    assert "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY must both be set, or neither" in text
    assert "wrong-line" not in text
    assert "70000" not in text
    assert "\n" not in text
    assert isinstance(raised.value, DoNotRetryError)
    assert raised.value.__cause__ is None, "pydantic's own error would show the values in a traceback"
    assert raised.value.__suppress_context__


@pytest.mark.parametrize("variable", ["API_ROOT", "AWS_ENDPOINT_URL_S3"])
def test_a_url_that_errors_show_has_no_password_in_it(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    with pytest.raises(SettingsError, match=f"{variable}: must not contain @") as raised:
        loaded(monkeypatch, **{variable: "http://user:hush@host:8000/"})
    assert "hush" not in str(raised.value)


def test_an_empty_aws_variable_is_one_that_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = loaded(monkeypatch, AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="", AWS_SESSION_TOKEN="")
    assert plain(settings) == DEFAULTS


def test_no_secret_is_in_a_text_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = loaded(monkeypatch, **{name.upper(): "amqp://hush-hush" for name in SECRETS})
    shown = [repr(settings), str(settings), settings.model_dump_json(), str(settings.model_dump())]
    assert "hush" not in "".join(shown)


def test_settings_are_frozen_and_can_be_keys() -> None:
    settings = load_settings(Settings)
    with pytest.raises(ValidationError):
        settings.bucket = "another"
    assert {settings: 1}[load_settings(Settings)] == 1


def test_a_file_of_a_variables_name_serves_as_well(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "auth_token").write_text("from-a-file\n")
    (tmp_path / "AWS_ACCESS_KEY_ID").write_text("id-from-a-file")
    (tmp_path / "AWS_SECRET_ACCESS_KEY").write_text("key-from-a-file")
    (tmp_path / "bucket").write_text("bucket-from-a-file")
    monkeypatch.setattr(settings_module, "SECRET_FILES", tmp_path)
    settings = plain(loaded(monkeypatch, BUCKET="bucket-from-the-environment"))
    assert settings["auth_token"] == "from-a-file"
    assert settings["aws_access_key_id"] == "id-from-a-file"
    assert settings["aws_secret_access_key"] == "key-from-a-file"
    assert settings["bucket"] == "bucket-from-the-environment", "the environment goes before a file"


def test_settings_are_loaded_again_when_a_variable_or_a_file_has_changed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(settings_module, "SECRET_FILES", tmp_path)
    first = load_settings(Settings)
    assert load_settings(Settings) is first
    (tmp_path / "auth_token").write_text("from-a-file")
    assert plain(load_settings(Settings))["auth_token"] == "from-a-file"
    (tmp_path / "auth_token").write_text("another")
    assert plain(load_settings(Settings))["auth_token"] == "another"
    monkeypatch.setenv("AUTH_TOKEN", "from-the-environment")
    assert plain(load_settings(Settings))["auth_token"] == "from-the-environment"
    assert load_settings(Settings, bucket="argument").bucket == "argument"
    monkeypatch.delenv("AUTH_TOKEN")
    (tmp_path / "auth_token").unlink()
    assert load_settings(Settings) is first


def test_an_argument_goes_before_the_environment_and_none_means_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUCKET", "from-the-environment")
    assert load_settings(Settings, bucket="argument").bucket == "argument"
    assert load_settings(Settings, bucket=None).bucket == "from-the-environment"


def test_arguments_are_checked_as_variables_are() -> None:
    with pytest.raises(SettingsError, match="API_ROOT"):
        load_settings(Settings, api_root="archive.example")
    assert load_settings(Settings, api_root="http://archive.example").api_root == "http://archive.example/"


def test_every_setting_says_what_it_is_and_which_are_secret() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert ("Secret." in field.description) == (name in SECRETS), name


WATCHED_IMPORT = """
import json, os, sys
seen = {"connections": [], "files": [], "variables": []}

class Watched(type(os.environ)):
    def __getitem__(self, key):
        seen["variables"].append(key)
        return super().__getitem__(key)

def audit(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"):
        seen["connections"].append([event, repr(arguments)])
    if event == "open" and isinstance(arguments[0], str):
        seen["files"].append(arguments[0])

os.environ.__class__ = Watched
sys.addaudithook(audit)
import lco_ingester.ingester
os.environ.__class__ = Watched.__mro__[1]
print(json.dumps(seen))
"""


def test_importing_the_library_connects_to_nothing_and_reads_no_setting_and_no_file_of_ours() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WATCHED_IMPORT], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    seen = json.loads(done.stdout)
    assert seen["connections"] == []
    ours = {name.upper() for name in Settings.model_fields}
    assert ours & {name.upper() for name in seen["variables"]} == set()
    assert [file for file in seen["files"] if file.startswith("/run/secrets") or file.endswith(".env")] == []
    assert any("/lco_ingester/" in file for file in seen["files"]), "the watch is awake"


def test_the_package_itself_imports_nothing_heavy() -> None:
    code = "import sys, lco_ingester; print({'astropy', 'boto3', 'kombu', 'pydantic'} & set(sys.modules) or 'light')"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "light"


def test_an_argument_of_a_wrong_kind_is_a_settings_error() -> None:
    with pytest.raises(SettingsError, match="API_TIMEOUT"):
        load_settings(Settings, api_timeout=[1])
