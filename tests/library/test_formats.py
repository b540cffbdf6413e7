"""The nested format from the library to the archive and the announcement; and the wrong format at either archive."""

import json
from pathlib import Path

import pytest
from kombu import Connection, Exchange, Queue

from lco_ingester.exceptions import ArchiveDeploymentError, NonFatalDoNotRetryError
from lco_ingester.ingester import (
    frame_exists,
    ingest_archive_record,
    upload_file_and_ingest_to_archive,
    upload_file_to_s3,
    validate_fits_and_create_archive_record,
)
from tests.support.servers import ArchiveServer, S3Server
from tests.support.synthetic import write_frame


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_frame(tmp_path, {"OBSTYPE": "UNKNOWN", "TRACKNUM": "NONE", "FILTER": "N/A"})


@pytest.mark.usefixtures("ocs_external_services")
def test_a_frame_is_stored_archived_and_announced(
    path: Path, ocs_archive: ArchiveServer, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROCESSED_EXCHANGE_NAME", "announced_ocs")
    with Connection("memory://localhost") as connection, path.open("rb") as stream:
        queue = Queue("hears_ocs", Exchange("announced_ocs", type="fanout"))(connection.default_channel)
        queue.declare()
        record = upload_file_and_ingest_to_archive(stream)
        message = json.loads(queue.get(no_ack=True).body)
    [frame] = [frame for frame in ocs_archive.frames() if frame["basename"] == path.stem]
    assert (frame["id"], frame["configuration_type"], frame["site_id"]) == (record["frameid"], "EXPOSE", "coj")
    assert (record["headers"]["TRACKNUM"], record["primary_optical_element"]) == (None, "")
    assert record["version_set"][0].items() <= frame["version_set"][0].items()
    assert s3.client().head_object(Bucket=s3.bucket, Key=f"coj/fa12/20200101/raw/{path.name}")
    assert message == {
        **record["headers"],
        **{name: record[name] for name in ("basename", "area", "version_set", "frameid", "filename", "url")},
    }


@pytest.mark.usefixtures("ocs_external_services")
def test_the_steps_one_by_one_and_a_repeat(path: Path) -> None:
    with path.open("rb") as stream:
        record = validate_fits_and_create_archive_record(stream)
        assert record["headers"]["OBSTYPE"] == "EXPOSE"
        archived = ingest_archive_record(upload_file_to_s3(stream), record)
        assert {name: archived[name] for name in record} == record
        assert frame_exists(stream)
        with pytest.raises(NonFatalDoNotRetryError):
            upload_file_and_ingest_to_archive(stream)


@pytest.mark.usefixtures("ocs_external_services")
@pytest.mark.parametrize("form", ["lco", "ocs"])
def test_records_of_the_wrong_format_are_a_trouble_of_the_deployment_that_names_the_setting(
    path: Path, form: str, archive: ArchiveServer, ocs_archive: ArchiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARCHIVE_RECORD_FORMAT", form)
    wrong, right = (ocs_archive, "ocs") if form == "lco" else (archive, "lco")
    with path.open("rb") as stream, pytest.raises(ArchiveDeploymentError) as raised:
        upload_file_and_ingest_to_archive(stream, api_root=wrong.url, auth_token=wrong.token)
    assert f"ARCHIVE_RECORD_FORMAT={right}" in raised.value.hint
