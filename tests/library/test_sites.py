"""Another observatory: its own keywords, its own file type, no fork (docs/sites.md)."""

import importlib
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lco_ingester.exceptions import (
    FileSystemUnavailableError,
    HeaderMissingError,
    HeaderValueError,
    HookDeploymentError,
    HookError,
    IngesterError,
    TruncatedFrameError,
)
from lco_ingester.file import types
from lco_ingester.file.datafile import StreamFile
from lco_ingester.file.stream import HashingReader
from lco_ingester.file.types import headers_by_hook, headers_of
from lco_ingester.metrics import Metrics
from lco_ingester.record.build import build_record, facts_of
from lco_ingester.record.rules import RecordRules
from lco_ingester.settings import Settings, load_settings
from lco_ingester.steps import read_contents
from tests.support.servers import ArchiveServer, S3Server
from tests.support.synthetic import ABSENT, ROOT, checks, image, new_basename, record_of, rules

# An observatory that names everything in its own way.
VARIABLES = {
    "ARCHIVE_EXTENSIONS": ".snf",
    "REQUIRED_HEADERS": "OBSERVAT,DETECTOR,T_START,KIND",
    "OBSERVATION_DATE_KEY": "T_START",
    "OBSERVATION_DAY_KEY": "NIGHT",
    "OBSERVATION_END_TIME_KEY": "T_END",
    "REDUCTION_LEVEL_KEY": "LEVEL",
    "EXPOSURE_TIME_KEY": "SECONDS",
    "INSTRUMENT_ID_KEY": "DETECTOR",
    "SITE_ID_KEY": "OBSERVAT",
    "TELESCOPE_ID_KEY": "DOME",
    "OBSERVATION_ID_KEY": "VISIT",
    "CONFIGURATION_ID_KEY": "SETUP",
    "PRIMARY_OPTICAL_ELEMENT_KEY": "GLASS",
    "TARGET_NAME_KEY": "SOURCE",
    "REQUEST_ID_KEY": "WISH",
    "REQUESTGROUP_ID_KEY": "WISHES",
    "CONFIGURATION_TYPE_KEY": "KIND",
    "PROPOSAL_ID_KEY": "PROGRAM",
    "CATALOG_TARGET_FRAME_KEY": "CATFRAME",
    "PUBLIC_DATE_KEY": "FREEDATE",
    "RELATED_FRAME_KEYS": "PARENT,CATFRAME",
    "RADIUS_KEY": "FIELD",
    "RA_KEY": "TELRA",
    "DEC_KEY": "TELDEC",
    "DAYS_UNTIL_PUBLIC": "30",
}
HEADER = {
    "OBSERVAT": "sno",
    "DETECTOR": "cam7",
    "T_START": "2026-11-22T03:04:05",
    "T_END": "2026-11-22T03:05:00",
    "LEVEL": 0,
    "SECONDS": 50.1234567,
    "DOME": "2m0a",
    "VISIT": "NONE",
    "SETUP": 3,
    "GLASS": "N/A",
    "SOURCE": "M 83",
    "WISH": 17,
    "KIND": "EXPOSE",
    "PROGRAM": "P1",
    "PARENT": "frame-1.snf",
    "FIELD": 3600.0,
    "TELRA": 2.0,
    "TELDEC": 0.0,
}
# The site's own distribution: the example of the documentation, and a few bad ones.
EXAMPLE = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "sites.md").read_text(), re.DOTALL)[0]
BAD = """
NUMBER = FileType(None, lambda stream, path: [7])
NOTES = FileType("text/plain", None)
NONSENSE = 7


def closing(stream, path):
    with stream:
        return [json.loads(stream.readline())]


CLOSING = FileType(None, closing)


def raising(stream, path):
    raise eval(stream.readline())


def hiding(stream, path):
    try:
        stream.read()
    except Exception:
        raise RuntimeError("a bad file") from None


RAISING = FileType(None, raising)
HIDING = FileType(None, hiding)
"""
ENTRY_POINTS = """
[lco_ingester.records]
.snf = sno_frames:SNF
.number = sno_frames:NUMBER
.notes = sno_frames:NOTES
.nonsense = sno_frames:NONSENSE
.closing = sno_frames:CLOSING
.raising = sno_frames:RAISING
.hiding = sno_frames:HIDING
.gone = sno_frames:GONE
.broken = sno_broken:SNF
.twice = sno_frames:SNF
"""


def install(directory: Path, name: str, entry_points: str) -> None:
    information = directory / f"{name}-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(entry_points)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The directory that the site's distribution is installed in."""
    directory = tmp_path / "site"
    directory.mkdir()
    (directory / "sno_frames.py").write_text(EXAMPLE + BAD)
    (directory / "sno_broken.py").write_text("raise RuntimeError('no such camera')\n")
    install(directory, "sno_frames", ENTRY_POINTS)
    install(directory, "sno_more", "[lco_ingester.records]\n.twice = sno_frames:NUMBER\n")
    monkeypatch.syspath_prepend(directory)
    importlib.invalidate_caches()
    types._hooks.cache_clear()
    yield directory
    types._hooks.cache_clear()
    sys.modules.pop("sno_frames", None)


def frame(**changes: Any) -> bytes:
    return json.dumps({**HEADER, **changes}).encode() + b"\n" + bytes(range(256))


def read(content: bytes, extension: str = ".snf", metadata: dict[str, Any] | None = None) -> list[Any]:
    path = f"a{extension}"
    headers = headers_of(HashingReader(io.BytesIO(content)), extension, checks(), metadata)
    return headers_by_hook(io.BytesIO(content), extension, path) if headers is None else headers


@pytest.fixture
def own_rules(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], RecordRules]:
    """The site's rules, for a format."""

    def of(form: str) -> RecordRules:
        for name, value in {**VARIABLES, "ARCHIVE_RECORD_FORMAT": form}.items():
            monkeypatch.setenv(name, value)
        return RecordRules.of(load_settings(Settings))

    return of


def build(own: RecordRules, basename: str = "frame-2", **changes: Any) -> dict[str, Any]:
    """The record of HEADER with these changed, or ABSENT."""
    values = {keyword: value for keyword, value in {**HEADER, **changes}.items() if value is not ABSENT}
    return build_record([values], basename, ".snf", own)


# Keywords


def test_a_nested_record_is_made_of_the_sites_own_keywords(own_rules: Callable[[str], RecordRules]) -> None:
    own = own_rules("ocs")
    record = build(own)
    assert record.pop("headers") == {**HEADER, "VISIT": None, "GLASS": "", "PARENT": "frame-1", "NIGHT": "20261122",
                                     "FREEDATE": "2026-12-22T03:04:05"}  # fmt: skip
    ring = record.pop("area")["coordinates"][0]
    assert ring[0] == pytest.approx([29.0, 1.0])
    assert record == {
        "basename": "frame-2",
        "related_frame_filenames": ["frame-1"],
        "reduction_level": 0,
        "observation_day": "20261122",
        "observation_date": "2026-11-22T03:04:05",
        "proposal_id": "P1",
        "instrument_id": "cam7",
        "target_name": "M 83",
        "site_id": "sno",
        "telescope_id": "2m0a",
        "exposure_time": 50.123457,
        "primary_optical_element": "",
        "public_date": "2026-12-22T03:04:05",
        "configuration_type": "EXPOSE",
        "observation_id": None,
        "request_id": 17,
        "frame_basename": None,
        "size": "",
    }
    facts = facts_of(build(own), own.keys)
    assert (facts.key_prefix, facts.folder) == ({"OBSERVAT": "sno", "DETECTOR": "cam7", "NIGHT": "20261122"}, "raw")
    assert (facts.observed, facts.ended) == ("2026-11-22T03:04:05", "2026-11-22T03:05:00")


def test_a_flat_record_has_the_archives_keywords_beside_the_sites_own(own_rules: Callable[[str], RecordRules]) -> None:
    record = build(own_rules("lco"), FILTER="something else")
    assert record.items() >= {"OBSERVAT": "sno", "T_START": "2026-11-22T03:04:05", "SECONDS": 50.1234567}.items()
    assert (
        record.items()
        >= {
            "SITEID": "sno",
            "INSTRUME": "cam7",
            "TELID": "2m0a",
            "DATE-OBS": "2026-11-22T03:04:05",
            "DAY-OBS": "20261122",
            "L1PUBDAT": "2026-12-22T03:04:05",
            "OBSTYPE": "EXPOSE",
            "PROPID": "P1",
            "OBJECT": "M 83",
            "RLEVEL": 0,
            "EXPTIME": 50.123457,
            "REQNUM": 17,
        }.items()
    )
    assert "FILTER" not in record, "the site's filter is GLASS, which says nothing"


def test_a_catalogue_and_a_mask_are_recognised_by_the_sites_keywords(own_rules: Callable[[str], RecordRules]) -> None:
    own = own_rules("ocs")
    catalogue = build(own, "frame-2_cat")
    assert (catalogue["headers"]["CATFRAME"], catalogue["headers"]["KIND"]) == ("frame-2", "CATALOG")
    assert catalogue["related_frame_filenames"] == ["frame-1", "frame-2"]
    assert facts_of(build(own, KIND="BPM"), own.keys).folder == "bpm"


def test_errors_name_the_sites_own_keywords(own_rules: Callable[[str], RecordRules]) -> None:
    with pytest.raises(HeaderMissingError, match="without KIND"):
        build(own_rules("ocs"), KIND=ABSENT)
    with pytest.raises(HeaderValueError) as raised:
        build(own_rules("ocs"), T_START="yesterday")
    assert raised.value.check == "T_START"


@pytest.mark.parametrize("form", ["lco", "ocs"])
def test_a_keyword_under_another_name_gives_the_same_fields(form: str) -> None:
    plain = record_of({"FILTER": "rp"}, archive_record_format=form)
    renamed = record_of(
        {"FILTER": ABSENT, "GLASS": "rp"}, archive_record_format=form, primary_optical_element_key="GLASS"
    )
    assert renamed.get("FILTER") == plain.get("FILTER")
    assert renamed.get("primary_optical_element") == plain.get("primary_optical_element")


def test_other_null_values_can_be_asked_for() -> None:
    assert (
        record_of({"OBJECT": "nil", "FILTER": "N/A"}, null_header_values=("nil",)).items()
        >= {
            "OBJECT": "",
            "FILTER": "N/A",
        }.items()
    )


# A file type of one's own


def test_a_frame_of_the_sites_own_type_is_archived_by_the_command(
    site: Path, tmp_path: Path, ocs_external_services: dict[str, str], ocs_archive: ArchiveServer, s3: S3Server
) -> None:
    path = tmp_path / f"{new_basename()}.snf"
    path.write_bytes(frame())
    ended = subprocess.run(
        [sys.executable, "-m", "lco_ingester.cli", str(path)],
        cwd=ROOT,
        env={**os.environ, **VARIABLES, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.partition("?")[0].endswith(f"sno/cam7/20261122/raw/{path.name}")
    [found] = [each for each in ocs_archive.frames() if each["basename"] == path.stem]
    assert (found["site_id"], found["target_name"]) == ("sno", "M 83")
    stored = s3.client().head_object(Bucket=s3.bucket, Key=f"sno/cam7/20261122/raw/{path.name}")
    assert stored["ContentType"] == "image/x-snf"


def test_a_sites_reader_gives_the_headers_and_may_say_that_the_file_is_not_ready(site: Path) -> None:
    assert read(frame()) == [HEADER]
    with pytest.raises(TruncatedFrameError):
        read(frame()[:20])


def test_a_sites_reader_that_closes_its_stream_leaves_the_callers_open(site: Path) -> None:
    stream = io.BytesIO(frame())
    stream.seek(7)
    contents = read_contents(StreamFile(stream, "a.closing"), rules(), checks(), Metrics.off())
    assert (contents.headers, stream.tell()) == ([HEADER], 7)


def test_a_site_may_have_files_that_come_with_metadata(site: Path) -> None:
    assert read(b"words", ".notes", HEADER) == [HEADER]


def test_our_own_file_types_are_as_they_were(site: Path) -> None:
    assert read(image(), ".fits")[0]["SITEID"] == "coj"


@pytest.mark.parametrize(
    ("extension", "hook", "says", "expected"),
    [
        (".snf", ".snf = sno_frames:SNF", "JSONDecodeError", HookError),
        (".number", ".number = sno_frames:NUMBER", "int", HookDeploymentError),
        (".nonsense", ".nonsense = sno_frames:NONSENSE", "FileType", HookDeploymentError),
        (".gone", ".gone = sno_frames:GONE", "GONE", HookDeploymentError),
        (".broken", ".broken = sno_broken:SNF", "RuntimeError: no such camera", HookDeploymentError),
        (".twice", ".twice = sno_frames:SNF, .twice = sno_frames:NUMBER", "2", HookDeploymentError),
    ],
)
def test_a_type_that_cannot_be_used_is_not_the_files_fault_and_each_error_names_it(
    site: Path, extension: str, hook: str, says: str, expected: type[IngesterError]
) -> None:
    with pytest.raises(expected) as raised:
        read(b"no JSON\n", extension)
    assert raised.value.check.count(hook.split(",")[0]) == 1
    assert says in str(raised.value)


@pytest.mark.parametrize(
    ("raises", "reason"),
    [
        ("ValueError('a bad file')", "HOOK_FAILED"),
        ("OSError('no FITS file')", "HOOK_FAILED"),
        ("KeyError('SITEID')", "HOOK_FAILED"),
        ("ModuleNotFoundError('No module named camera')", "HOOK_DEPLOYMENT"),
        ("OSError(116, 'Stale file handle')", "FILE_SYSTEM_UNAVAILABLE"),
        ("OSError(24, 'Too many open files')", "OUT_OF_RESOURCES"),
        ("PermissionError(13, 'Permission denied')", "FILE_UNREADABLE"),
        ("MemoryError()", "OUT_OF_RESOURCES"),
    ],
)
def test_a_reader_that_was_not_able_to_work_does_not_blame_the_file(site: Path, raises: str, reason: str) -> None:
    with pytest.raises(IngesterError) as raised:
        read(raises.encode(), ".raising")
    assert raised.value.reason == reason


def test_a_disk_that_fails_while_a_sites_reader_reads_is_known_whatever_the_reader_raises(site: Path) -> None:
    class Failing(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell():
                raise OSError(5, "Input/output error")
            return super().read(size)

    stream = Failing(bytes(100_000))
    stream.seek(1)
    with pytest.raises(FileSystemUnavailableError):
        headers_by_hook(stream, ".hiding", "a.hiding")


def test_nothing_is_looked_up_or_imported_before_a_file_is_read(site: Path) -> None:
    assert "sno_frames" not in sys.modules
    read(image(), ".fits")
    assert "sno_frames" not in sys.modules, "another type's file needs it not"
    read(frame())
    assert "sno_frames" in sys.modules


def test_the_defaults_are_lcos() -> None:
    assert rules().keys.site_id == "SITEID"
    assert facts_of(record_of(), rules().keys).key_prefix == {
        "SITEID": "coj",
        "INSTRUME": "fa12",
        "DAY-OBS": "20200101",
    }
