"""The explanation of the rules agrees with the record."""

import io
import json
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from astropy.io import fits

from lco_ingester.exceptions import (
    ChecksumError,
    ExtensionNotAcceptedError,
    FileChangedError,
    HeaderMissingError,
    IngesterError,
    PackageMemberDamagedError,
)
from lco_ingester.file.datafile import StreamFile, split_name
from lco_ingester.preview.explain import explain
from lco_ingester.record.build import header_of
from lco_ingester.settings import Settings, load_settings
from tests.support.corpus import FILES
from tests.support.synthetic import ABSENT, BASENAME, fits_bytes, header, image, package, record_of_file

NOW = datetime.fromisoformat("2020-01-31")
CHANGE = re.compile(r"    ([A-Z0-9_-]+): (.+) → (.+)")
ODD = {
    "OBSNOTE": "N/A", "REQNUM": "UNSPECIFIED", "TRACKNUM": "none", "RLEVEL": ABSENT, "DAY-OBS": ABSENT,
    "OBSTYPE": "UNKNOWN", "L1IDBIAS": "bias.fits.fz", "L1IDDARK": "N/A", "ORIGNAME": "a-e00.fits", "FILTER": "",
    "EXPTIME": 1.23456789, "HISTORY": "long", "DATE-OBS": "2020-01-02T23:59:60",
}  # fmt: skip


def explained(content: bytes, name: str = BASENAME + ".fits", **settings: Any) -> list[str]:
    return list(explain(StreamFile(io.BytesIO(content), name), load_settings(Settings, **settings), NOW))


def explained_until_error(content: bytes, name: str = BASENAME + ".fits", **settings: Any) -> tuple[str, Exception]:
    """All lines, and the error after them."""
    lines = []
    try:
        for line in explain(StreamFile(io.BytesIO(content), name), load_settings(Settings, **settings), NOW):
            lines.append(line)
    except Exception as error:
        return "\n".join(lines), error
    raise AssertionError("no error")


@pytest.mark.parametrize("form", ["lco", "ocs"])
def test_the_last_printed_value_of_a_keyword_is_the_one_in_the_record(form: str) -> None:
    content = image(ODD)
    lines = explained(content, archive_record_format=form)
    told = {found[1]: found[3] for line in lines if (found := CHANGE.fullmatch(line))}
    undated = image({**ODD, "DATE-OBS": "2020-01-03T00:00:00"})  # as the leap second is rewritten
    made = header_of(record_of_file(undated, archive_record_format=form))
    assert len(told) > 7
    assert {keyword: json.dumps(made[keyword]) if keyword in made else "(absent)" for keyword in told} == told
    untold = [
        keyword
        for keyword, value in made.items()
        if keyword not in (*told, "basename", "area") and value != fits.Header.fromstring(content[:5760]).get(keyword)
    ]
    assert untold == [], "a value that is not printed was not changed"


def test_nested_records_explain_where_type_and_numbers_come_from() -> None:
    text = "\n".join(explained(image(ODD), archive_record_format="ocs"))
    assert "find type: from the file's name, because the header has none" in text
    assert 'OBSTYPE: "" → "EXPOSE"' in text
    assert 'TRACKNUM: "none" → null' in text
    assert 'REQNUM: "UNSPECIFIED" → null' in text


def test_rewritten_dates_and_numbers_are_printed() -> None:
    content = image({"DATE-OBS": "2020-01-02T23:59:60"}).replace(
        b"RLEVEL  =                    0", b"RLEVEL  =                  NaN"
    )
    text = "\n".join(explained(content))
    assert 'DATE-OBS: "2020-01-02T23:59:60" → "2020-01-03T00:00:00"' in text
    assert 'RLEVEL: "nan" → null' in text
    dated = explained(image({"DATE-OBS": ABSENT, "MJD-OBS": 58850.0}), date_from_mjd=True)
    assert any("58850" not in line and 'DATE-OBS: null → "2020-01-02' in line for line in dated)


def test_the_chosen_hdu_is_printed_with_what_those_before_it_lack() -> None:
    lacking = fits.PrimaryHDU(None, header({"BLKUID": ABSENT, "SITEID": ABSENT}))
    good = fits.ImageHDU(None, header(), name="SCI")
    lines = explained(fits_bytes(lacking, good, fits.ImageHDU(None, header())))
    assert "  HDU 0: lacks SITEID, BLKUID" in lines
    assert "  HDU 1 SCI: has all of them, and gives the record's header" in lines
    assert "  HDU 2: not needed" in lines
    text, error = explained_until_error(fits_bytes(lacking))
    assert isinstance(error, HeaderMissingError)
    assert "HDU 0: lacks SITEID, BLKUID" in text


def test_the_error_is_that_of_the_service_even_if_lenient_checks_find_others() -> None:
    bad = image({"DATASUM": "7"}, 8)
    text, error = explained_until_error(package({"a-e91.fits": image(), "b.fits": bad}), "night.tar.gz")
    assert isinstance(error, PackageMemberDamagedError)
    assert "night.tar.gz:b.fits" in text
    text, error = explained_until_error(image({"DATASUM": "7", "BLKUID": ABSENT}, 8))
    assert isinstance(error, ChecksumError), "not what comes after it"
    assert "HDU 0: lacks BLKUID" in text


def test_a_file_that_changes_while_it_is_read_is_not_explained() -> None:
    class Growing(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            place = self.tell()
            if place == 0:
                self.seek(0, io.SEEK_END)
                self.write(b"\0" * 2880)
                self.seek(place)
            return super().read(size)

    stream = Growing(image())
    stream.name = "growing.fits"
    with pytest.raises(FileChangedError):
        list(explain(StreamFile(stream, "growing.fits"), load_settings(Settings), NOW))


def test_a_young_frame_goes_to_the_standard_class_and_says_when_it_becomes_public() -> None:
    lines = explained(image())
    assert "  storage class       STANDARD: observed 28 days ago, the limit is 60" in lines
    assert "Public: from 2021-01-01T03:04:05.678000 UTC, in 336 days" in lines


def test_an_unknown_extension_is_the_reason_before_a_missing_place_as_it_is_for_the_service() -> None:
    _, error = explained_until_error(image({"SITEID": ""}), "a-e00.FITS")
    assert isinstance(error, ExtensionNotAcceptedError)


@pytest.mark.parametrize(("name", "content", "reason"), FILES.values(), ids=FILES)
def test_a_damaged_file_is_explained_to_the_reason_that_the_service_gives(
    name: str, content: Callable[[], bytes], reason: str
) -> None:
    if not reason:
        lines = explained(content(), name, archive_extensions=split_name(name)[1:])
        assert lines[-1].startswith("Nothing was sent")
        return
    text, error = explained_until_error(content(), name)
    assert isinstance(error, IngesterError)
    assert error.reason == reason
    assert f"It would not be archived, {reason}." in text
    assert text.replace("\n", "").isprintable()
