"""Files and streams: their names, their fingerprints, and reading them."""

import io
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from lco_ingester.exceptions import (
    DoNotRetryError,
    FileChangedError,
    FileMissingError,
    FileNameMissingError,
    FileOutsideDataRootsError,
    FileUnreadableError,
    RetryError,
)
from lco_ingester.file.datafile import ExactReader, PathFile, StreamFile
from lco_ingester.file.stream import md5_of_stream
from lco_ingester.frame import Fingerprint

CONTENT = b"0123456789" * 1000


class OddStream:
    """As little of a stream as will do: no name, and a seek that does not say where it got to."""

    def __init__(self, content: bytes) -> None:
        self._inside = io.BytesIO(content)

    def read(self, size: int = -1) -> bytes:
        return self._inside.read(min(size, 7) if size > 0 else size)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> None:
        self._inside.seek(offset, whence)

    def tell(self) -> int:
        return self._inside.tell()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "a-e00.fits"
    made.write_bytes(CONTENT)
    return made


def content_of(file: PathFile | StreamFile) -> bytes:
    with file.opened() as stream:
        return stream.read()


# Streams


def test_an_open_file_has_the_name_it_was_opened_by(path: Path) -> None:
    with path.open("rb") as stream:
        assert StreamFile(stream).path == str(path)


def test_an_explicit_path_goes_before_the_streams_name(path: Path) -> None:
    with path.open("rb") as stream:
        assert StreamFile(stream, "b-e91.fits").path == "b-e91.fits"
        assert StreamFile(stream, Path("/data/c.fits")).path == "/data/c.fits"


def nameless_streams() -> list[Any]:
    number = tempfile.TemporaryFile()
    nothing, empty = io.BytesIO(), io.BytesIO()
    nothing.name, empty.name = None, ""
    return [io.BytesIO(), OddStream(b""), number, nothing, empty]


@pytest.mark.parametrize("stream", nameless_streams(), ids=lambda stream: type(stream).__name__)
def test_a_stream_without_a_name_needs_a_path(stream: Any) -> None:
    with pytest.raises(FileNameMissingError, match="path=") as raised:
        StreamFile(stream)
    assert isinstance(raised.value, DoNotRetryError)
    assert StreamFile(stream, "a.fits").path == "a.fits"


@pytest.mark.parametrize("path", ["", "/", b"a.fits"])
def test_a_path_without_a_name_in_it_is_refused(path: Any) -> None:
    with pytest.raises(FileNameMissingError):
        StreamFile(io.BytesIO(), path)


@pytest.mark.parametrize("stream", [io.BytesIO(CONTENT), OddStream(CONTENT)], ids=["BytesIO", "odd"])
def test_a_stream_is_read_from_its_first_byte_and_left_where_it_stood(stream: Any) -> None:
    file = StreamFile(stream, "a.fits")
    stream.seek(123)
    with file.opened() as opened:
        assert md5_of_stream(opened)[1] == len(CONTENT)
    assert stream.tell() == 123
    assert file.fingerprint() == Fingerprint(size=len(CONTENT))
    assert stream.tell() == 123


def test_a_stream_is_left_where_it_stood_even_after_an_error() -> None:
    stream = io.BytesIO(CONTENT)
    stream.seek(5)
    with suppress(RuntimeError), StreamFile(stream, "a.fits").opened() as opened:
        opened.read(100)
        raise RuntimeError
    assert stream.tell() == 5


@pytest.mark.parametrize("mode", ["rb", "r+b"])
@pytest.mark.parametrize("buffering", [-1, 0])
def test_an_open_file_has_the_fingerprint_of_the_file_on_disk(path: Path, mode: str, buffering: int) -> None:
    with open(path, mode, buffering=buffering) as stream:
        assert StreamFile(stream).fingerprint() == PathFile(str(path)).fingerprint()
        assert content_of(StreamFile(stream)) == CONTENT


def test_what_the_callers_buffer_still_holds_is_part_of_the_file() -> None:
    with tempfile.NamedTemporaryFile("w+b", suffix=".fits") as stream:
        stream.write(CONTENT)
        assert StreamFile(stream).fingerprint().size == len(CONTENT)
        assert content_of(StreamFile(stream)) == CONTENT


def test_a_closed_stream_is_refused(path: Path) -> None:
    stream = path.open("rb")
    stream.close()
    with pytest.raises(FileUnreadableError):
        StreamFile(stream).fingerprint()


def test_a_stream_that_cannot_seek_is_refused() -> None:
    reading, writing = os.pipe()
    os.close(writing)
    with os.fdopen(reading, "rb") as stream, pytest.raises(FileUnreadableError, match="seekable"):
        content_of(StreamFile(stream, "a.fits"))


def test_a_text_stream_is_refused(path: Path) -> None:
    with path.open() as stream, pytest.raises(FileUnreadableError, match="binary"):
        md5_of_stream(stream)  # type: ignore[arg-type]


def test_a_stream_that_cannot_even_make_text_of_the_bytes_is_refused() -> None:
    stream = io.TextIOWrapper(io.BytesIO(b"\xff\xfe" * 5000), encoding="utf-8")
    with pytest.raises(FileUnreadableError, match="binary"):
        md5_of_stream(stream)  # type: ignore[arg-type]


def test_a_file_that_cannot_be_read_is_refused(path: Path) -> None:
    with path.open("ab") as stream, pytest.raises(FileUnreadableError):
        md5_of_stream(stream)


def test_the_md5_is_that_of_all_bytes() -> None:
    assert md5_of_stream(io.BytesIO(b"a")) == ("0cc175b9c0f1b6a831c399e269772661", 1)
    assert md5_of_stream(io.BytesIO(b"")) == ("d41d8cd98f00b204e9800998ecf8427e", 0)


# Files on a disk


def test_a_file_is_known_by_size_mtime_and_inode(path: Path) -> None:
    found = path.stat()
    assert PathFile(str(path)).fingerprint() == Fingerprint(len(CONTENT), found.st_mtime_ns, found.st_ino)


def test_a_changed_file_has_another_fingerprint(path: Path) -> None:
    before = PathFile(str(path)).fingerprint()
    copy = path.with_name("copy")
    copy.write_bytes(CONTENT)
    os.utime(copy, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    copy.rename(path)
    assert PathFile(str(path)).fingerprint() != before, "same size and time, another inode"


@pytest.mark.parametrize("missing", ["gone.fits", "no/such/directory/a.fits"])
def test_a_missing_file_is_worth_another_try(path: Path, missing: str) -> None:
    file = PathFile(str(path.parent / missing))
    assert file.fingerprint() is None
    with pytest.raises(FileMissingError) as raised:
        content_of(file)
    assert isinstance(raised.value, RetryError)


def test_a_name_beyond_a_file_is_refused_and_no_file_is_there(path: Path) -> None:
    file = PathFile(f"{path}/beyond-a-file.fits")
    assert file.fingerprint() is None
    with pytest.raises(FileUnreadableError, match="ENOTDIR"):
        content_of(file)


def test_a_link_that_leads_nowhere_is_a_missing_file(tmp_path: Path) -> None:
    (tmp_path / "link.fits").symlink_to(tmp_path / "gone.fits")
    assert PathFile(str(tmp_path / "link.fits")).fingerprint() is None


def test_a_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileUnreadableError, match="regular file"):
        content_of(PathFile(str(tmp_path)))


@pytest.mark.timeout(10)
def test_a_named_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.fits")
    with pytest.raises(FileUnreadableError, match="regular file"):
        content_of(PathFile(str(tmp_path / "pipe.fits")))


@pytest.mark.parametrize("name", ["a\0b.fits", "a" * 300 + ".fits"])
@pytest.mark.parametrize("with_roots", [True, False])
def test_a_path_that_no_file_can_have_is_refused(tmp_path: Path, name: str, with_roots: bool) -> None:
    with pytest.raises(FileUnreadableError):
        content_of(PathFile(f"{tmp_path}/{name}", (str(tmp_path),) if with_roots else ()))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_refused(path: Path) -> None:
    path.chmod(0)
    with pytest.raises(FileUnreadableError):
        content_of(PathFile(str(path)))


# Data roots


def test_a_file_below_a_data_root_is_read(path: Path) -> None:
    assert content_of(PathFile(str(path), ("/nowhere", str(path.parent)))) == CONTENT


def test_a_file_outside_the_data_roots_is_refused_and_the_roots_are_named(path: Path) -> None:
    with pytest.raises(FileOutsideDataRootsError, match="/some/root"):
        content_of(PathFile(str(path), ("/some/root",)))


def test_a_directory_whose_name_begins_with_the_roots_name_is_outside(tmp_path: Path) -> None:
    for name in ("data", "data2"):
        (tmp_path / name).mkdir()
    (tmp_path / "data2" / "a.fits").write_bytes(CONTENT)
    with pytest.raises(FileOutsideDataRootsError):
        content_of(PathFile(str(tmp_path / "data2" / "a.fits"), (str(tmp_path / "data"),)))


def test_dots_do_not_lead_out_of_a_data_root(path: Path) -> None:
    root = path.parent / "root"
    root.mkdir()
    with pytest.raises(FileOutsideDataRootsError):
        content_of(PathFile(f"{root}/../a-e00.fits", (str(root),)))


def test_a_link_does_not_lead_out_of_a_data_root(path: Path) -> None:
    root = path.parent / "root"
    root.mkdir()
    (root / "link.fits").symlink_to(path)
    with pytest.raises(FileOutsideDataRootsError):
        content_of(PathFile(str(root / "link.fits"), (str(root),)))


def test_a_data_root_may_itself_be_a_link(path: Path, tmp_path: Path) -> None:
    (tmp_path / "root").symlink_to(path.parent)
    assert content_of(PathFile(str(path), (str(tmp_path / "root"),))) == CONTENT
    assert content_of(PathFile(str(tmp_path / "root" / path.name), (str(path.parent),))) == CONTENT


def test_a_missing_file_outside_the_data_roots_is_not_waited_for() -> None:
    with pytest.raises(FileOutsideDataRootsError):
        content_of(PathFile("/nowhere/a.fits", ("/some/root",)))


# ExactReader


def test_a_file_that_grew_gives_no_more_than_its_announced_size() -> None:
    reader = ExactReader(io.BytesIO(CONTENT), 100)
    assert reader.read(60) + reader.read(60) + reader.read(60) == CONTENT[:100]
    reader.seek(0)
    assert reader.read() == CONTENT[:100]
    assert reader.read() == b""


def test_a_file_that_shrank_is_noticed() -> None:
    reader = ExactReader(io.BytesIO(CONTENT), len(CONTENT) + 1)
    reader.read()
    with pytest.raises(FileChangedError, match="its end after 10000"):
        reader.read(10)


def test_an_exact_reader_seeks_as_streams_do() -> None:
    reader = ExactReader(io.BytesIO(CONTENT), 95)
    assert reader.readable()
    assert reader.seekable()
    assert reader.seek(0, os.SEEK_END) == reader.tell() == 95
    assert reader.seek(-5, os.SEEK_END) == 90
    assert reader.read() == b"01234"
    assert reader.seek(-1, os.SEEK_CUR) == 94
    assert reader.read(-1) == b"4"
