"""Spectrograph packages: which member describes them, and how they can be damaged (docs/record.md)."""

import gzip
import io
import os
import tarfile
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lco_ingester.exceptions import (
    DoNotRetryError,
    EmptyFileError,
    ExpandsTooFarError,
    GzipDamagedError,
    PackageError,
    PackageMemberDamagedError,
    PackageMemberMissingError,
    TruncatedFrameError,
)
from lco_ingester.file.package import is_fits_member, is_frame, read_package
from lco_ingester.file.stream import CountingReader, unpacked
from tests.support.synthetic import checks, compressed, image, package

NAME = "LCO2020A-001_1_ftn_20200102_0001.tar.gz"
FIRST, SECOND = image({"OBJECT": "first"}), image({"OBJECT": "second"})
GOOD = {"a/README": b"words", "a/a-e91.fits": FIRST, "a/picture.png": os.urandom(20000)}


def frame_in(content: bytes, **changes: Any) -> Any:
    """OBJECT of the frame that describes the package; all of the package must have been read."""
    asked = checks(**changes, where=NAME)
    stream = CountingReader(io.BytesIO(content))
    with unpacked(stream, asked) as contents:
        found = read_package(contents, asked)
    assert stream.size == len(content)
    return found[-1]["OBJECT"]


@pytest.mark.parametrize("mode", ["w:gz", "w"])
def test_the_frame_of_a_package_is_found_whether_it_is_gzipped_or_not(mode: str) -> None:
    assert frame_in(package(GOOD, mode)) == "first"


@pytest.mark.parametrize("packed", ["", ".gz", ".fz"])
@pytest.mark.parametrize("mark", ["e00.fits", "e90.fits", "e91.fits"])
def test_a_member_whose_name_ends_in_a_mark_is_the_frame_packed_or_not(mark: str, packed: str) -> None:
    frame = {"": FIRST, ".gz": gzip.compress(FIRST), ".fz": compressed({"OBJECT": "first"})}[packed]
    assert frame_in(package({"a-b00.fits": SECOND, f"x/y-{mark}{packed}": frame})) == "first"


OF_ANOTHER = (
    "._a-e91.fits", "./._a-e91.fits", "x/._a-e91.fits", "x\\._a-e91.fits", "._a-e91.fits.fz", "._a.fits.gz",
    "__MACOSX/a-e91.fits", ".AppleDouble/a-e91.fits", "x/@eaDir/a-e91.fits",
    "./__MACOSX/x/._a-e91.fits", "/data/__MACOSX/a-e91.fits",
    "PaxHeader/a-e91.fits", "./PaxHeaders.4711/a-e91.fits", "x/PaxHeaders/a-e91.fits",
)  # fmt: skip
"""What other programs keep beside a frame, under its name."""
NOT_FITS = (
    "a-e91.fits.md5", "a-e91.fits.png", "a-e91.fits.fz.tmp", "a-e91.fits.bak", "a-e91.fits~", "a-e91.fits_files/x.txt",
    "obs-e91.fits_files/data", "a-e91.fits/readme", "a-E91.FITS", "a-e91.fits.GZ", "a-e91.fits.fz.gz.part",
)  # fmt: skip
NAMES = (
    "a-e91.fits",
    "./a-e91.fits",
    "/data/x/a-e91.fits",
    "x\\a-e91.fits",
    "obs-e90.fits_files/a-e91.fits",
    "a.b-e91.fits",
)


@pytest.mark.parametrize("other", [*OF_ANOTHER, *NOT_FITS])
def test_a_member_that_is_not_the_frame_is_neither_taken_for_it_nor_checked(other: str) -> None:
    assert frame_in(package({other: b"not FITS at all", "x/a-e91.fits": FIRST})) == "first"
    assert frame_in(package({"x/a-e91.fits": FIRST, other: b"not FITS at all"})) == "first"
    with pytest.raises(PackageMemberMissingError):
        frame_in(package({other: FIRST, "b-e10.fits": SECOND}))


@pytest.mark.parametrize("name", NAMES)
def test_the_members_own_name_decides_wherever_it_is(name: str) -> None:
    assert frame_in(package({"z-e10.fits": SECOND, name: FIRST, "z-e00.fits": SECOND})) == "first"


@pytest.mark.parametrize("name", ["x-e91.fits_files/a.fits", "x/b.fits.gz", "._x.tar/b.fits/c.fits"])
def test_a_fits_member_is_told_by_its_own_name_too(name: str) -> None:
    broken = package({"a-e91.fits": FIRST, name: b"not FITS at all"})
    if "._" in name:
        assert frame_in(broken) == "first"
    else:
        with pytest.raises(PackageMemberDamagedError):
            frame_in(broken)


@pytest.mark.parametrize("kind", [tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE])
def test_links_folders_and_devices_are_not_the_frame_whatever_their_name(kind: bytes) -> None:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        entry = tarfile.TarInfo("a-e91.fits")
        entry.type, entry.linkname = kind, "b-e91.fits"
        tar.addfile(entry)
        entry = tarfile.TarInfo("b-e91.fits")
        entry.size = len(FIRST)
        tar.addfile(entry, io.BytesIO(FIRST))
    assert frame_in(made.getvalue()) == "first"


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    folders=st.lists(st.sampled_from(["x", ".", "a-e91.fits", "obs-e00.fits_files", "b.fits"]), max_size=3),
    stem=st.text("ab._-e019", max_size=4),
    end=st.sampled_from(["e91.fits", "e91.fits.fz", "e91.fits.md5", "e00.fits/", ".fits", ".fits.gz", "e90.fits.gz"]),
)
def test_folders_never_decide_what_a_member_is(folders: list[str], stem: str, end: str) -> None:
    name = f"{stem}{end}"
    inside = "/".join([*folders, name])
    assert is_frame(inside) == is_frame(name) <= is_fits_member(name)
    assert is_fits_member(inside) == is_fits_member(name)
    if name.startswith("._") or end.endswith((".md5", "/")):
        assert not is_fits_member(name)


def test_the_first_in_the_packages_order_is_taken_and_not_in_that_of_the_marks() -> None:
    assert frame_in(package({"z-e91.fits": FIRST, "a-e00.fits": SECOND})) == "first"


def test_a_compressed_member_can_be_the_frame() -> None:
    assert frame_in(package({"a-e91.fits.fz": compressed({"OBJECT": "packed"})})) == "packed"
    assert frame_in(package({"a-e91.fits.gz": gzip.compress(FIRST)})) == "first"


@pytest.mark.parametrize("members", [{}, {"README": b"words", "a-e10.fits": FIRST, "a-E91.FITS": FIRST}])
def test_a_package_without_a_frame_is_refused(members: dict[str, bytes]) -> None:
    with pytest.raises(PackageMemberMissingError, match=r"e91\.fits") as raised:
        frame_in(package(members))
    assert isinstance(raised.value, DoNotRetryError)


@pytest.mark.parametrize("mode", ["w:gz", "w"])
@pytest.mark.parametrize("left", [0.1, 0.5, 0.9])
def test_a_cut_package_is_worth_another_try(mode: str, left: float) -> None:
    whole = package(GOOD, mode)
    contents_end = whole.rstrip(b"\0")  # a plain tar ends with some KB of zeros, which nobody misses
    with pytest.raises(TruncatedFrameError):
        frame_in(whole[: int(len(contents_end) * left)])


def test_a_package_that_lacks_only_gzips_last_bytes_is_truncated() -> None:
    with pytest.raises(TruncatedFrameError):
        frame_in(package(GOOD)[:-1])


@pytest.mark.parametrize("content", [b"", gzip.compress(b"")])
def test_an_empty_file_is_not_a_package_yet(content: bytes) -> None:
    with pytest.raises(EmptyFileError):
        frame_in(content)


@pytest.mark.parametrize("size", [1, 511, 512, 10240, 100000])
def test_zeros_are_space_reserved_for_a_package(size: int) -> None:
    with pytest.raises(TruncatedFrameError, match="reserved"):
        frame_in(bytes(size))


def test_a_package_of_nothing_that_gzip_vouches_for_is_whole() -> None:
    with pytest.raises(PackageMemberMissingError):
        frame_in(package({}))


@pytest.mark.parametrize("content", [b"\x1f", package(GOOD, "w")[:101], package(GOOD, "w")[:511]])
def test_the_first_bytes_of_a_package_are_worth_another_try(content: bytes) -> None:
    with pytest.raises(TruncatedFrameError):
        frame_in(content)


@pytest.mark.parametrize("name", ["a-e91.fits", "a-e91.fits.gz", "a-e91.fits.fz"])
def test_a_plain_package_that_turns_to_zeros_in_its_frame_is_still_being_written(name: str) -> None:
    frame = image({"OBJECT": "first"} | {f"K{number}": number for number in range(60)}, pixels=60)
    member = {"gz": gzip.compress(frame), "fz": compressed({f"K{number}": number for number in range(60)})}
    whole = package({name: member.get(name[-2:], frame)}, "w")
    for written in (600, 512 + len(member.get(name[-2:], frame)) // 2 if name.endswith("gz") else 4096):
        with pytest.raises(TruncatedFrameError, match="zeros"):
            frame_in(whole[:written] + bytes(len(whole) - written))
        with pytest.raises(PackageMemberDamagedError):
            frame_in(gzip.compress(whole[:written] + bytes(len(whole) - written)))


def test_a_member_that_turns_to_zeros_is_forgiven_with_the_other_members() -> None:
    whole = package({"a-e91.fits": FIRST, "b.fits": SECOND}, "w")
    written = whole.index(SECOND) + 100
    unwritten = whole[:written] + bytes(len(whole) - written)
    with pytest.raises(TruncatedFrameError, match=r"b\.fits"):
        frame_in(unwritten)
    assert frame_in(unwritten, validation_warn_only=("members",)) == "first"


def test_a_damaged_package_is_refused() -> None:
    damaged = bytearray(package(GOOD))
    for offset in range(len(damaged) // 2, len(damaged) // 2 + 40):
        damaged[offset] ^= 255
    with pytest.raises(GzipDamagedError):
        frame_in(bytes(damaged))


@pytest.mark.parametrize(
    "content", [b"no package at all" * 1000, b"hello", b"<html>\n" * 40, FIRST, gzip.compress(FIRST), FIRST[:600]]
)
def test_a_file_that_is_not_a_package_is_refused(content: bytes) -> None:
    with pytest.raises(PackageError) as raised:
        frame_in(content)
    assert isinstance(raised.value, DoNotRetryError)


@pytest.mark.parametrize("kind", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT])
@pytest.mark.parametrize("name", ["a-e91.fits", "d" * 90 + "/" + "n" * 60 + "-e91.fits", "\u017eluna/a-e91.fits"])
def test_a_name_may_be_written_in_any_dialect_of_tar(kind: int, name: str) -> None:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=kind, pax_headers={"comment": "of the whole package"}) as tar:
        for member, content in (("first.fits", SECOND), (name, FIRST), ("z-e00.fits", SECOND)):
            entry = tarfile.TarInfo(member)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    assert frame_in(made.getvalue()) == "first"


def test_a_package_has_as_many_members_as_are_allowed() -> None:
    content = package({f"{number}.txt": b"" for number in range(4)} | {"a-e91.fits": FIRST})
    assert frame_in(content, package_max_members=5) == "first"
    with pytest.raises(PackageError, match="at most 4 members"):
        frame_in(content, package_max_members=4)


@pytest.mark.parametrize("limits", [{"expanded_max_bytes": 10000}, {"expanded_max_bytes": 2**20}])
def test_a_package_unpacks_to_as_much_as_is_allowed(limits: dict[str, int]) -> None:
    content = package({"a-e91.fits": FIRST, "b": bytes(20000)})
    if limits["expanded_max_bytes"] > 20000:
        assert frame_in(content, **limits) == "first"
    else:
        with pytest.raises(ExpandsTooFarError, match="at most 10000 bytes"):
            frame_in(content, **limits)


@pytest.mark.parametrize("mode", ["w:gz", "w"])
@pytest.mark.parametrize("forgiven", [("trailing",), ("members",)])
def test_a_package_and_its_gzipped_members_share_one_limit(mode: str, forgiven: tuple[str, ...]) -> None:
    member = gzip.compress(image({"OBJECT": "first"}, pixels=100))  # unpacks to 23040 bytes
    content = package({"a-e91.fits.gz": member} | {f"{number}.fits.gz": member for number in range(3)}, mode)
    outside = len(gzip.decompress(content)) if mode == "w:gz" else 0
    most = outside + 4 * 23040
    assert frame_in(content, expanded_max_bytes=most) == "first"
    with pytest.raises(ExpandsTooFarError, match=f"at most {most - 1} bytes"):
        frame_in(content, expanded_max_bytes=most - 1, validation_warn_only=forgiven)


def test_the_ratio_is_that_of_all_that_is_unpacked_to_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lco_ingester.file.stream._RATIO_COUNTS_FROM", 0)
    member = gzip.compress(FIRST + bytes(10**6))
    content = package({"a-e91.fits.gz": member, "b.fits.gz": member, "c.fits.gz": member}, "w")
    assert frame_in(content, expanded_max_ratio=3.1e6 / len(content)) == "first"
    with pytest.raises(ExpandsTooFarError):
        frame_in(content, expanded_max_ratio=1e6 / len(content))


def test_a_fault_of_the_package_within_a_member_is_the_packages() -> None:
    whole = package({"a-e91.fits": image({"OBJECT": "big"}, pixels=300), "noise": os.urandom(100000)})
    with pytest.raises(TruncatedFrameError, match="gzip"):
        frame_in(whole[:3000])
