"""The five public functions, against a running archive and store, and the settings they find in the environment."""

import copy
import hashlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from kombu import Connection, Exchange, Queue

from lco_ingester import exceptions
from lco_ingester.exceptions import (
    BackoffRetryError,
    DoNotRetryError,
    FileNameMissingError,
    HeaderMissingError,
    HeaderValueError,
    IngesterError,
    NonFatalDoNotRetryError,
    RetryError,
)
from lco_ingester.ingester import (
    frame_exists,
    ingest_archive_record,
    upload_file_and_ingest_to_archive,
    upload_file_to_s3,
    validate_fits_and_create_archive_record,
)
from lco_ingester.services import close_services
from tests.support.scripted import Answer, closed_port, committing_and_failing, scripted, silent_port
from tests.support.servers import ArchiveServer, S3Server, running_archive
from tests.support.synthetic import ABSENT, Cards, fits_bytes, header, image, new_basename, package, write_frame

VERSION = {"key": "a-version-id", "md5": "d41d8cd98f00b204e9800998ecf8427e", "extension": ".fits"}


@pytest.fixture(autouse=True)
def _neighbours(external_services: dict[str, str]) -> None:
    """Every function finds the running archive and store by the environment."""


@pytest.fixture(autouse=True, scope="module")
def _closed_at_last() -> Iterator[None]:
    yield
    close_services()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_frame(tmp_path)


def stream_of(changes: Cards | None = None) -> io.BytesIO:
    """A good frame in memory, unlike all others."""
    return io.BytesIO(image({"OBJECT": new_basename(), **(changes or {})}, 8))


def ingest(path: Path, **arguments: Any) -> dict[str, Any]:
    with path.open("rb") as stream:
        return upload_file_and_ingest_to_archive(stream, **arguments)


def frame_in(archive: ArchiveServer, basename: str) -> dict[str, Any]:
    [frame] = [frame for frame in archive.frames() if frame["basename"] == basename]
    return frame


# All steps at once


def test_a_frame_is_stored_and_archived(path: Path, archive: ArchiveServer, s3: S3Server) -> None:
    record = ingest(path)
    frame = frame_in(archive, record["basename"])
    assert (record["frameid"], record["filename"]) == (frame["id"], path.name)
    assert record["url"].startswith("http")
    [version] = record["version_set"]
    assert version == {name: frame["version_set"][0][name] for name in ("key", "md5", "extension")}
    stored = s3.client().get_object(Bucket=s3.bucket, Key=f"coj/fa12/20200101/raw/{path.name}")
    assert stored["Body"].read() == path.read_bytes()
    assert stored["VersionId"].replace("-", "") == version["key"]
    assert stored["StorageClass"] == "STANDARD_IA"


def test_the_four_steps_give_the_same_as_the_last_function(path: Path, tmp_path: Path, archive: ArchiveServer) -> None:
    together = ingest(path)
    (tmp_path / "fresh").mkdir()
    with running_archive(tmp_path / "fresh") as fresh, path.open("rb") as stream:
        assert frame_exists(stream, fresh.url, fresh.token) is False
        record = validate_fits_and_create_archive_record(stream)
        version = upload_file_to_s3(stream)
        step_by_step = ingest_archive_record(version, record, fresh.url, fresh.token)
        assert frame_exists(stream, fresh.url, fresh.token) is True
        frames = [frame_in(fresh, path.stem), frame_in(archive, path.stem)]
    own = ("frameid", "url", "version_set")
    assert step_by_step.keys() == together.keys()
    assert {name: step_by_step[name] for name in together if name not in own} == {
        name: together[name] for name in together if name not in own
    }
    versions = [each["version_set"][0] for each in (step_by_step, together)]
    assert versions[0]["key"] != versions[1]["key"], "each put makes a version"
    assert [each["md5"] for each in versions] == [hashlib.md5(path.read_bytes()).hexdigest()] * 2
    for frame in frames:
        for name in ("id", "url", "version_set"):
            del frame[name]
    assert frames[0] == frames[1]


def test_a_repeated_call_finds_that_nothing_is_wrong(path: Path, archive: ArchiveServer) -> None:
    ingest(path)
    with pytest.raises(NonFatalDoNotRetryError, match=hashlib.md5(path.read_bytes()).hexdigest()):
        ingest(path)
    assert len(frame_in(archive, path.stem)["version_set"]) == 1


def test_a_newer_reduction_is_a_new_version_of_its_frame(path: Path, archive: ArchiveServer) -> None:
    first = ingest(path)
    path.write_bytes(stream_of().getvalue())
    assert ingest(path)["frameid"] == first["frameid"]
    assert len(frame_in(archive, path.stem)["version_set"]) == 2


def test_the_same_bytes_under_another_name_are_archived_already(path: Path) -> None:
    ingest(path)
    copied = path.with_name(f"{new_basename()}.fits")
    copied.write_bytes(path.read_bytes())
    with pytest.raises(NonFatalDoNotRetryError):
        ingest(copied)


def test_a_package_is_ingested(tmp_path: Path, archive: ArchiveServer, s3: S3Server) -> None:
    name = f"LCO2020A-001_{new_basename()}_ftn.tar.gz"
    path = write_frame(tmp_path, name=name, content=package({"x-e91.fits": stream_of({"RLEVEL": ABSENT}).getvalue()}))
    record = ingest(path)
    assert (record["RLEVEL"], record["version_set"][0]["extension"]) == (90, ".tar.gz")
    stored = s3.client().head_object(Bucket=s3.bucket, Key=f"coj/fa12/20200101/processed/{name}")
    assert (stored["ContentLength"], stored["ContentType"]) == (path.stat().st_size, "application/x-tar")


def test_an_archived_frame_is_announced_on_the_processed_exchange(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROCESSED_EXCHANGE_NAME", "announced")
    with Connection("memory://localhost") as connection:
        queue = Queue("hears", Exchange("announced", type="fanout"))(connection.default_channel)
        queue.declare()
        record = ingest(path)
        message = queue.get(no_ack=True)
    assert message is not None
    assert json.loads(message.body) == record
    assert message.properties["message_id"] == record["version_set"][0]["md5"]


def test_announcing_can_be_turned_off(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTPROCESS_FILES", "False")
    monkeypatch.setenv("FITS_BROKER", f"amqp://127.0.0.1:{closed_port()}//")
    assert ingest(path)["frameid"]


def test_the_metrics_of_an_ingest_have_these_names(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with scripted(Answer(204, "")) as receiver:
        monkeypatch.setenv("OPENTSDB_HOSTNAME", "127.0.0.1")
        monkeypatch.setenv("OPENTSDB_PORT", receiver.url.rstrip("/").rpartition(":")[2])
        monkeypatch.setenv("INGESTER_PROCESS_NAME", "unit-test")
        ingest(path)
    metrics = [json.loads(asked.body) for asked in receiver.asked]
    assert [metric["metric"] for metric in metrics] == [
        "ingester.get_md5.runtime",
        "ingester.s3_upload_bytes_per_second",
        "ingester.upload_file.runtime",
        "ingester.post_frame.runtime",
        "ingester.ingest_lag",
        "ingester.runtime",
    ]
    assert {metric["tags"]["ingester_process_name"] for metric in metrics} == {"unit-test"}
    assert all(metric["value"] > 0 for metric in metrics)


# File objects


def test_a_file_object_is_left_open_and_where_it_stood(path: Path) -> None:
    with path.open("rb") as stream:
        stream.seek(77)
        upload_file_and_ingest_to_archive(stream)
        frame_exists(stream)
        validate_fits_and_create_archive_record(stream)
        upload_file_to_s3(stream)
        assert not stream.closed
        assert stream.tell() == 77
        assert len(stream.read()) == path.stat().st_size - 77


def test_a_file_object_is_left_open_after_an_error_too(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])
    with path.open("rb") as stream:
        stream.seek(5)
        with pytest.raises(RetryError):
            upload_file_and_ingest_to_archive(stream)
        assert stream.tell() == 5


def test_a_stream_in_memory_is_ingested_under_the_given_path(archive: ArchiveServer) -> None:
    basename = new_basename()
    record = upload_file_and_ingest_to_archive(stream_of(), path=Path("/data") / f"{basename}.fits")
    assert record["basename"] == basename
    assert frame_in(archive, basename)["filename"] == f"{basename}.fits"


def test_a_file_opened_for_writing_too_is_ingested(path: Path) -> None:
    with path.open("r+b") as stream:
        assert upload_file_and_ingest_to_archive(stream)["frameid"]


def test_without_a_name_nothing_is_sent(archive: ArchiveServer, s3: S3Server) -> None:
    for server in (archive, s3):
        server.clear_faults()
    for function in (upload_file_and_ingest_to_archive, validate_fits_and_create_archive_record, upload_file_to_s3):
        with pytest.raises(FileNameMissingError) as raised:
            function(stream_of())
        assert isinstance(raised.value, DoNotRetryError)
    assert [server.fault_state()["requests"] for server in (archive, s3)] == [0, 0]


def test_whether_a_stream_without_a_name_exists_can_be_asked() -> None:
    stream = stream_of()
    assert frame_exists(stream) is False
    upload_file_and_ingest_to_archive(stream, path=f"{new_basename()}.fits")
    assert frame_exists(stream) is True


def test_a_stream_that_changes_between_two_reads_is_not_stored(s3: S3Server) -> None:
    class Changing(io.BytesIO):
        """Its last byte changes once it was read to the end."""

        changed = False

        def read(self, size: int | None = -1) -> bytes:
            found = super().read(size)
            if not found and not self.changed:
                self.changed = True
                self.getbuffer()[-1] ^= 255
            return found

    name = f"{new_basename()}.fits"
    with pytest.raises(RetryError, match="BadDigest"):
        upload_file_and_ingest_to_archive(Changing(stream_of().getvalue()), path=name)
    assert "Versions" not in s3.client().list_object_versions(Bucket=s3.bucket, Prefix=f"coj/fa12/20200101/raw/{name}")


# Arguments


def test_an_argument_that_is_none_means_the_setting(path: Path) -> None:
    arguments = ("path", "required_headers", "blacklist_headers", "api_root", "auth_token", "bucket")
    with path.open("rb") as stream:
        assert upload_file_and_ingest_to_archive(stream, **dict.fromkeys(arguments))["frameid"]


def test_arguments_go_before_the_settings(path: Path, tmp_path: Path, s3: S3Server) -> None:
    (tmp_path / "other").mkdir()
    s3.client().create_bucket(Bucket="other")
    s3.client().put_bucket_versioning(Bucket="other", VersioningConfiguration={"Status": "Enabled"})
    with running_archive(tmp_path / "other", token="other-token") as other:
        record = ingest(path, api_root=other.url.rstrip("/"), auth_token="other-token", bucket="other")
        assert frame_in(other, path.stem)["id"] == record["frameid"]
    found = s3.client().list_object_versions(Bucket="other")["Versions"]
    assert [each["VersionId"].replace("-", "") for each in found] == [record["version_set"][0]["key"]]


def test_required_and_blacklisted_keywords_can_be_given() -> None:
    stream = stream_of({"BLKUID": ABSENT, "SECRET": "plan"})
    with pytest.raises(HeaderMissingError, match="BLKUID"):
        validate_fits_and_create_archive_record(stream, "a-e00.fits")
    with pytest.raises(HeaderMissingError, match="MOLUID"):
        validate_fits_and_create_archive_record(stream, "a-e00.fits", required_headers=["SITEID", "MOLUID"])
    record = validate_fits_and_create_archive_record(
        stream, "a-e00.fits", required_headers=("SITEID",), blacklist_headers=(each for each in ("SECRET", "TELID"))
    )
    assert not {"SECRET", "TELID"} & record.keys()
    assert "OBJECT" in record


def test_a_frame_whose_record_was_made_with_fewer_keywords_can_be_uploaded() -> None:
    stream = stream_of({"BLKUID": ABSENT, "PROPID": ABSENT})
    version = upload_file_to_s3(stream, f"{new_basename()}.fits")
    assert version["md5"] == hashlib.md5(stream.getvalue()).hexdigest()
    assert version["extension"] == ".fits"


def test_the_header_that_the_required_keywords_choose_says_where_a_frame_is_stored(s3: S3Server) -> None:
    name = f"{new_basename()}.fits"
    several = fits_bytes(
        fits.PrimaryHDU(header=header({"SITEID": "ogg", "OBJECT": name})),
        fits.ImageHDU(np.zeros((2, 2)), header({"MOLUID": 7})),
    )
    stream, chosen = io.BytesIO(several), ("SITEID", "MOLUID")
    with pytest.raises(HeaderMissingError, match="SPAM"):
        upload_file_to_s3(stream, name, required_headers=["SPAM"])
    with pytest.raises(HeaderValueError, match="INSTRUME"):
        upload_file_to_s3(stream, name, required_headers=chosen, blacklist_headers="INSTRUME")
    version = upload_file_to_s3(stream, name, required_headers=chosen)
    there = s3.client().head_object(Bucket=s3.bucket, Key=f"coj/fa12/20200101/raw/{name}")
    assert there["VersionId"] == version["key"]


def test_a_frame_that_has_no_place_in_the_bucket_cannot_be_uploaded() -> None:
    with pytest.raises(HeaderMissingError, match="SITEID"):
        upload_file_to_s3(stream_of({"SITEID": ABSENT}), "a-e00.fits")


def test_validating_sends_nothing(archive: ArchiveServer, s3: S3Server, path: Path) -> None:
    for server in (archive, s3):
        server.clear_faults()
    with path.open("rb") as stream:
        record = validate_fits_and_create_archive_record(stream)
    assert "version_set" not in record
    assert [server.fault_state()["requests"] for server in (archive, s3)] == [0, 0]


def test_posting_leaves_its_arguments_as_they_are(path: Path) -> None:
    with path.open("rb") as stream:
        record = validate_fits_and_create_archive_record(stream)
        version = upload_file_to_s3(stream)
    before = copy.deepcopy((version, record))
    answer = ingest_archive_record(version, record)
    assert (version, record) == before
    assert answer.items() >= record.items()
    with pytest.raises(NonFatalDoNotRetryError, match=record["basename"]):
        ingest_archive_record(version, record)


def test_a_record_without_a_date_of_observation_is_not_posted(archive: ArchiveServer) -> None:
    archive.clear_faults()
    with pytest.raises(DoNotRetryError, match="DATE-OBS"):
        ingest_archive_record(VERSION, {"basename": new_basename(), "area": None, "DAY-OBS": "20200101"})
    assert archive.fault_state()["requests"] == 0


# Troubles


def test_a_post_that_failed_after_it_committed_is_a_success(
    path: Path, archive: ArchiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with committing_and_failing(archive.url) as url:
        record = ingest(path, api_root=url)
    assert record["frameid"] == frame_in(archive, path.stem)["id"]


def test_a_post_whose_answer_was_lost_can_be_tried_again(path: Path, archive: ArchiveServer) -> None:
    archive.faults(kind="drop_answer", method="POST", times=1)
    with pytest.raises(BackoffRetryError):
        ingest(path)
    with pytest.raises(NonFatalDoNotRetryError):
        ingest(path)
    assert len(frame_in(archive, path.stem)["version_set"]) == 1


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_retries_succeed_despite_flaky_services(path: Path, archive: ArchiveServer, s3: S3Server, seed: int) -> None:
    for server in (archive, s3):
        server.faults(kind="error", status=503, rate=0.5, seed=seed)
    for _ in range(50):
        try:
            ingest(path)
        except BackoffRetryError:
            continue
        except NonFatalDoNotRetryError:
            pass
        break
    for server in (archive, s3):
        server.clear_faults()
    assert len(frame_in(archive, path.stem)["version_set"]) == 1


@pytest.mark.parametrize(
    ("changes", "content", "policy", "reason"),
    [
        ({"BLKUID": ABSENT}, None, DoNotRetryError, "HEADER_MISSING"),
        ({"DATE-OBS": "yesterday"}, None, DoNotRetryError, "HEADER_VALUE"),
        ({"SITEID": ""}, None, DoNotRetryError, "HEADER_VALUE"),
        ({"TELID": "too long"}, None, DoNotRetryError, "HEADER_VALUE"),
        ({"EXPTIME": "30,5"}, None, DoNotRetryError, "HEADER_VALUE"),
        ({"SITEID": "../x"}, None, DoNotRetryError, "HEADER_VALUE"),
        ({}, b"no FITS at all", DoNotRetryError, "NOT_FITS"),
        ({}, b"", RetryError, "FILE_EMPTY"),
        ({}, image(pixels=60)[:-2880], RetryError, "FITS_TRUNCATED"),
    ],
)
def test_a_bad_frame_is_an_error_of_its_kind(
    tmp_path: Path, changes: Cards, content: bytes | None, policy: type[IngesterError], reason: str
) -> None:
    path = write_frame(tmp_path, changes, content=content)
    with pytest.raises(policy) as raised:
        ingest(path)
    assert raised.value.reason == reason
    assert path.stem in str(raised.value)


@pytest.mark.parametrize(("name", "reason"), [("a.tar.gz", "PACKAGE_DAMAGED"), ("b.tar.gz", "PACKAGE_NO_FRAME")])
def test_a_bad_package_is_an_error_of_its_kind(tmp_path: Path, name: str, reason: str) -> None:
    content = package({"README": b"words"}) if name == "b.tar.gz" else header().tostring().encode()
    with pytest.raises(DoNotRetryError) as raised:
        ingest(write_frame(tmp_path, name=name, content=content))
    assert raised.value.reason == reason


@pytest.mark.parametrize(
    ("arguments", "variables", "policy", "reason"),
    [
        ({"auth_token": "wrong"}, {}, DoNotRetryError, "ARCHIVE_DEPLOYMENT"),
        ({"bucket": "nowhere"}, {}, DoNotRetryError, "STORE_DEPLOYMENT"),
        ({"api_root": "archive.example"}, {}, DoNotRetryError, "SETTINGS_WRONG"),
        ({"api_root": "http://127.0.0.1:{closed}/"}, {}, BackoffRetryError, "ARCHIVE_UNAVAILABLE"),
        ({}, {"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:{closed}/"}, BackoffRetryError, "STORE_UNAVAILABLE"),
        ({}, {"FITS_BROKER": "amqp://u:p@127.0.0.1:{closed}//"}, BackoffRetryError, "BROKER_UNAVAILABLE"),
        ({}, {"FITS_BROKER": "nonsense://u:p@127.0.0.1//"}, DoNotRetryError, "SETTINGS_WRONG"),
    ],
)
def test_a_failing_service_is_an_error_of_its_kind(
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: dict[str, str],
    variables: dict[str, str],
    policy: type[IngesterError],
    reason: str,
) -> None:
    closed = str(closed_port())
    for name, value in variables.items():
        monkeypatch.setenv(name, value.format(closed=closed))
    with pytest.raises(policy) as raised:
        ingest(path, **{name: value.format(closed=closed) for name, value in arguments.items()})
    assert raised.value.reason == reason


def test_a_silent_archive_is_given_up_after_api_timeout(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_TIMEOUT", "0.1")
    with silent_port() as port, pytest.raises(exceptions.ArchiveUnavailableError):
        ingest(path, api_root=f"http://127.0.0.1:{port}/")


def test_the_token_is_in_no_error(path: Path) -> None:
    for arguments in ({"auth_token": "hush-hush"}, {"auth_token": "hush-hush\n"}, {"auth_token": "hush…"}):
        with pytest.raises(DoNotRetryError) as raised:
            ingest(path, **arguments)
        assert "hush" not in f"{raised.value} {raised.value.__cause__}"
