"""Errors of the operating system: a short list blames the file, all others wait. What a path leads to may change."""

import errno
import gzip
import hashlib
import io
import os
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from lco_ingester import steps
from lco_ingester.exceptions import (
    EmptyFileError,
    FailureKind,
    FileChangedError,
    FileMissingError,
    FileOutsideDataRootsError,
    FileSystemUnavailableError,
    FileUnreadableError,
    GzipDamagedError,
    IngesterError,
    OutOfResourcesError,
    SettingsError,
    TruncatedFrameError,
)
from lco_ingester.file import datafile
from lco_ingester.file.datafile import ExactReader, PathFile, StreamFile
from lco_ingester.file.stream import CHUNK, HashingReader, md5_of_stream
from lco_ingester.frame import Fingerprint, Validated
from lco_ingester.metrics import Metrics
from lco_ingester.multipart import MIN_PART
from lco_ingester.record.stored_object import StoredObject
from lco_ingester.store import Store, open_store
from tests.support.servers import S3Server
from tests.support.synthetic import checks, image, package, rules

OF_THE_FILE = ("EACCES", "EPERM", "EISDIR", "ELOOP", "ENAMETOOLONG", "ENOTDIR", "ESPIPE")
OF_THE_PROCESS = ("EMFILE", "ENFILE", "ENOMEM", "ENOBUFS")
UNKNOWN = (4711, -1)
"""Numbers that no system knows today."""
CODES = [*sorted(errno.errorcode), *UNKNOWN]
CONTENT = image()


def named(code: int) -> str:
    return errno.errorcode.get(code, str(code))


def kind_of(code: int) -> FailureKind:
    """What the issue of each error is: the whole rule, once more."""
    if named(code) in OF_THE_FILE:
        return FailureKind.FRAME
    return FailureKind.SERVER if named(code) in OF_THE_PROCESS else FailureKind.FILE_NOT_READY


def wrong_kinds(raised: Callable[[int], IngesterError]) -> dict[str, str]:
    """The codes whose error, made by `raised`, is not of the kind that it should be."""
    found = {code: raised(code) for code in CODES}
    return {named(code): str(error) for code, error in found.items() if error.failure_kind != kind_of(code)}


class _Failing(io.RawIOBase):
    """A disk that fails: `method` raises after `good` bytes."""

    def __init__(self, error: BaseException | None, method: str, good: int, content: bytes) -> None:
        super().__init__()
        self._error = error
        self._method = method
        self._good = good
        self._inside = io.BytesIO(content)

    def _maybe_fail(self, method: str) -> None:
        if method == self._method and self._error is not None and self._inside.tell() >= self._good:
            raise self._error

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        self._maybe_fail("tell")
        return self._inside.tell()

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._maybe_fail("seek")
        return self._inside.seek(offset, whence)

    def read(self, size: int = -1) -> Any:
        self._maybe_fail("read")
        if self._method == "none":
            return None
        return self._inside.read(min(size, 2880) if size > 0 else size)


def failing(error: BaseException | None, method: str = "read", good: int = 0, content: bytes = CONTENT) -> Any:
    return _Failing(error, method, good, content)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "root" / "a-e00.fits"
    made.parent.mkdir()
    made.write_bytes(CONTENT)
    return made


def fails_at(monkeypatch: pytest.MonkeyPatch, function: str, path: Path, error: BaseException) -> None:
    """os.<function> raises for this path, or for a descriptor of it."""
    real, readlink = getattr(os, function), os.readlink

    def failing(what: Any, *arguments: Any, **options: Any) -> Any:
        if (readlink(f"/proc/self/fd/{what}") if isinstance(what, int) else what) == str(path):
            raise error
        return real(what, *arguments, **options)

    monkeypatch.setattr(os, function, failing)


def read(file: PathFile | StreamFile) -> Validated:
    return steps.read_frame(file, rules(), checks(), Metrics.off())


def content_of(file: PathFile | StreamFile) -> bytes:
    with file.opened() as stream:
        return stream.read()


def raised_by(call: Callable[[], Any]) -> IngesterError:
    with pytest.raises(IngesterError) as raised:
        call()
    return raised.value


# Each code, at each place


@pytest.mark.parametrize("function", ["open", "fstat"])
@pytest.mark.parametrize("with_roots", [True, False])
def test_a_code_while_a_file_is_opened_blames_the_file_only_if_it_is_on_the_list(
    path: Path, monkeypatch: pytest.MonkeyPatch, function: str, with_roots: bool
) -> None:
    file = PathFile(str(path), (str(path.parent),) if with_roots else ())

    def opened(code: int) -> IngesterError:
        with monkeypatch.context() as patch:
            fails_at(patch, function, path, OSError(code, "?"))
            error = raised_by(lambda: read(file))
        assert error.frame == str(path)
        assert (error.reason == "FILE_MISSING") == (function == "open" and code == errno.ENOENT)
        return error

    assert wrong_kinds(opened) == {}


def test_a_code_of_a_look_at_a_file_means_the_same(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def looked(code: int) -> IngesterError:
        with monkeypatch.context() as patch:
            fails_at(patch, "open", path, OSError(code, "?"))
            if code in (errno.ENOENT, errno.ENOTDIR):  # for a frame in the archive such a file is gone
                assert PathFile(str(path)).fingerprint() is None
                return FileUnreadableError() if code == errno.ENOTDIR else FileMissingError()
            return raised_by(PathFile(str(path)).fingerprint)

    assert wrong_kinds(looked) == {}


@pytest.mark.parametrize("method", ["read", "seek", "tell"])
def test_a_code_of_a_callers_stream_means_the_same(method: str) -> None:
    def used(code: int) -> IngesterError:
        return raised_by(lambda: read(StreamFile(failing(OSError(code, "?"), method), "a-e00.fits")))

    assert wrong_kinds(used) == {}


@pytest.mark.parametrize("good", [1, len(CONTENT) // 2, len(CONTENT)])
def test_a_disk_that_fails_at_any_byte_waits(good: int) -> None:
    def failed(code: int) -> IngesterError:
        return raised_by(lambda: read(StreamFile(failing(OSError(code, "?"), "read", good), "a-e00.fits")))

    assert wrong_kinds(failed) == {}


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), OutOfResourcesError),
        (OSError("no number"), FileSystemUnavailableError),
        (OSError(), FileSystemUnavailableError),
        (io.UnsupportedOperation("not readable"), FileUnreadableError),
        (ValueError("I/O operation on closed file"), FileUnreadableError),
        (gzip.BadGzipFile("CRC check failed"), GzipDamagedError),
        (zlib.error("invalid block"), GzipDamagedError),
        (EOFError("end-of-stream marker"), TruncatedFrameError),
        (TimeoutError("no number"), FileSystemUnavailableError),
        (ConnectionResetError("no number"), FileSystemUnavailableError),
    ],
    ids=lambda each: getattr(each, "__name__", repr(each)),
)
def test_other_errors_of_a_stream_become_ours_too(error: Exception, expected: type[IngesterError]) -> None:
    assert type(raised_by(lambda: md5_of_stream(failing(error)))) is expected
    assert type(raised_by(lambda: read(StreamFile(failing(error), "a-e00.fits")))) is expected


def test_a_stream_that_does_not_block_and_has_no_bytes_yet_is_not_at_its_end() -> None:
    assert isinstance(raised_by(lambda: read(StreamFile(failing(None, "none"), "a.fits"))), FileSystemUnavailableError)
    assert isinstance(raised_by(lambda: ExactReader(failing(None, "none"), 5).read()), FileSystemUnavailableError)


@pytest.mark.parametrize("name", ["x.tar", "x-e91.fits.gz"])
@pytest.mark.parametrize("code", [errno.ESTALE, errno.EMFILE, errno.EACCES], ids=named)
def test_a_disk_that_fails_within_a_package_or_gzip_is_not_a_fault_of_its_content(name: str, code: int) -> None:
    content = package({"a-e91.fits": image()}, "w") if name.endswith("tar") else gzip.compress(os.urandom(9000))
    disk = failing(OSError(code, "?"), "read", 1024, content)
    assert raised_by(lambda: read(StreamFile(disk, name))).failure_kind == kind_of(code)


def test_no_memory_for_any_step_is_not_the_frames_fault() -> None:
    with pytest.raises(OutOfResourcesError) as raised, steps.named("a.fits"):
        raise MemoryError
    assert (raised.value.frame, raised.value.failure_kind) == ("a.fits", FailureKind.SERVER)
    with pytest.raises(OutOfResourcesError), steps.named("a.fits"):
        raise OSError(errno.EMFILE, "Too many open files")
    with pytest.raises(OSError), steps.named("a.fits"):  # noqa: PT011  # of whom it is, its step must say
        raise OSError(errno.EACCES, "a certificate")


# While the bytes are sent to S3


def store_at(s3: S3Server, **options: Any) -> Store:
    credentials: dict[str, Any] = {"access_key_id": "demo", "secret_access_key": "demo-secret", "region": "us-east-1"}
    return open_store(s3.bucket, endpoint_url=s3.url, **credentials, **options)


@pytest.mark.parametrize("code", [errno.EIO, errno.EPIPE, errno.EMFILE], ids=named)
@pytest.mark.parametrize("in_parts", [True, False])
@pytest.mark.parametrize("good", [0, MIN_PART + 1])
def test_a_disk_that_fails_while_bytes_are_sent_is_not_a_fault_of_s3(
    s3: S3Server, code: int, in_parts: bool, good: int
) -> None:
    store = store_at(s3, **({"max_put": MIN_PART} if in_parts else {}))
    content = bytes(MIN_PART + 5000)
    disk = failing(OSError(code, "?"), "read", good, content)
    target = StoredObject("coj/a.fits", "image/fits", "attachment; filename=a.fits", "STANDARD")
    md5 = hashlib.md5(content).hexdigest()
    error = raised_by(lambda: store.put(ExactReader(disk, len(content)), len(content), md5, target))
    assert error.reason == ("OUT_OF_RESOURCES" if code == errno.EMFILE else "FILE_SYSTEM_UNAVAILABLE")
    assert store.current_version("coj/a.fits") is None
    assert not s3.client().list_multipart_uploads(Bucket=s3.bucket).get("Uploads")


# Real files that are not what they seem


@pytest.mark.skipif(not os.path.exists("/proc/self/mem"), reason="needs Linux's /proc")
class TestProc:
    """Files of /proc are regular, and have no size."""

    def test_a_real_eio_waits(self) -> None:
        with pytest.raises(FileSystemUnavailableError, match=r"Input/output error \(EIO\)"):
            content_of_hashed("/proc/self/mem")

    @pytest.mark.parametrize("name", ["environ", "cmdline", "smaps"])
    def test_nothing_is_quoted_of_a_file_that_has_more_than_its_size(self, name: str) -> None:
        error = raised_by(lambda: read(PathFile(f"/proc/self/{name}")))
        assert isinstance(error, EmptyFileError)
        assert "PATH" not in str(error)
        with pytest.raises(FileChangedError, match="found more"), PathFile(f"/proc/self/{name}").opened() as stream:
            HashingReader(stream, 0).finish()

    @pytest.mark.timeout(10)
    def test_a_pipe_at_dev_stdin_is_refused_and_a_file_is_read(self, path: Path) -> None:
        reading, writing = os.pipe()
        try:
            with pytest.raises(FileUnreadableError, match="regular file"):
                content_of(PathFile(f"/proc/self/fd/{reading}"))
        finally:
            os.close(reading)
            os.close(writing)
        with path.open("rb") as stream:
            link = f"/proc/self/fd/{stream.fileno()}"
            assert content_of(PathFile(link, (str(path.parent),))) == CONTENT
            with pytest.raises(FileOutsideDataRootsError):
                content_of(PathFile(link, ("/some/root",)))


def content_of_hashed(path: str) -> None:
    with PathFile(path).opened() as stream:
        md5_of_stream(stream)


@pytest.mark.parametrize("device", ["/dev/null", "/dev/zero", "/dev/tty", "/dev/ptmx"])
@pytest.mark.timeout(10)
def test_a_device_is_refused(device: str) -> None:
    for call in (PathFile(device).fingerprint, lambda: content_of(PathFile(device))):
        assert raised_by(call).reason in ("FILE_UNREADABLE", "FILE_MISSING", "FILE_SYSTEM_UNAVAILABLE")


def test_a_socket_is_refused(tmp_path: Path) -> None:
    import socket

    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s.fits"))
        with pytest.raises(FileUnreadableError, match="regular file"):
            content_of(PathFile(str(tmp_path / "s.fits")))


def test_a_stream_without_end_is_read_to_the_size_that_it_says() -> None:
    class Endless(io.BytesIO):
        given = 0

        def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
            return 0

        def tell(self) -> int:
            return len(CONTENT)

        def read(self, size: int | None = -1, /) -> bytes:
            Endless.given += size or 0
            return CONTENT[:10] + b" " * ((size or 0) - 10)

    with pytest.raises(TruncatedFrameError):
        read(StreamFile(Endless(), "a-e00.fits"))
    assert Endless.given < 4 * CHUNK


def test_a_stream_of_a_file_has_its_name_and_blocks(path: Path) -> None:
    with PathFile(str(path)).opened() as stream:
        assert stream.name == str(path)
        assert os.get_blocking(stream.fileno())
        assert not os.get_inheritable(stream.fileno())


@pytest.mark.parametrize("code", [errno.EIO, errno.ESTALE, errno.EINTR, errno.EDQUOT])
def test_an_error_of_closing_a_file_that_was_only_read_changes_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    file = PathFile(str(path))
    with file.opened() as stream:
        assert stream.read() == path.read_bytes()
        os.close(stream.fileno())  # so that closing the stream fails: EBADF
    close = os.close

    def failing(descriptor: int) -> None:
        close(descriptor)
        raise OSError(code, os.strerror(code))

    expected = file.fingerprint()
    with monkeypatch.context() as patch:
        patch.setattr(os, "close", failing)
        assert file.fingerprint() == expected


def test_no_descriptor_is_left_open(path: Path, tmp_path: Path) -> None:
    def count() -> int:
        return len(os.listdir("/proc/self/fd"))

    (tmp_path / "secret").write_bytes(CONTENT)
    before = count()
    for each in (path, path.parent, tmp_path / "gone", tmp_path / "secret"):
        for call in (PathFile(str(each), (str(path.parent),)).fingerprint, lambda e=each: content_of(PathFile(str(e)))):
            with suppress(IngesterError):
                call()
    assert count() == before


# Data roots


def test_a_file_that_is_replaced_after_it_was_opened_is_read_as_it_was(path: Path) -> None:
    file = PathFile(str(path), (str(path.parent),))
    other = path.with_name("other")
    other.write_bytes(b"others")
    with file.opened() as stream:
        before = file.fingerprint()
        other.rename(path)
        assert stream.read() == CONTENT
        assert file.fingerprint_of(stream) == before != file.fingerprint()


def test_a_fingerprint_tells_only_of_files_below_the_roots(path: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.fits").write_bytes(CONTENT)
    link = path.with_name("link.fits")
    link.symlink_to(tmp_path / "secret.fits")
    for name in (link, tmp_path / "secret.fits", f"{path.parent}/../secret.fits", "/etc/hostname"):
        with pytest.raises(FileOutsideDataRootsError):
            PathFile(str(name), (str(path.parent),)).fingerprint()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_outside_the_roots_that_cannot_be_read_is_outside(path: Path) -> None:
    with pytest.raises(FileOutsideDataRootsError):
        content_of(PathFile("/root/a.fits", (str(path.parent),)))


@pytest.mark.parametrize("code", [errno.ESTALE, errno.EIO, errno.EACCES, 4711], ids=named)
def test_a_root_that_cannot_be_resolved_now_puts_no_file_outside(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    (tmp_path / "link").symlink_to(path.parent)
    file = PathFile(str(path), (str(tmp_path / "link"),))
    assert content_of(file) == CONTENT
    fails_at(monkeypatch, "lstat", tmp_path / "link", OSError(code, "?"))
    for call in (file.fingerprint, lambda: content_of(file)):
        assert isinstance(raised_by(call), FileSystemUnavailableError)


@pytest.mark.parametrize("root", ["link", "link/deeper", "second link"])
def test_a_root_that_leads_to_a_place_that_is_not_mounted_puts_no_file_outside(tmp_path: Path, root: str) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "not mounted" / "data")
    (tmp_path / "second link").symlink_to("link")
    path = tmp_path / root / "night" / "a-e00.fits"
    file = PathFile(str(path), (str(tmp_path / root),))
    assert file.fingerprint() is None
    assert isinstance(raised_by(lambda: content_of(file)), FileMissingError)
    assert isinstance(
        raised_by(lambda: content_of(PathFile("/etc/no such file", (str(tmp_path / root),)))), FileOutsideDataRootsError
    )

    path.resolve().parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    assert content_of(file) == CONTENT


def test_a_root_that_does_not_exist_does_not_hide_the_next_one(path: Path) -> None:
    assert content_of(PathFile(str(path), ("/no/such/root", str(path.parent)))) == CONTENT


def test_without_proc_data_roots_are_a_fault_of_the_deployment(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.readlink

    def without_proc(name: Any, **options: Any) -> str:
        if str(name).startswith("/proc"):
            raise FileNotFoundError(errno.ENOENT, "?")
        return real(name, **options)

    monkeypatch.setattr(os, "readlink", without_proc)
    with pytest.raises(SettingsError, match="DATA_ROOTS needs /proc"):
        content_of(PathFile(str(path), (str(path.parent),)))
    assert content_of(PathFile(str(path))) == CONTENT


@pytest.fixture
def swapping(path: Path, tmp_path: Path) -> Iterator[Path]:
    """A name in the root that is swapped without end: a file, links out of the root, a pipe, a directory, nothing."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.fits").write_bytes(b"SECRET" * 1000)
    name, ended = path.parent / "swapped.fits", threading.Event()

    def make(number: int) -> None:
        new = path.parent / f"new{number}"
        match number:
            case 0:
                os.link(path, new)
            case 1:
                new.symlink_to(outside / "secret.fits")
            case 2:
                os.mkfifo(new)
            case 3:
                new.symlink_to(outside)
            case _:
                new.symlink_to("/dev/zero")
        new.rename(name)

    def swap() -> None:
        while not ended.is_set():
            for number in (0, 1, 0, 2, 0, 3, 4):
                make(number)

    thread = threading.Thread(target=swap)
    thread.start()
    yield name
    ended.set()
    thread.join()


@pytest.mark.timeout(60)
@pytest.mark.parametrize("in_folder", [False, True], ids=["file", "folder"])
def test_no_byte_from_outside_is_read_whatever_a_path_leads_to(swapping: Path, path: Path, in_folder: bool) -> None:
    name = swapping.parent / "swapped.fits" / "secret.fits" if in_folder else swapping
    inside = PathFile(str(path)).fingerprint()
    found: dict[object, int] = {}
    for _ in range(3000):
        file = PathFile(str(name), (str(path.parent),))
        for call in (lambda: content_of(file), file.fingerprint):  # noqa: B023
            try:
                result: object = call()
            except IngesterError as error:
                result = error.reason
            found[result] = found.get(result, 0) + 1
    reasons = {"OUTSIDE_DATA_ROOTS", "FILE_UNREADABLE", "FILE_MISSING", "FILE_SYSTEM_UNAVAILABLE"}
    assert found.keys() <= reasons | {CONTENT, inside, None}
    assert isinstance(inside, Fingerprint)
    if not in_folder:
        assert CONTENT in found, "else the test shows nothing"
    assert "OUTSIDE_DATA_ROOTS" in found


def test_a_missing_file_is_missing_and_datafile_asks_the_kernel_where_a_file_is(path: Path) -> None:
    with pytest.raises(FileMissingError):
        content_of(PathFile(f"{path}.gone", (str(path.parent),)))
    with path.open("rb") as stream:
        assert datafile.path_of_descriptor(stream.fileno()) == os.path.realpath(path)


@pytest.mark.parametrize("size", [1, 7, 100, len(CONTENT), -1])
def test_the_last_bytes_of_a_file_are_read_whatever_the_size_of_the_buffer(size: int) -> None:
    reader = HashingReader(io.BytesIO(CONTENT), len(CONTENT))
    assert b"".join(iter(lambda: reader.read(size), b"")) == CONTENT
    assert reader.finish() == (hashlib.md5(CONTENT).hexdigest(), len(CONTENT))
