"""The four steps and the duplicate rule, against a running archive and store (docs/design.md)."""

import hashlib
import io
import os
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from lco_ingester import steps
from lco_ingester.archive import Archive, Posted
from lco_ingester.exceptions import (
    ArchivedElsewhereError,
    ArchiveFailedError,
    BrokerUnavailableError,
    FileChangedError,
    FileMissingError,
    FileNameUnusableError,
    HeaderValueError,
    IngesterError,
    PackageMemberDamagedError,
    StoreDeploymentError,
    SupersededError,
    TruncatedFrameError,
)
from lco_ingester.file.datafile import PathFile, StreamFile
from lco_ingester.frame import Archived, InArchive, Uploaded, Validated
from lco_ingester.metrics import Metrics
from lco_ingester.publisher import Publisher
from lco_ingester.services import Services
from lco_ingester.steps import ArchivedByOther, version_key
from lco_ingester.store import open_store
from tests.support.scripted import Answer, Scripted, closed_port, committing_and_failing, scripted
from tests.support.servers import ArchiveServer, S3Server, running_archive
from tests.support.synthetic import ABSENT, checks, image, package, record_of_file, rules, write_frame

NOW = datetime.fromisoformat("2020-01-03")
UUID = "2ffa10c5-a97e-4bc7-b202-9b456c0977cf"


def read(path: Path) -> Validated:
    return steps.read_frame(PathFile(str(path)), rules(), checks(), Metrics.off())


def upload(validated: Validated, services: Services, may_have_run: bool = False) -> Uploaded:
    file = PathFile(validated.path)
    return steps.upload(validated, file, services.store, services.metrics, NOW, may_have_run, "STANDARD_IA")


def post(uploaded: Uploaded, services: Services, one_try: bool = False) -> Archived | InArchive:
    return steps.post(uploaded, PathFile(uploaded.validated.path), services, NOW, one_try=one_try)


def uploaded_frame(directory: Path, services: Services) -> Uploaded:
    return upload(read(write_frame(directory)), services)


def key_of(validated: Validated) -> str:
    return steps.stored_object(validated, NOW).key


def versions(s3: S3Server, validated: Validated) -> list[str]:
    """The VersionIds of the frame's key, the newest first."""
    found = s3.client().list_object_versions(Bucket=s3.bucket, Prefix=key_of(validated))
    return [each["VersionId"] for each in found.get("Versions", [])]


def rewrite_unnoticed(path: Path) -> None:
    """Change bytes of the file and leave size, time and inode as they were."""
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[-2880] ^= 255
    with path.open("r+b") as stream:
        stream.write(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


# Reading


def test_reading_a_frame_gives_all_that_is_to_be_known_of_it(tmp_path: Path) -> None:
    content = image({"OBJECT": "M 83"}, 8)
    path = write_frame(tmp_path, name="a-e00.fits", content=content)
    validated = read(path)
    assert (validated.path, validated.basename, validated.extension) == (str(path), "a-e00", ".fits")
    assert validated.fingerprint == PathFile(str(path)).fingerprint()
    assert validated.md5 == hashlib.md5(content).hexdigest()
    assert validated.record == record_of_file(content, "a-e00")


@pytest.mark.parametrize("extension", [".tar.gz", ".tar"])
def test_a_package_is_described_by_the_frame_inside_and_is_itself_what_is_stored(
    tmp_path: Path, extension: str
) -> None:
    content = package({"x/README": b"words", "x/a-e91.fits": image()}, "w:gz" if extension == ".tar.gz" else "w")
    validated = read(write_frame(tmp_path, name=f"LCO_1_ftn{extension}", content=content))
    assert (validated.basename, validated.extension) == ("LCO_1_ftn", extension)
    assert validated.fingerprint.size == len(content)
    assert validated.record["SITEID"] == "coj"


def test_a_stream_that_grows_while_it_is_read_is_not_ready() -> None:
    class Growing(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            at, end = self.tell(), len(self.getvalue())
            if end == 2880:
                self.seek(end)
                self.write(b"more")
                self.seek(at)
            return super().read(size)

    with pytest.raises(FileChangedError):
        steps.read_frame(StreamFile(Growing(image()), "a-e00.fits"), rules(), checks(), Metrics.off())


def test_validating_asks_whether_the_archive_has_the_bytes(tmp_path: Path, services: Services) -> None:
    file = PathFile(str(write_frame(tmp_path)))
    validated = steps.validate(file, rules(), checks(), services)
    assert isinstance(validated, Validated)
    post(upload(validated, services), services)
    assert steps.validate(file, rules(), checks(), services) == InArchive(validated, None)


# Uploading


def test_an_upload_puts_the_bytes_and_returns_their_version(tmp_path: Path, services: Services, s3: S3Server) -> None:
    uploaded = uploaded_frame(tmp_path, services)
    assert versions(s3, uploaded.validated) == [uploaded.version_id]


def test_a_first_upload_does_not_ask_what_is_there(tmp_path: Path, services: Services, s3: S3Server) -> None:
    validated = read(write_frame(tmp_path))
    s3.clear_faults()
    upload(validated, services)
    assert s3.fault_state()["requests"] == 1


def test_an_upload_that_may_have_run_takes_the_version_that_is_there(
    tmp_path: Path, services: Services, s3: S3Server
) -> None:
    first = uploaded_frame(tmp_path, services)
    assert upload(first.validated, services, may_have_run=True) == first
    assert versions(s3, first.validated) == [first.version_id]


def test_an_upload_that_may_have_run_needs_no_file_any_more(tmp_path: Path, services: Services) -> None:
    first = uploaded_frame(tmp_path, services)
    Path(first.validated.path).unlink()
    assert upload(first.validated, services, may_have_run=True) == first


def test_an_upload_that_may_have_run_but_did_not_puts(tmp_path: Path, services: Services, s3: S3Server) -> None:
    validated = read(write_frame(tmp_path))
    uploaded = upload(validated, services, may_have_run=True)
    assert versions(s3, validated) == [uploaded.version_id]


def test_an_upload_that_may_have_run_puts_if_other_bytes_are_there(
    tmp_path: Path, services: Services, s3: S3Server
) -> None:
    first = uploaded_frame(tmp_path, services)
    Path(first.validated.path).write_bytes(image({"OBJECT": "newer"}, 8))
    newer = upload(read(Path(first.validated.path)), services, may_have_run=True)
    assert versions(s3, newer.validated) == [newer.version_id, first.version_id]


def test_a_file_that_changed_since_it_was_read_is_not_put(tmp_path: Path, services: Services, s3: S3Server) -> None:
    validated = read(write_frame(tmp_path))
    os.utime(validated.path, ns=(0, 0))
    with pytest.raises(FileChangedError, match="size, time or inode"):
        upload(validated, services)
    assert versions(s3, validated) == []


def test_bytes_that_changed_behind_our_back_are_refused_by_the_store(
    tmp_path: Path, services: Services, s3: S3Server
) -> None:
    path = write_frame(tmp_path)
    validated = read(path)
    rewrite_unnoticed(path)
    with pytest.raises(FileChangedError, match="BadDigest"):
        upload(validated, services)
    assert versions(s3, validated) == []


@pytest.fixture
def behind_a_proxy(services: Services) -> Iterator[tuple[Services, Scripted]]:
    """The services, with a store whose answers a test gives; at first those of a proxy that knows no such path."""
    with scripted(Answer(404, "404 page not found")) as server:
        store = open_store("frames", access_key_id="a", secret_access_key="b", region="r", endpoint_url=server.url)
        yield replace(services, store=store), server


def test_a_look_that_fails_for_the_deployment_leaves_the_answer_to_the_put(
    behind_a_proxy: tuple[Services, Scripted], tmp_path: Path
) -> None:
    """The look only saves a version, and a store may answer a HEAD like a proxy."""
    services, server = behind_a_proxy
    validated = read(write_frame(tmp_path))
    with pytest.raises(StoreDeploymentError, match="proxy"):
        upload(validated, services, may_have_run=True)
    server.tell(Answer(404), Answer(headers={"x-amz-version-id": "v1"}))
    assert upload(validated, services, may_have_run=True).version_id == "v1"
    assert [asked.method for asked in server.asked] == ["HEAD", "PUT"]


def test_a_proxy_cannot_say_that_no_newer_version_is_stored(
    behind_a_proxy: tuple[Services, Scripted], services: Services, tmp_path: Path
) -> None:
    uploaded = uploaded_frame(tmp_path, services)
    Path(uploaded.validated.path).unlink()
    with pytest.raises(StoreDeploymentError, match="proxy"):
        post(uploaded, behind_a_proxy[0])


def test_a_file_that_is_gone_before_its_upload_is_missing(tmp_path: Path, services: Services) -> None:
    validated = read(write_frame(tmp_path))
    Path(validated.path).unlink()
    with pytest.raises(FileMissingError):
        upload(validated, services)


def test_an_old_frame_is_stored_where_it_is_cheap(tmp_path: Path) -> None:
    validated = read(write_frame(tmp_path))
    assert steps.stored_object(validated, NOW).storage_class == "STANDARD"
    assert steps.stored_object(validated, datetime.fromisoformat("2020-06-01")).storage_class == "STANDARD_IA"


def test_a_frame_that_has_no_place_in_the_bucket_is_named_by_its_path(tmp_path: Path, services: Services) -> None:
    path = write_frame(tmp_path, {"SITEID": ""})
    with pytest.raises(HeaderValueError) as raised:
        upload(read(path), services)
    assert (raised.value.frame, raised.value.check) == (str(path), "SITEID")


# How errors and warnings name the file


@pytest.mark.parametrize(
    "content",
    [b"", b"no FITS", image()[:-1], image({"BLKUID": ABSENT}), image({"DATE-OBS": "soon"}), image({"DATASUM": "7"}, 8)],
    ids=["empty", "not FITS", "truncated", "without a keyword", "without a date", "checksum"],
)
def test_an_error_of_reading_names_the_file(tmp_path: Path, content: bytes) -> None:
    path = write_frame(tmp_path, content=content)
    with pytest.raises(IngesterError) as raised:
        read(path)
    assert raised.value.frame == str(path)


def test_an_error_of_a_member_names_the_package_and_quotes_the_member(tmp_path: Path) -> None:
    content = package({"a-e91.fits": image(), "b.fits": image({"DATASUM": "7"}, 8)})
    path = write_frame(tmp_path, name="night.tar.gz", content=content)
    with pytest.raises(PackageMemberDamagedError) as raised:
        read(path)
    assert (raised.value.frame, raised.value.check) == (str(path), "member b.fits")
    assert raised.value.found.startswith(f"{path}:b.fits: DATASUM of HDU 0: ")


def test_a_fault_of_the_package_names_the_package_alone(tmp_path: Path) -> None:
    content = package({"a-e91.fits": image(), "b.fits": image({}, 100)}, "w")
    path = write_frame(tmp_path, name="night.tar", content=content[:12000])
    with pytest.raises(TruncatedFrameError, match="a whole package") as raised:
        read(path)
    assert raised.value.frame == str(path)


def test_a_name_that_cannot_be_shown_is_escaped(tmp_path: Path) -> None:
    with pytest.raises(FileNameUnusableError) as raised:
        read(tmp_path / "a\nb.fits")
    assert raised.value.frame == f"{tmp_path}/a\\nb.fits"


def test_a_warning_names_the_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    wcs = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CD1_1": "x", "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": 1.0}
    path = write_frame(tmp_path, wcs, name="a.fits")
    path.write_bytes(path.read_bytes() + b"more")
    read(path)
    assert [message.partition(": expected")[0] for message in caplog.messages] == [
        f"check trailing, only a warning: {path}: end of file",
        "a.fits: no footprint: CD1_1 is 'x', not a number",
    ]


# Posting


def test_a_post_gives_the_record_with_frame_id_filename_and_url(
    tmp_path: Path, services: Services, archive: ArchiveServer
) -> None:
    uploaded = uploaded_frame(tmp_path, services)
    archived = post(uploaded, services)
    assert isinstance(archived, Archived)
    validated = uploaded.validated
    version = {"key": version_key(uploaded.version_id), "md5": validated.md5, "extension": ".fits"}
    handed_on = {name: archived.record[name] for name in ("frameid", "filename", "url")}
    assert archived.record == {**validated.record, "version_set": [version], **handed_on}
    assert handed_on["filename"] == f"{validated.basename}.fits"
    assert handed_on["frameid"] in [frame["id"] for frame in archive.frames()]


def test_a_post_that_is_refused_for_its_md5_finds_the_frame_in_the_archive(tmp_path: Path, services: Services) -> None:
    uploaded = uploaded_frame(tmp_path, services)
    post(uploaded, services)
    assert post(uploaded, services) == InArchive(uploaded.validated, uploaded.version_id)
    later = replace(uploaded, version_id=UUID)
    assert post(later, services) == InArchive(uploaded.validated, UUID)


def touch(path: Path) -> None:
    os.utime(path, ns=(0, 0))


def append(path: Path) -> None:
    with path.open("ab") as stream:
        stream.write(b"more")


def replace_file(path: Path) -> None:
    path.with_name("new").write_bytes(path.read_bytes())
    path.with_name("new").rename(path)


@pytest.mark.parametrize("change", [touch, append, replace_file])
def test_a_file_that_changed_after_its_upload_is_not_posted(
    tmp_path: Path, services: Services, archive: ArchiveServer, change: Callable[[Path], None]
) -> None:
    uploaded = uploaded_frame(tmp_path, services)
    change(Path(uploaded.validated.path))
    archive.clear_faults()
    with pytest.raises(FileChangedError):
        post(uploaded, services)
    assert archive.fault_state()["requests"] == 0


def gone(uploaded: Uploaded) -> None:
    Path(uploaded.validated.path).unlink()


def test_a_file_that_is_gone_is_posted_while_its_version_is_the_current_one(tmp_path: Path, services: Services) -> None:
    uploaded = uploaded_frame(tmp_path, services)
    gone(uploaded)
    assert isinstance(post(uploaded, services), Archived)


def test_a_file_that_is_gone_is_posted_if_its_key_holds_the_same_bytes(tmp_path: Path, services: Services) -> None:
    uploaded = uploaded_frame(tmp_path, services)
    upload(uploaded.validated, services)
    gone(uploaded)
    assert isinstance(post(uploaded, services), Archived)


def test_a_file_that_is_gone_is_posted_if_its_key_holds_nothing(
    tmp_path: Path, services: Services, s3: S3Server
) -> None:
    uploaded = uploaded_frame(tmp_path, services)
    s3.client().delete_object(Bucket=s3.bucket, Key=key_of(uploaded.validated), VersionId=uploaded.version_id)
    gone(uploaded)
    assert isinstance(post(uploaded, services), Archived)


def test_a_file_that_is_gone_and_replaced_by_a_newer_version_is_superseded(
    tmp_path: Path, services: Services, archive: ArchiveServer
) -> None:
    uploaded = uploaded_frame(tmp_path, services)
    Path(uploaded.validated.path).write_bytes(image({"OBJECT": "newer"}, 8))
    newer = upload(read(Path(uploaded.validated.path)), services)
    gone(uploaded)
    archive.clear_faults()
    with pytest.raises(SupersededError) as raised:
        post(uploaded, services)
    assert raised.value.found == newer.version_id
    assert archive.fault_state()["requests"] == 0


def with_archive(services: Services, url: str, archive: ArchiveServer) -> Services:
    return replace(services, archive=Archive(url, archive.token, 10.0))


def test_a_500_that_committed_is_a_success_with_one_try(
    tmp_path: Path, services: Services, archive: ArchiveServer
) -> None:
    uploaded = uploaded_frame(tmp_path, services)
    with committing_and_failing(archive.url) as url:
        archived = post(uploaded, with_archive(services, url, archive), one_try=True)
    assert isinstance(archived, Archived)
    assert archived.record["frameid"] in [frame["id"] for frame in archive.frames()]


def test_a_500_that_committed_is_found_out_by_the_next_try(
    tmp_path: Path, services: Services, archive: ArchiveServer
) -> None:
    uploaded = uploaded_frame(tmp_path, services)
    with committing_and_failing(archive.url) as url, pytest.raises(ArchiveFailedError):
        post(uploaded, with_archive(services, url, archive))
    found = post(uploaded, services)
    assert isinstance(found, InArchive)
    assert isinstance(steps.resolve_duplicate(found, services.archive, may_have_run=True), Archived)


@pytest.mark.parametrize("one_try", [True, False])
def test_a_500_that_did_not_commit_is_an_error(
    tmp_path: Path, services: Services, archive: ArchiveServer, one_try: bool
) -> None:
    uploaded = uploaded_frame(tmp_path, services)
    archive.faults(kind="error", status=500, method="POST", times=1)
    with pytest.raises(ArchiveFailedError):
        post(uploaded, services, one_try)
    assert isinstance(post(uploaded, services, one_try), Archived)


def test_a_500_whose_bytes_someone_else_archived_is_an_error(
    tmp_path: Path, services: Services, archive: ArchiveServer
) -> None:
    uploaded = uploaded_frame(tmp_path, services)
    post(replace(uploaded, version_id="someone-elses-version"), services)
    archive.faults(kind="error", status=500, method="POST")
    with pytest.raises(ArchiveFailedError):
        post(uploaded, services, one_try=True)


# The duplicate rule


@pytest.fixture
def archived(tmp_path: Path, services: Services) -> Uploaded:
    """A frame that is in the archive under this version."""
    uploaded = uploaded_frame(tmp_path, services)
    post(uploaded, services)
    return uploaded


@pytest.mark.parametrize("may_have_run", [True, False])
def test_the_version_in_our_hand_is_ours(archived: Uploaded, services: Services, may_have_run: bool) -> None:
    found = InArchive(archived.validated, archived.version_id)
    settled = steps.resolve_duplicate(found, services.archive, may_have_run)
    assert isinstance(settled, Archived)
    assert (settled.path, settled.md5) == (archived.validated.path, archived.validated.md5)
    assert settled.record["version_set"][0]["key"] == version_key(archived.version_id)
    assert {"frameid", "filename", "url"} <= settled.record.keys()


@pytest.mark.parametrize("in_hand", [None, UUID])
def test_what_may_have_been_ours_is_announced_with_the_archives_version(
    archived: Uploaded, services: Services, in_hand: str | None
) -> None:
    settled = steps.resolve_duplicate(InArchive(archived.validated, in_hand), services.archive, may_have_run=True)
    assert isinstance(settled, Archived)
    assert settled.record["version_set"] == steps.version_set(archived.version_id, archived.validated.md5, ".fits")


@pytest.mark.parametrize("in_hand", [None, UUID])
def test_what_a_first_delivery_finds_archived_is_someone_elses(
    archived: Uploaded, services: Services, in_hand: str | None
) -> None:
    settled = steps.resolve_duplicate(InArchive(archived.validated, in_hand), services.archive, may_have_run=False)
    assert isinstance(settled, ArchivedByOther)
    assert (settled.path, settled.md5) == (archived.validated.path, archived.validated.md5)
    assert settled.url.startswith("http")


@pytest.mark.parametrize("may_have_run", [True, False])
@pytest.mark.parametrize(
    ("change", "found"),
    [({"basename": "another-name"}, "no such frame"), ({"md5": "f" * 32}, "a frame with other md5s")],
)
def test_bytes_that_are_not_under_this_name_are_archived_elsewhere(
    archived: Uploaded, services: Services, may_have_run: bool, change: dict[str, Any], found: str
) -> None:
    other = InArchive(replace(archived.validated, **change), archived.version_id)
    with pytest.raises(ArchivedElsewhereError, match=found):
        steps.resolve_duplicate(other, services.archive, may_have_run)


@pytest.mark.parametrize("in_hand", ["the archive's", None, UUID])
def test_all_that_is_announced_is_of_the_archives_version(
    archived: Uploaded, services: Services, in_hand: str | None
) -> None:
    """Two names of equal bytes: each was uploaded, one was posted. Later another version became the newest."""
    post_newer_version(archived.validated, services)
    same_bytes = replace(archived.validated, path="/data/copy.fits.fz", extension=".fits.fz")
    version_id = archived.version_id if in_hand == "the archive's" else in_hand
    settled = steps.resolve_duplicate(InArchive(same_bytes, version_id), services.archive, may_have_run=True)
    assert isinstance(settled, Archived)
    assert settled.record["version_set"] == steps.version_set(archived.version_id, archived.validated.md5, ".fits")
    assert settled.record["filename"] == f"{archived.validated.basename}.fits"
    assert f"{archived.validated.basename}.fits?" in settled.record["url"]
    there = services.archive.find_frame(archived.validated.basename)
    assert there is not None
    assert there["filename"].endswith(".fits.fz"), "the frame's newest version is another one"


def test_after_a_500_the_frames_own_version_is_returned(
    tmp_path: Path, services: Services, archive: ArchiveServer
) -> None:
    uploaded = uploaded_frame(tmp_path, services)
    post(uploaded, services)
    post_newer_version(uploaded.validated, services)
    archive.faults(kind="error", status=500, method="POST", times=1)
    settled = post(uploaded, services, one_try=True)
    assert isinstance(settled, Archived)
    assert settled.record["filename"] == f"{uploaded.validated.basename}.fits"
    assert settled.record["version_set"][0]["key"] == version_key(uploaded.version_id)


def test_of_several_versions_with_this_md5_ours_is_announced(archived: Uploaded, services: Services) -> None:
    ours = version_key(archived.version_id)
    md5 = archived.validated.md5
    versions = [{"key": key, "md5": md5, "extension": f".{key[:3]}"} for key in ("another", ours)]
    row = {"id": 7, "basename": archived.validated.basename, "version_set": versions, "url": "http://newest/"}
    with scripted(Answer(200, {"results": [row]})) as server:
        api = Archive(server.url, "", 10.0)
        settled = steps.resolve_duplicate(InArchive(archived.validated, archived.version_id), api, may_have_run=False)
    assert isinstance(settled, Archived)
    assert settled.record["version_set"] == [versions[1]]
    assert settled.record["url"] is None, "the link to another version"


def post_newer_version(validated: Validated, services: Services) -> None:
    """A newer version of the frame, from another file."""
    version = steps.version_set(uuid.uuid4().hex, uuid.uuid4().hex, ".fits.fz")
    assert isinstance(services.archive.post_frame({**validated.record, "version_set": version}), Posted)


def test_a_lagging_archive_is_to_be_asked_again(tmp_path: Path, services: Services) -> None:
    with running_archive(tmp_path, lag_seconds=1) as lagging:
        lagged = with_archive(services, lagging.url, lagging)
        uploaded = uploaded_frame(tmp_path, services)
        post(uploaded, lagged)
        with pytest.raises(ArchivedElsewhereError, match="no such frame"):
            steps.resolve_duplicate(InArchive(uploaded.validated, None), lagged.archive, may_have_run=True)


# Announcing


def test_without_a_publisher_nothing_is_announced() -> None:
    steps.republish(Archived("a-e00.fits", "md5", {"frameid": 7}), None)


def test_an_announcement_that_fails_says_that_the_frame_is_archived() -> None:
    publisher = Publisher(f"amqp://user:hush@127.0.0.1:{closed_port()}//", "archived_fits")
    with pytest.raises(BrokerUnavailableError, match="archived \\(id 7\\), but not announced") as raised:
        steps.republish(Archived("a-e00.fits", "md5", {"frameid": 7}), publisher)
    assert raised.value.frame == "a-e00.fits"


# Versions


@pytest.mark.parametrize(
    ("version_id", "key"),
    [
        (UUID, UUID.replace("-", "")),
        ("3/L4kqtJlcpXroDTDmJ-rmSpXd3dIbrH", "3/L4kqtJlcpXroDTDmJ-rmSpXd3dIbrH"),
        ("with-dashes-but-short", "with-dashes-but-short"),
        ("x" * 32, "x" * 32),
    ],
)
def test_a_version_id_loses_its_dashes_only_if_it_is_too_long(version_id: str, key: str) -> None:
    assert version_key(version_id) == key
