"""`lco_ingest_frame --validate-only` and `--explain`: what they print, and that they send nothing."""

import hashlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Command
from tests.support.synthetic import ABSENT, CARDS, ROOT, compressed, image, package

NAME = "coj1m011-fa12-20200102-0001-e00"
WCS = {
    "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 0.01, "CRVAL2": -30.0, "CRPIX1": 4.0, "CRPIX2": 4.0,
    "CD1_1": -0.01, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": 0.01,
}  # fmt: skip


class Sentinel:
    """A port that counts who comes to it."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.visitors = 0
        self._is_last = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while not self._is_last.is_set():
            visitor, _ = self._socket.accept()
            visitor.close()
            self.visitors += 1

    def close(self) -> int:
        """How many came; all that came before is counted."""
        self._is_last.set()
        socket.create_connection(("127.0.0.1", self.port)).close()
        self._thread.join(5)
        self._socket.close()
        return self.visitors - 1


@pytest.fixture
def _all_services_are_one_that_counts(clean_environment: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    sentinel = Sentinel()
    url = f"http://127.0.0.1:{sentinel.port}/"
    variables = {
        "API_ROOT": url,
        "AWS_ENDPOINT_URL_S3": url,
        "FITS_BROKER": f"amqp://guest:guest@127.0.0.1:{sentinel.port}//",
        "OPENTSDB_HOSTNAME": "127.0.0.1",
        "OPENTSDB_PORT": str(sentinel.port),
        "HTTP_PROXY": url,
        "HTTPS_PROXY": url,
        "AWS_EC2_METADATA_DISABLED": "false",
        "AWS_EC2_METADATA_SERVICE_ENDPOINT": url,
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    yield
    assert sentinel.close() == 0, "something was sent"


pytestmark = pytest.mark.usefixtures("_all_services_are_one_that_counts")


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def refuse_constant(text: str) -> Any:
    raise AssertionError(f"{text} is not JSON")


# --validate-only


def test_valid_files_give_one_line_of_json_each_and_exit_code_0(tmp_path: Path, process: Command) -> None:
    files = {
        "a-e00.fits": image({"EXPTIME": ABSENT, "WMSHUMID": "NaN"}, 8),
        "b-e00.fits.fz": compressed(),
        "c.tar.gz": package({"c-e91.fits": image()}),
        "d-e91_cat.fits": image(),
    }
    paths = [write(tmp_path / name, content) for name, content in files.items()]
    code, out, err = process("--validate-only", *paths)
    assert (code, err) == (0, "")
    found = [json.loads(line, parse_constant=refuse_constant) for line in out.splitlines()]
    assert [Path(each["path"]).name for each in found] == list(files)
    for each, content in zip(found, files.values(), strict=True):
        assert (each["md5"], each["size"]) == (hashlib.md5(content).hexdigest(), len(content))
        assert each["record"]["SITEID"] == "coj"
        assert "version_set" not in each["record"]
    assert [each["extension"] for each in found] == [".fits", ".fits.fz", ".tar.gz", ".fits"]
    assert found[0]["s3_key"] == "coj/fa12/20200101/raw/a-e00.fits"
    assert found[3]["record"]["OBSTYPE"] == "CATALOG"


def test_bad_files_give_one_line_each_on_stderr_and_valid_ones_are_still_printed(
    tmp_path: Path, process: Command
) -> None:
    files = {
        "short.fits": image(pixels=60)[:-2880],
        "sound.fits": image(),
        "empty.fits": b"",
        "text.fits": b"no frame at all",
        "lacking.fits": image({"BLKUID": ABSENT}),
        "a.other.fits": image(),
        "nowhere.fits": image({"SITEID": ""}),
    }
    paths = [write(tmp_path / name, content) for name, content in files.items()]
    code, out, err = process("--validate-only", *paths, tmp_path / "gone.fits", tmp_path)
    assert code == 1
    assert [Path(json.loads(line)["path"]).name for line in out.splitlines()] == ["sound.fits"]
    lines = err.splitlines()
    told = {
        "short.fits": "HDU 0", "empty.fits": "an empty file", "text.fits": "no frame at all", "lacking.fits": "BLKUID",
        "a.other.fits": "ARCHIVE_EXTENSIONS", "nowhere.fits": "SITEID", "gone.fits": "Put the file back",
        tmp_path.name: "regular file",
    }  # fmt: skip
    assert len(lines) == len(told)
    for line, (name, why) in zip(lines, told.items(), strict=True):
        assert name in line
        assert why in line


def test_a_warning_is_on_stderr_and_in_the_object_and_the_file_is_valid(command: Command, tmp_path: Path) -> None:
    path = write(tmp_path / f"{NAME}.fits", image() + b"more" * 720)
    code, out, err = command("--validate-only", path)
    assert code == 0
    assert json.loads(out)["warnings"] == ["trailing"]
    assert err.count("\n") == 1
    assert "check trailing, only a warning" in err
    code, out, err = command("--validate-only", path, VALIDATION_WARN_ONLY="")
    assert (code, out) == (1, "")
    assert "more" not in err.split("found")[0]
    assert command("--validate-only", path, VALIDATION_WARN_ONLY="", VALIDATION="headers")[0] == 0


def test_a_companion_is_validated_with_its_metadata(command: Command, tmp_path: Path) -> None:
    pdf = write(tmp_path / f"{NAME}-summary.pdf", b"%PDF-1.7")
    metadata = write(tmp_path / "metadata.json", json.dumps(CARDS).encode())
    code, out, err = command("--validate-only", "--metadata", metadata, pdf, ARCHIVE_RECORD_FORMAT="ocs")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert (found["content_type"], found["record"]["headers"]["SITEID"]) == ("application/pdf", "coj")
    assert command("--validate-only", "--metadata", metadata, pdf)[0] == 1, "flat archives accept no companions"
    code, out, _ = command("--explain", "--metadata", metadata, pdf, ARCHIVE_RECORD_FORMAT="ocs")
    assert code == 0
    assert "a companion without a header (application/pdf)" in out
    assert "nested (ARCHIVE_RECORD_FORMAT=ocs)" in out


@pytest.mark.parametrize(
    "arguments",
    [
        ("--explain", "a.fits", "b.fits"),
        ("--check-only", "a.fits", "b.fits"),
        ("--explain", "--validate-only", "a.fits"),
        ("--check-only", "--explain", "a.fits"),
        ("--validate-only",),
        ("--explain", "--thumbnail", "small", "--metadata", "a.json", "a.jpg"),
    ],
)
def test_modes_that_exclude_each_other_give_one_line(command: Command, arguments: tuple[str, ...]) -> None:
    code, out, err = command(*arguments)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "--help" in err


# --explain


def test_a_frame_is_explained_from_its_md5_to_its_key(tmp_path: Path, process: Command) -> None:
    content = image({**WCS, "OBSNOTE": "N/A", "RLEVEL": ABSENT, "HISTORY": "old", "EXPTIME": 1.23456789}, 8)
    path = write(tmp_path / f"{NAME}.fits", content)
    code, out, err = process("--explain", path)
    assert (code, err) == (0, "")
    for text in (
        f"{len(content)} bytes, md5 {hashlib.md5(content).hexdigest()}",
        "size       passed",
        "checksum   does not apply",
        "HDU 0: has all of them",
        "HEADER_BLACKLIST: HISTORY",
        'OBSNOTE: "N/A" → ""',
        "reduction level: the basename ends with '00'",
        "RLEVEL: (absent) → 0",
        "EXPTIME: 1.23456789 → 1.234568",
        "365 days after DATE-OBS",
        'L1PUBDAT: (absent) → "2021-01-01T03:04:05.678000"',
        "Public: since 2021-01-01T03:04:05.678000 UTC",
        "the image's corners, by its WCS",
        "it crosses RA 0",
        "flat (ARCHIVE_RECORD_FORMAT=lco)",
        f"coj/fa12/20200101/raw/{NAME}.fits",
        "image/fits",
        "STANDARD_IA: observed",
        "Nothing was sent",
    ):
        assert text in out, text


def test_each_reason_for_a_public_date_is_printed(command: Command, tmp_path: Path) -> None:
    reasons = {
        "OBSTYPE BIAS is one of CALIBRATION_TYPES": {"OBSTYPE": "BIAS"},
        "'calib' of PUBLIC_PROPOSALS is in PROPID 'calibrate'": {"PROPID": "calibrate"},
        "'LCOEngineering' of PRIVATE_PROPOSALS is in PROPID": {"PROPID": "LCOEngineering-1"},
        "public date: the header has it": {"L1PUBDAT": "2030-01-01T00:00:00"},
    }
    for reason, cards in reasons.items():
        code, out, _ = command("--explain", write(tmp_path / f"{NAME}.fits", image(cards)))
        assert code == 0
        assert reason in out
    code, out, _ = command("--explain", write(tmp_path / "a-x00.fits", image()))
    assert "private for 999 years, because '-x00' of PRIVATE_FILE_TYPES is in the basename" in out
    assert "Public: from 3018-" in out


def test_packages_catalogues_and_compressed_frames_are_explained(command: Command, tmp_path: Path) -> None:
    members = {"log.txt": b"log", "first.fits": image({"SITEID": "xyz"}), "a-e91.fits.fz": compressed()}
    _, out, _ = command("--explain", write(tmp_path / "night.tar.gz", package(members)))
    assert "header from a-e91.fits.fz" in out
    assert "HDU 0: lacks PROPID" in out
    assert "members    passed" in out
    assert "application/x-tar" in out
    _, out, _ = command("--explain", write(tmp_path / "a-e91_cat.fits", image({"RLEVEL": ABSENT})))
    assert 'OBSTYPE: "EXPOSE" → "CATALOG"' in out
    assert 'L1IDCAT: (absent) → "a-e91"' in out
    assert "RLEVEL: (absent) → 91" in out
    assert "Area: none: neither RADIUS, RA and DEC nor an image's NAXIS1 and NAXIS2 are set" in out


def test_a_bad_file_is_explained_as_far_as_possible_and_ends_with_its_error(command: Command, tmp_path: Path) -> None:
    sums = image({"CHECKSUM": "0" * 16, "DATASUM": "7"}, 8)
    reached = {
        "sums.fits": (sums, ("datasum    failed", "checksum   failed", "S3 object", "FITS_CHECKSUM"), "DATASUM"),
        "short.fits": (image(pixels=60)[:-2880], ("size       failed", "characters passed", "S3 object"), "HDU 0"),
        "text.fits": (
            b"text",
            ("size       not reached", "NOT_FITS", "not retried, and becomes a dead letter"),
            "SIMPLE",
        ),
        "lacking.fits": (image({"BLKUID": ABSENT}), ("size       passed", "HDU 0: lacks BLKUID"), "BLKUID"),
        "undated.fits": (
            image({"DATE-OBS": "yesterday", "OBSNOTE": "N/A"}),
            ('OBSNOTE: "N/A" → ""', "HEADER_VALUE"),
            "a FITS date",
        ),
        "a.b.fits": (image(), ("Area", "EXTENSION_NOT_ACCEPTED"), "ARCHIVE_EXTENSIONS"),
    }
    for name, (content, told, why) in reached.items():
        code, out, err = command("--explain", write(tmp_path / name, content))
        assert (code, err.count("\n")) == (1, 1), name
        assert name in err
        assert why in err
        assert [text for text in told if text not in out] == [], name
        assert "It would be uploaded" not in out
        assert err == command("--validate-only", tmp_path / name)[2], "the same line in both modes"


def test_checks_that_are_only_warnings_or_not_asked_say_so(command: Command, tmp_path: Path) -> None:
    path = write(tmp_path / f"{NAME}.fits", image({"DATASUM": "7"}, 8) + b"x" * 2880)
    code, out, _ = command("--explain", path, VALIDATION="headers")
    assert code == 0
    assert "datasum    not made, because VALIDATION=headers" in out
    code, out, _ = command("--explain", path, VALIDATION_WARN_ONLY="datasum,trailing")
    assert code == 0
    assert "datasum    only a warning" in out
    assert "trailing   only a warning" in out


def test_a_closed_pipe_is_not_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / f"{NAME}.fits", image(WCS, 8))
    for mode in ("--explain", "--validate-only"):
        reading, writing = os.pipe()
        os.close(reading)
        command = [sys.executable, "-m", "lco_ingester.cli", mode, str(path)]
        with os.fdopen(writing, "wb") as pipe:
            ended = subprocess.run(command, cwd=ROOT, stdout=pipe, stderr=subprocess.PIPE, timeout=60, check=False)
        assert (ended.returncode, ended.stderr) == (1, b"")


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8"])
def test_no_name_and_no_terminal_stops_an_explanation(tmp_path: Path, encoding: str, process: Command) -> None:
    path = write(tmp_path / f"{NAME}-é.fits", image({"OBSNOTE": "N/A"}))
    code, out, err = process(
        "--explain", path, PYTHONIOENCODING=encoding, PYTHONUTF8="0" if encoding != "utf-8" else "1"
    )
    assert "Traceback" not in err
    assert (code, err) == (0, "")
    assert "OBSNOTE" in out
